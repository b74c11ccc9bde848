"""Dominance among the values of one knob: one that costs as much as a better one in the same place never pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dominated:
    """A value that another of the same knob makes needless.

    Attributes:
        value: Its index.
        by: Index of the better one.
        cost: Its mean cost over the contexts in which it costs no less.
        by_cost: Mean cost of the better one there.
        agreeing: In how many contexts it costs no less.
        contexts: Of how many.
    """

    value: int
    by: int
    cost: float
    by_cost: float
    agreeing: int
    contexts: int


def dominated(
    costs: Floats, ranked: Sequence[int], better: npt.NDArray[np.bool_] | None, tolerance: float, agreement: float
) -> list[Dominated]:
    """Returns the values that a better one dominates which itself stays.

    Args:
        costs: Of every value in every context, `(contexts, values)`, inf where it cannot be run.
        ranked: Places of the values in `costs` from the worst to the best.
        better: `(contexts, values, values)`: whether the second is at least as good as the first there; None if that is
            so whenever it stands later in `ranked`.
        tolerance: How much dearer, as a share of the whole cost, still counts as equal.
        agreement: In what share of the contexts it must be so.
    """
    kept: list[int] = []
    found = []
    for place in reversed(ranked):
        own = costs[:, place]
        best: Dominated | None = None
        for other in reversed(kept):
            agrees = costs[:, other] <= own * (1 + tolerance)
            if better is not None:
                agrees &= better[:, place, other]
            both = agrees & np.isfinite(own)
            if not both.any() or agrees.mean() < agreement or (best and int(agrees.sum()) <= best.agreeing):
                continue
            best = Dominated(value=place, by=other, cost=float(own[both].mean()),
                             by_cost=float(costs[both, other].mean()), agreeing=int(agrees.sum()),
                             contexts=len(costs))  # fmt: skip
        if best is None:
            kept.append(place)
        else:
            found.append(best)
    return found
