"""The Pareto front of a run while it grows: which candidates are on it, and the volume that it dominates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.growing_front import FIRST
from accelzoo.search.pareto import Values, hypervolume, pareto_front
from accelzoo.search.record import COST_FIELDS, Record

_BATCH = 512  # three and more objectives are compared pair by pair
MOST_MEASURED = 200  # members of a front whose volume is measured each second


def cost_fields(header: Mapping[str, Any], asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the costs that count beside accuracy.

    Args:
        header: Of the trace.
        asked: The fields that were asked for; without any, those the search minimised, else those it was to keep an eye
            on: the objective's and the budgeted ones.

    Raises:
        ConfigError: If a field is unknown.
    """
    faults = [
        f"--minimise {name}: unknown cost field; allowed: {', '.join(COST_FIELDS)}{suggestion(name, COST_FIELDS)}"
        for name in asked
        if name not in COST_FIELDS
    ]
    if faults:
        raise ConfigError(faults)
    objective = header["objective"]
    return tuple(
        dict.fromkeys(asked or objective.get("minimise") or (objective["cost_field"], *header["budgets"]))
    )


class Front:
    """The candidates that no other beats, kept up to date.

    Args:
        fields: The costs that count beside accuracy.
        header: Of the trace.

    Attributes:
        fields: As given.
        members: The front so far, most accurate first; of equals all, as in `Result.front`.
        bounds: From which accuracy on and below which costs volume counts. As in the progress of a search: the lowest
            accuracy of the first 10 candidates that have one; of each cost its budget, or else the highest of these 10.
            None before there are 10.
    """

    def __init__(self, fields: Sequence[str], header: Mapping[str, Any]) -> None:
        self.fields = tuple(fields)
        self._header = header
        self.members: list[Record] = []
        self._first: list[Record] = []
        self.bounds: tuple[float, ...] | None = None

    def fresh(self) -> Front:
        """Returns one like it, without candidates."""
        return Front(self.fields, self._header)

    def update(self, records: Iterable[Record]) -> bool:
        """Takes in more candidates and returns whether the front or its volume has changed.

        Only those count that have an accuracy and a price, and architectures that come up again count once.
        """
        new = [record for record in records if record.status == "ok" and record.cost is not None]
        before, bounds = self.members, self.bounds
        if self.bounds is None:
            self._first += new[: FIRST - len(self._first)]
            if len(self._first) == FIRST:
                self.bounds = self._bounds(self._first)
        for start in range(0, len(new), _BATCH):
            together = [*self.members, *new[start : start + _BATCH]]
            kept = [together[row] for row in pareto_front(self._points(together))]
            self.members = sorted(kept, key=lambda record: (-_accuracy(record), *self._costs(record), record.index))
        return self.members != before or self.bounds != bounds

    def hypervolume(self, bounds: tuple[float, ...] | None = None) -> float | None:
        """Returns the volume that the front dominates within bounds, in the unit of accuracy.

        Costs count in shares of their bounds: it is by how much accuracy exceeds its bound at a budget, averaged over
        all budgets.

        Args:
            bounds: Others than `self.bounds`.

        Returns:
            The volume; None before there are bounds, and for a large front of three and more objectives.
        """
        bounds = bounds or self.bounds
        if bounds is None or (len(self.fields) > 1 and len(self.members) > MOST_MEASURED):
            return None
        corner = np.array([bounds[0], *(-cost for cost in bounds[1:])])
        scale = np.abs(corner)
        scale[0] = 1.0
        scale[scale == 0] = 1.0
        return hypervolume(self._points(self.members) / scale, corner / scale)

    def widest(self, records: Iterable[Record]) -> tuple[float, ...]:
        """Returns bounds that leave nobody out: the lowest accuracy; of each cost the budget, or else the highest."""
        return self._bounds([record for record in records if record.status == "ok" and record.cost is not None])

    def _bounds(self, records: Sequence[Record]) -> tuple[float, ...]:
        lowest, *costs = self._points(records).min(axis=0).tolist()
        budgets = self._header["budgets"]
        return (lowest, *(budgets.get(name, -cost) for name, cost in zip(self.fields, costs, strict=True)))

    def _points(self, records: Sequence[Record]) -> Values:
        rows = [(_accuracy(record), *(-cost for cost in self._costs(record))) for record in records]
        return np.array(rows, dtype=np.float64).reshape(len(records), 1 + len(self.fields))

    def _costs(self, record: Record) -> list[float]:
        return [getattr(record.cost, name) for name in self.fields]


def _accuracy(record: Record) -> float:
    return float("nan") if record.accuracy is None else record.accuracy
