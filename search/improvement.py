"""How much hypervolume a candidate is expected to add to a front of several objectives, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from accelzoo.search.pareto import pareto_front, rank_and_crowd

Array = npt.NDArray[np.float64]
Box = tuple[tuple[float, float], ...]

MARGIN = 0.1
MOST_MEMBERS = {2: 1000, 3: 150, 4: 40}
"""Objectives → members of a front that are cut into boxes; of five and more objectives 16."""
_CELLS = 1 << 22  # of candidates times boxes at a time: 32 MiB


class HypervolumeImprovement:
    """E[hypervolume(front and Y) − hypervolume(front)] for independent normal objectives Y of candidates.

    What no member of the front reaches is cut into boxes [l, u). The improvement is the volume between the reference
    and Y within them, so its expectation is Σ_boxes Π_j (E[(Y_j − l_j)⁺] − E[(Y_j − u_j)⁺]), whose factors have the
    closed form of expected improvement (Emmerich, Deutz and Klinkenberg, CEC 2011, for two objectives; Yang, Emmerich,
    Deutz and Bäck, J. Global Optim. 75, 2019, §3, for boxes). A standard deviation of 0 is allowed: an objective that
    is known.

    Args:
        front: `(m, objectives)`, higher is better; dominated rows do no harm. Of a front with more than `MOST_MEMBERS`
            only the loneliest members count, by crowding distance.
        reference: `(objectives,)`.
    """

    def __init__(self, front: Array, reference: Array) -> None:
        boxes = np.array(non_dominated_boxes(_thinned(front, reference), reference.tolist()))
        self._boxes = len(boxes)
        self._sides = [np.unique(boxes[:, at], axis=0, return_inverse=True) for at in range(len(reference))]

    def expected(self, mean: Array, std: Array) -> Array:
        """Returns the improvement that is expected of each candidate.

        Args:
            mean: `(n, objectives)`.
            std: `(n, objectives)`, not negative.

        Returns:
            `(n,)`, not negative, in the product of the objectives' units.
        """
        gains = [_gains(mean[:, at], std[:, at], sides) for at, (sides, _) in enumerate(self._sides)]
        total = np.empty(len(mean))
        step = max(1, _CELLS // self._boxes)
        for first in range(0, len(mean), step):
            rows = slice(first, first + step)
            product = np.ones((len(total[rows]), self._boxes))
            for gain, (_, places) in zip(gains, self._sides, strict=True):
                product *= gain[rows][:, places.reshape(-1)]
            total[rows] = product.sum(axis=1)
        return total


def reference_point(values: Array) -> Array:
    """Returns what a front is measured from: the worst of all values, and a tenth of the front's range below.

    So both ends of the front are worth extending as far as anything that was looked at. (From the front's own worst
    values, a usual choice, a search with known costs never looks far beyond its slowest member; on Accel-NASBench that
    reaches 0.954 of the whole hypervolume in place of 0.9995.) Where the front has no range, 1 counts as one.

    Args:
        values: Of what was evaluated, `(n, objectives)`, outliers raised (`accelzoo.search.models.with_floor`).
    """
    spread = np.ptp(values[pareto_front(values)], axis=0)
    reference: Array = values.min(axis=0) - MARGIN * np.where(spread > 0, spread, 1.0)
    return reference


def non_dominated_boxes(front: Array, reference: list[float]) -> list[Box]:
    """Cuts what lies above the reference and is reached by no member of the front into disjoint boxes.

    Slices are laid from the top of the last objective downwards; the members above a slice leave free in it what they
    leave free in the other objectives. A box goes on through neighbouring slices as long as it stays the same.

    Args:
        front: `(m, objectives)`.
        reference: `(objectives,)`.

    Returns:
        For each box its lower and upper bound in every objective; an upper bound may be infinite.
    """
    *_, lowest = reference
    if len(reference) == 1:
        return [((max([lowest, *front[:, 0].tolist()]), math.inf),)]
    finished: list[Box] = []
    opened: dict[Box, float] = {}  # base → where its box begins, at the top
    ceiling = math.inf
    for level in [*sorted({*front[:, -1].tolist()} - {lowest}, reverse=True), lowest]:
        above = front[front[:, -1] >= ceiling][:, :-1]
        bases = dict.fromkeys(non_dominated_boxes(above[pareto_front(above)], reference[:-1]))
        finished += _closed((base for base in opened if base not in bases), opened, ceiling)
        opened = {base: opened.get(base, ceiling) for base in bases}
        ceiling = level
    return finished + _closed(opened, opened, lowest)


def _closed(bases: Iterable[Box], opened: dict[Box, float], bottom: float) -> list[Box]:
    return [(*base, (bottom, opened[base])) for base in bases]


def _thinned(front: Array, reference: Array) -> Array:
    """Returns the members of the front that are above the reference, at most as many as can be cut into boxes."""
    front = front[(front > reference).all(axis=1)]
    front = np.unique(front[pareto_front(front)], axis=0)
    most = MOST_MEMBERS.get(front.shape[1], 16)
    if len(front) <= most:
        return front
    _, crowding = rank_and_crowd(front)
    return front[np.sort(np.argsort(-crowding, kind="stable")[:most])]


def _gains(mean: Array, std: Array, sides: Array) -> Array:
    """Returns E[length of each side below Y] for sides `(sides, 2)`: `(n, sides)`."""
    edges = np.unique(sides)
    beyond = _expected_excess(mean, std, edges[np.isfinite(edges)])
    beyond = np.concatenate([beyond, np.zeros((len(mean), 1))], axis=1)  # nothing is above infinity
    lower, upper = np.searchsorted(edges, sides).T
    return np.maximum(beyond[:, lower] - beyond[:, upper], 0.0)


def _expected_excess(mean: Array, std: Array, edges: Array) -> Array:
    """Returns E[(Y − edge)⁺], `(n, edges)`: σ φ(z) + (μ − edge) Φ(z) with z = (μ − edge) / σ."""
    from scipy.special import ndtr

    known = np.maximum(std, 1e-100)[:, None]
    gain = mean[:, None] - edges
    ahead = np.clip(gain / known, -1e3, 1e3)  # beyond, both functions have reached their limits
    density = np.exp(-0.5 * ahead**2) / math.sqrt(2 * math.pi)
    excess: Array = gain * ndtr(ahead) + std[:, None] * density
    return excess
