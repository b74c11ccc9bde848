"""Which of many points no other point beats: sweeps in the order of the first column, smaller is better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
BLOCK = 256
LONG_RUN = 2_000  # from here on, a look at a coarse staircase costs less than sorting what it leaves out
PER_STEP = 8  # points of a run per step of that staircase


def undominated(points: Floats, runs: int = 1) -> Indices:
    """Returns the points that no other is at least as good as in every column, of equal points the first.

    Two columns take one stable sort and one running minimum (Kung, Luccio and Preparata 1975, §2); three take a
    staircase of the last two, searched by bisection, in O(n log n + n · block); more take comparison with all kept.

    Args:
        points: `(columns, n)`.
        runs: How many runs of equal length the points are, each an ascending front of two columns, where that is known.

    Returns:
        Their indices, `(m,)`, in ascending order of the first column, then of the others.
    """
    if len(points) == 2 and runs > 1 and points.shape[1] > runs * LONG_RUN:
        left = _below_staircase(*points.reshape(2, runs, -1))
        return left[_two(points[0].take(left), points[1].take(left))]
    if points.shape[1] < 2:
        return np.arange(points.shape[1])
    if len(points) == 1:
        return np.array([int(np.argmin(points[0]))])
    if len(points) == 2:
        return _two(points[0], points[1])
    return _many(points)


def layers_of_dominance(points: Floats, depth: int) -> Indices:
    """Returns every point that fewer than `depth` others dominate or equal, and some more: `depth` fronts peeled off.

    A point behind them has one dominator in each, so it cannot be among the `depth` best of anything monotone.

    Args:
        points: `(columns, n)`.
        depth: How many fronts.

    Returns:
        Their indices, in ascending order.
    """
    left = np.arange(points.shape[1])
    taken = []
    for _ in range(depth):
        if not len(left):
            break
        front = undominated(points[:, left])
        taken.append(left[front])
        left = np.delete(left, front)
    return np.sort(np.concatenate(taken)) if taken else left


def _two(first: Floats, second: Floats) -> Indices:
    order = np.argsort(first, kind="stable")
    ordered = second[order]
    keep = np.empty(len(order), np.bool_)
    keep[0] = True
    np.less(ordered[1:], np.minimum.accumulate(ordered)[:-1], out=keep[1:])
    order = order[keep]
    # What is kept falls strictly in the second column, so of equals in the first only the last is undominated.
    ordered = first[order]
    keep = np.empty(len(order), np.bool_)
    keep[-1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[:-1])
    return order[keep]


def _below_staircase(first: Floats, second: Floats) -> Indices:
    """Returns the points of ascending fronts, `(runs, n)`, that a coarse staircase of them all does not dominate.

    Most points of a sum of fronts go here, without having been sorted.
    """
    steps = first.shape[1] // PER_STEP
    low, high = float(first[:, 0].min()), float(first[:, -1].max())
    width = (high - low) / steps or 1.0
    edges = low + width * np.arange(steps)
    # Step i + 1 is the least second value of a point at or before edge i, so that a rounded step is still a true one.
    stairs = np.full(steps + 1, np.inf)
    for run, values in zip(first, second, strict=True):
        last = np.searchsorted(run, edges, side="right") - 1
        reached = values.take(np.maximum(last, 0))
        reached[last < 0] = np.inf
        np.minimum(stairs[1:], reached, out=stairs[1:])
    place = first - low
    place *= 1 / width
    step = place.astype(np.int32)
    return np.flatnonzero(second <= stairs.take(step, mode="clip"))


def _many(points: Floats) -> Indices:
    order = np.lexsort(points[::-1])
    rest = points[1:, order]  # what stands earlier is never worse in the first column
    archive = rest[:, :0]
    kept = []
    for start in range(0, rest.shape[1], BLOCK):
        place = np.arange(start, min(start + BLOCK, rest.shape[1]))
        place = place[~_beaten(archive, rest[:, place])]
        block = rest[:, place]
        worse = (block[:, :, None] <= block[:, None, :]).all(axis=0)
        place = place[~np.triu(worse, 1).any(axis=0)]
        kept.append(place)
        archive = np.concatenate([archive, rest[:, place]], axis=1)
        if len(archive) == 2:
            archive = archive[:, _two(archive[0], archive[1])]
    return order[np.concatenate(kept)]


def _beaten(archive: Floats, block: Floats) -> npt.NDArray[np.bool_]:
    """Tells which points of a block an archive point is at least as good as in every column."""
    if not archive.shape[1]:
        return np.zeros(block.shape[1], np.bool_)
    if len(archive) == 2:  # a staircase: ascending in the first column, falling in the second
        step = np.searchsorted(archive[0], block[0], side="right") - 1
        found: npt.NDArray[np.bool_] = (step >= 0) & (archive[1][np.maximum(step, 0)] <= block[1])
        return found
    beaten = np.zeros(block.shape[1], np.bool_)
    for start in range(0, archive.shape[1], 8 * BLOCK):
        some = archive[:, start : start + 8 * BLOCK]
        beaten |= (some[:, :, None] <= block[:, None, :]).all(axis=0).any(axis=0)
    return beaten
