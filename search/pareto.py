"""Fronts of several objectives: non-dominated sorting, crowding distance, Pareto front, hypervolume; all maximised.

A row dominates another if it is at least as good in every objective and better in one. Rows of −inf are candidates
without values: they are dominated by every other row and belong to no Pareto front.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_PASSES = 16  # fronts taken off one by one, at a few microseconds each, before the rest are sorted row by row


def non_dominated_ranks(values: npt.ArrayLike) -> Indices:
    """Sorts rows into fronts: rank 0 is not dominated, rank k only by rows of lower ranks, among them one of k − 1.

    Up to two objectives take O(n log n): the longest chain of dominating rows is found as in patience sorting
    (Jensen, "Reducing the run-time complexity of multiobjective EAs", IEEE TEVC 7(5), 2003, treats the general case).
    Three and more take O(objectives · n²) in vector operations, and O(n) memory.

    Args:
        values: `(n, objectives)`, higher is better.

    Returns:
        int64 `(n,)`.

    Raises:
        ShapeError: If the values are no matrix with at least one column.
        ValueError: If a value is NaN or +inf.
    """
    return rank_and_crowd(_checked(values))[0]


def crowding_distances(values: npt.ArrayLike) -> Values:
    """Returns how lonely each row is within its front (Deb et al. 2002, §III-B): the larger, the more worth keeping.

    The distance is the sum over objectives of the gap between the two neighbours in the front, divided by the front's
    range; the ends of a front have +inf. Of equal rows only the first counts and the others have 0, so that copies of
    an end do not crowd out the rest (the paper leaves equal rows open).

    Args:
        values: `(n, objectives)`, higher is better.

    Returns:
        float64 `(n,)`, not negative.

    Raises:
        ShapeError: If the values are no matrix with at least one column.
        ValueError: If a value is NaN or +inf.
    """
    return rank_and_crowd(_checked(values))[1]


def rank_and_crowd(values: Values, enough: int | None = None) -> tuple[Indices, Values]:
    """Returns `non_dominated_ranks` and `crowding_distances` for the price of one sort.

    Args:
        values: `(n, objectives)`, higher is better, neither NaN nor +inf.
        enough: Rank only the best fronts that have this many rows together: all others share the rank after them, and
            have distance 0. None: all.
    """
    order, new, distinct = _distinct(values)
    fronts = _fronts(distinct, len(distinct) if enough is None else enough)
    ranked = np.flatnonzero(fronts >= 0)
    distances = np.zeros(len(distinct))
    distances[ranked] = _distances(distinct[ranked], fronts[ranked])
    fronts[fronts < 0] = fronts.max(initial=-1) + 1
    ranks, crowding = np.empty(len(values), np.int64), np.zeros(len(values))
    if len(distinct) < len(values):
        crowding[order[new]] = distances
        fronts = fronts[np.cumsum(new) - 1]
    else:
        crowding[order] = distances
    ranks[order] = fronts
    return ranks, crowding


def pareto_front(values: npt.ArrayLike) -> Indices:
    """Returns the rows that no row dominates, equal ones all, in the order given: int64 `(front,)`.

    Args:
        values: `(n, objectives)`, higher is better.

    Raises:
        ShapeError: If the values are no matrix with at least one column.
        ValueError: If a value is NaN or +inf.
    """
    matrix = _checked(values)
    order, new, distinct = _distinct(matrix)
    member = np.zeros(len(matrix), np.bool_)
    member[order] = _best(distinct)[np.cumsum(new) - 1]
    return np.flatnonzero(member & np.isfinite(matrix).all(axis=1))


def hypervolume(values: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Returns the volume that the rows dominate above a reference point, exactly (up to rounding).

    Two objectives take O(n log n). Each further one multiplies that by the front's size, as one sweeps over slices
    (Zitzler's "hypervolume by slicing objectives"): meant for fronts of up to some hundred rows with three objectives.

    Args:
        values: `(n, objectives)`, higher is better. Rows not above the reference in every objective count for nothing.
        reference: `(objectives,)`, finite: a value of each objective that is just not worth having.

    Returns:
        The volume, in the product of the objectives' units.

    Raises:
        ShapeError: If the values are no matrix with a column for each entry of the reference.
        ValueError: If a value is NaN or +inf, or the reference is not finite.
    """
    matrix = _checked(values)
    corner = np.asarray(reference, np.float64)
    if corner.shape != matrix.shape[1:]:
        raise ShapeError(f"reference of shape {corner.shape} must have shape {matrix.shape[1:]}: one per objective")
    if not np.isfinite(corner).all():
        raise ValueError(f"reference {corner.tolist()} must be finite")
    return _volume(matrix[(matrix > corner).all(axis=1)] - corner)


def _checked(values: npt.ArrayLike) -> Values:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1:
        raise ShapeError(f"values of shape {matrix.shape} must have shape (n, objectives), with at least one objective")
    if not (matrix < math.inf).all():
        raise ValueError("values must be numbers or -inf; there is a NaN or a +inf")
    return matrix


def _distinct(matrix: Values) -> tuple[Indices, Flags, Values]:
    """Sorts rows in ascending order, the first column first: the order, where a new row begins, the distinct rows."""
    order = np.argsort(matrix[:, 0])
    first = matrix[order, 0]
    if (first[1:] == first[:-1]).any():
        order = np.lexsort(matrix.T[::-1])
    ordered = matrix[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = False
    for column in ordered.T:
        new[1:] |= column[1:] != column[:-1]
    return order, new, ordered if new.all() else ordered[new]


def _fronts(distinct: Values, enough: int) -> Indices:
    """Returns the rank of each row of a matrix of distinct rows in ascending order.

    Fronts after those that have `enough` rows together may get −1 instead.
    """
    count, objectives = distinct.shape
    if objectives == 1:
        return np.arange(count - 1, -1, -1)
    if objectives > 2:
        return _fronts_by_comparison(distinct)
    ranks = np.full(count, -1)
    left, seconds = np.arange(count - 1, -1, -1), distinct[::-1, 1]
    for rank in range(_PASSES):
        if enough <= 0 or not len(left):
            return ranks
        best = _rising(seconds)
        members = left[best]
        ranks[members] = rank
        enough -= len(members)
        left, seconds = left[~best], seconds[~best]
    ranks[left] = [_PASSES + rank for rank in _chains((-seconds).tolist())]
    return ranks


def _rising(seconds: Values) -> Flags:
    """Tells which of distinct rows, best first objective first, none dominates: those above all before them."""
    best = np.ones(len(seconds), np.bool_)
    best[1:] = seconds[1:] > np.maximum.accumulate(seconds)[:-1]
    return best


def _chains(keys: list[float]) -> list[int]:
    """Returns the ranks of distinct rows, best first objective first, by minus their second: patience sorting."""
    worst: list[float] = []  # by front, the last key: ascending; a row joins the first front that does not beat it
    ranks = []
    for key in keys:
        rank = bisect_right(worst, key)
        if rank == len(worst):
            worst.append(key)
        else:
            worst[rank] = key
        ranks.append(rank)
    return ranks


def _fronts_by_comparison(distinct: Values) -> Indices:
    columns = np.ascontiguousarray(distinct[::-1, 1:].T)  # the first column is sorted: it never decides
    ranks = np.zeros(len(distinct), np.int64)
    for row in range(1, len(distinct)):
        beaten = columns[0, :row] >= columns[0, row]
        for column in columns[1:]:
            beaten &= column[:row] >= column[row]
        ranks[row] = ranks[:row].max(initial=-1, where=beaten) + 1
    return ranks[::-1].copy()


def _distances(distinct: Values, fronts: Indices) -> Values:
    """Returns the crowding distance of each row of a matrix of distinct rows in ascending order."""
    count, objectives = distinct.shape
    total = np.zeros(count)
    if not count:
        return total
    if not np.isfinite(distinct).all():
        distinct = np.where(np.isfinite(distinct), distinct, 0.0)
    order = np.argsort(fronts.astype(np.int16) if count < 1 << 15 else fronts, kind="stable")  # int16: a radix sort
    by_front = fronts[order]
    begins = np.ones(count, np.bool_)
    begins[1:] = by_front[1:] != by_front[:-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], count) - 1
    front = np.cumsum(begins) - 1
    # Of two objectives, the second runs against the first along a front: both have the same neighbours.
    for objective, values in enumerate(distinct.T):
        if objective and objectives > 2:
            order = np.lexsort((values, fronts))
        column = values[order]
        spans = np.abs(column[ends] - column[starts])
        spans[spans == 0] = 1.0  # the gaps are 0 there
        gaps = np.full(count, math.inf)
        np.abs(column[2:] - column[:-2], out=gaps[1:-1])
        gaps /= spans[front] if len(starts) > 1 else spans
        gaps[starts] = gaps[ends] = math.inf
        total[order] += gaps
    return total


def _best(distinct: Values) -> Flags:
    """Tells which rows of a matrix of distinct rows in ascending order are dominated by none."""
    count, objectives = distinct.shape
    best = np.zeros(count, np.bool_)
    if objectives == 1:
        best[-1:] = True
    elif objectives == 2:
        best[::-1] = _rising(distinct[::-1, 1])
    else:
        left = np.arange(count - 1, -1, -1)
        while len(left):  # the first is dominated by none; it takes those away that it dominates
            best[left[0]] = True
            left = left[(distinct[left] > distinct[left[0]]).any(axis=1)]
    return best


def _volume(points: Values) -> float:
    """Returns the volume between the origin and points that are positive in every coordinate."""
    points = points[pareto_front(points)]
    if points.shape[1] == 1:
        return float(points.max(initial=0.0))
    # Slices between neighbouring values of the last coordinate; a slice's base is spanned by the points above it.
    points = points[np.argsort(-points[:, -1], kind="stable")]
    depths = points[:, -1] - np.append(points[1:, -1], 0.0)
    if points.shape[1] == 2:
        return math.fsum((depths * points[:, 0]).tolist())  # on a front, the first coordinate rises along it
    return math.fsum(depth * _volume(points[: row + 1, :-1]) for row, depth in enumerate(depths.tolist()) if depth)
