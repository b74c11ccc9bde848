"""The regret certificate: the exact front of quality and cost before and after, and what was lost between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.search.curation._quality import COLUMN
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.exact import AdditiveTable, Front, front

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What dropping values did to the trade-off of quality against cost.

    Attributes:
        certified: Whether both fronts are exact and complete; else the figures are of a sample.
        reason: Why not, if so.
        quality: What stands for quality.
        explained: Share of its variance that the sum over parts explains which the fronts are made of; NaN without one.
        before: Points of the front before; genomes sampled, if it is not certified.
        after: Points of the front after.
        lost: Points before which nothing after is as good as at no more cost; sampled genomes that got dearer or worse.
        extra_cost: The most that reaching the quality of a point costs more, as a share; inf if it is out of reach.
        lost_quality: The most quality lost at equal cost, as a share of the range of the front (or sample).
        restored: Values that had been found needless and were put back since the front needs them.
    """

    certified: bool
    reason: str = ""
    quality: str
    explained: float
    before: int
    after: int
    lost: int
    extra_cost: float
    lost_quality: float
    restored: int = 0

    @property
    def lossless(self) -> bool:
        """Whether it is proven that nothing on the front was lost."""
        return self.certified and not self.lost

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite is None."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        finite = {
            name: value if not isinstance(value, float) or np.isfinite(value) else None for name, value in data.items()
        }
        return finite | {"lossless": self.lossless}

    def __str__(self) -> str:
        if not self.certified:
            return (
                f"not certified: {self.reason}\nof {self.before} sampled genomes, put in the nearest better values, "
                f"{self.lost} got dearer or worse: by at most {self.extra_cost:.2%} of cost and "
                f"{self.lost_quality:.2%} of the range of {self.quality}"
            )
        fit = f"({self.quality} as a sum over parts, R² {self.explained:.3f})"
        if not self.lost:
            return f"certified: nothing lost; exact front {self.before:,} points before, {self.after:,} after {fit}"
        beyond = "some are out of reach" if np.isinf(self.extra_cost) else f"at most {self.extra_cost:.2%} more cost"
        return (
            f"certified loss: {self.lost:,} of {self.before:,} points of the exact front are lost, {beyond}, at most "
            f"{self.lost_quality:.2%} of the front's range of quality at equal cost; {self.after:,} points after {fit}"
        )


def among(table: AdditiveTable, kept: Kept) -> AdditiveTable:
    """Returns the problem with only the values that are kept."""
    allowed = [np.isin(np.arange(size), left) for size, left in zip(table.sizes, kept, strict=True)]
    layers = []
    for layer in table.layers:
        stays = np.ones(len(layer.source), np.bool_)
        for place, position in enumerate(layer.positions):
            stays &= allowed[position][layer.choices[:, place]]
        layers.append(
            replace(
                layer,
                choices=layer.choices[stays],
                source=layer.source[stays],
                target=layer.target[stays],
                values=layer.values[stays],
            )
        )
    return replace(table, layers=tuple(layers))


def exact_front(table: AdditiveTable, cost: str, max_labels: int) -> Front:
    """The front of a cost column and the quality column."""
    return front(table, (cost, COLUMN), max_labels=max_labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """What one front lacks of another, point by point.

    Attributes:
        extra_cost: How much more the quality of each point costs, as a share, `(points,)`; inf if it is out of reach.
        lost_quality: How much less there is at each point's cost, as a share of the front's range, `(points,)`.
    """

    extra_cost: Floats
    lost_quality: Floats

    @classmethod
    def between(cls, before: Front, after: Front) -> Loss:
        """Compares two fronts of (cost, quality), both ascending; what a cost below all of `after` buys is nothing."""
        cost, quality = after.values.T
        old_cost, old_quality = before.values.T
        affordable = np.searchsorted(cost, old_cost * (1 + ROUNDING), side="right") - 1
        best = np.where(affordable >= 0, quality[np.maximum(affordable, 0)], old_quality.min())
        spread = float(np.ptp(old_quality)) or 1.0
        enough = np.searchsorted(quality, old_quality - ROUNDING * spread, side="left")
        needed = np.where(enough < len(cost), cost[np.minimum(enough, len(cost) - 1)], np.inf)
        return cls(
            extra_cost=np.maximum(0.0, needed / old_cost - 1),
            lost_quality=np.maximum(0.0, old_quality - best) / spread,
        )

    def beyond(self, share: float) -> npt.NDArray[np.int64]:
        """The points that cost more by more than a share."""
        return np.flatnonzero(self.extra_cost > max(share, ROUNDING))


def sampled_loss(costs: Sequence[Floats], qualities: Sequence[Floats]) -> tuple[int, float, float]:
    """Compares genomes with what replaces them: how many got dearer or worse, and the largest shares of both."""
    before, after = costs
    runs = np.isfinite(before)
    extra = np.where(runs, after / np.where(runs, before, 1.0) - 1, 0.0)
    spread = float(np.ptp(qualities[0])) or 1.0
    worse = (qualities[0] - qualities[1]) / spread
    lost = int(((extra > ROUNDING) | (worse > ROUNDING)).sum())
    return lost, max(0.0, float(extra.max(initial=0.0))), max(0.0, float(worse.max(initial=0.0)))
