"""How far a search for a Pareto front has come: the front's size and hypervolume, as cheap as the front is stable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.search.objective import Budgets
from accelzoo.search.pareto import hypervolume, pareto_front
from accelzoo.search.record import Record

FIRST = 10


class GrowingFront:
    """The Pareto front of the score and of minimised costs, over records that only become more.

    The hypervolume is measured from a reference that never moves once it is there: for each minimised cost its budget,
    or the highest of the first 10 candidates with a score; for the score the lowest of these 10. Costs count in shares
    of their reference, so that 0.2 may be read as "0.4 more accurate at half the cost, or any such trade". Until there
    are 10, there is no hypervolume.

    Args:
        minimise: The cost fields that are objectives.
        budgets: The most that candidates may cost.
    """

    def __init__(self, minimise: Sequence[str], budgets: Budgets) -> None:
        self._minimise = tuple(minimise)
        self._budgets = dict(budgets)
        self._seen = 0
        self._first: list[list[float]] = []
        self._reference: npt.NDArray[np.float64] | None = None
        self._front = np.empty((0, 1 + len(self._minimise)))
        self._volume: float | None = None

    def after(self, records: Sequence[Record]) -> tuple[int, float | None]:
        """Looks at the records that were added since the last call.

        Returns:
            The number of different points on the front, and its hypervolume.
        """
        new = [self._point(record) for record in records[self._seen :] if record.status == "ok"]
        self._seen = len(records)
        if new:
            self._take(new)
        return len(self._front), self._volume

    def _take(self, new: list[list[float]]) -> None:
        known = np.concatenate([self._front, np.array(new)])
        front = np.unique(known[pareto_front(known)], axis=0)
        changed = not np.array_equal(front, self._front)
        self._front = front
        if self._reference is None:
            self._first += new[: FIRST - len(self._first)]
            if len(self._first) < FIRST:
                return
            self._reference = self._fixed()
            changed = True
        if changed:
            scale = np.abs(self._reference)
            scale[0] = 1.0
            scale[scale == 0] = 1.0
            self._volume = hypervolume(self._front / scale, self._reference / scale)

    def _fixed(self) -> npt.NDArray[np.float64]:
        reference = np.array(self._first).min(axis=0)
        for column, name in enumerate(self._minimise, start=1):
            reference[column] = -self._budgets.get(name, -reference[column])
        return reference

    def _point(self, record: Record) -> list[float]:
        assert record.score is not None
        return [record.score, *[-float(getattr(record.cost, name)) for name in self._minimise]]
