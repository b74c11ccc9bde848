"""Fronts, crowding distances and hypervolumes equal those of brute force and closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo.errors import ShapeError
from accelzoo.search.pareto import (
    crowding_distances,
    hypervolume,
    non_dominated_ranks,
    pareto_front,
    rank_and_crowd,
)

Values = npt.NDArray[np.float64]


def cases() -> Iterator[Values]:
    """Continuous rows, rows full of ties and copies, rows without values, and very many and very few fronts."""
    rng = np.random.default_rng(5)
    for objectives, count in itertools.product((1, 2, 3, 4), (1, 2, 3, 40, 120)):
        yield rng.random((count, objectives))
        yield rng.integers(0, 4, (count, objectives)).astype(np.float64)
        failed = rng.integers(0, 9, (count, objectives)).astype(np.float64)
        failed[rng.random(count) < 0.3] = -math.inf
        yield failed
    yield np.repeat(np.arange(100.0)[:, None], 2, axis=1)  # a chain: 100 fronts
    yield np.stack([np.arange(100.0), -np.arange(100.0)], axis=1)  # one front
    yield np.array([[5.0, -math.inf], [4.0, 1.0], [5.0, 0.0], [-math.inf, 9.0]])


CASES = list(cases())


def dominates(one: Values, other: Values) -> bool:
    return bool((one >= other).all() and (one > other).any())


def ranks_by_definition(values: Values) -> list[int]:
    """The length of the longest chain of rows that dominate one another above each row."""
    ranks = [-1] * len(values)
    for rank in range(len(values)):
        left = [row for row in range(len(values)) if ranks[row] < 0]
        for row in left:
            if not any(dominates(values[other], values[row]) for other in left):
                ranks[row] = rank
    return ranks


@pytest.mark.parametrize("values", CASES)
def test_ranks_are_those_of_the_definition(values: Values) -> None:
    expected = ranks_by_definition(values)
    assert non_dominated_ranks(values).tolist() == expected
    front = [row for row, rank in enumerate(expected) if rank == 0 and np.isfinite(values[row]).all()]
    assert pareto_front(values).tolist() == front


@pytest.mark.parametrize("values", CASES)
def test_enough_ranks_the_best_fronts_and_lumps_the_rest(values: Values) -> None:
    ranks, crowding = rank_and_crowd(values)
    for enough in (1, max(1, len(values) // 3), len(values)):
        some, distances = rank_and_crowd(values, enough)
        # The rank at which the fronts have `enough` rows: everything up to it is as without the limit.
        last = int(np.sort(ranks)[enough - 1])
        told = ranks <= last
        assert some[told].tolist() == ranks[told].tolist()
        assert distances[told].tolist() == crowding[told].tolist()
        assert (some[~told] > last).all()


def crowding_by_definition(values: Values) -> Values:
    """Figure "crowding-distance-assignment" of Deb et al. 2002, front by front; copies after the first have 0."""
    ranks = ranks_by_definition(values)
    result = np.zeros(len(values))
    for rank in set(ranks):
        first = {tuple(values[row].tolist()): row for row in reversed(range(len(values))) if ranks[row] == rank}
        for objective in range(values.shape[1]):
            # rows with equal values of this objective: in order of the others, as anywhere in this module
            rest = [one for one in range(values.shape[1]) if one != objective]
            rows = sorted(first.values(), key=lambda row: [values[row, one] for one in (objective, *rest)])
            result[rows[0]] = result[rows[-1]] = math.inf
            for before, row, after in zip(rows, rows[1:], rows[2:], strict=False):
                span = values[rows[-1], objective] - values[rows[0], objective]
                if span:
                    result[row] += (values[after, objective] - values[before, objective]) / span
    return result


@pytest.mark.parametrize("values", CASES[:-1])  # a gap to −inf has no size
def test_crowding_is_that_of_the_definition(values: Values) -> None:
    assert crowding_distances(values) == pytest.approx(crowding_by_definition(values), abs=1e-12)


def test_a_crowding_distance_by_hand() -> None:
    # First objective 0, 1, 4, 10 (range 10), second 9, 8, 2, 0 (range 9).
    values = np.array([[0.0, 9.0], [1.0, 8.0], [4.0, 2.0], [10.0, 0.0]])
    assert crowding_distances(values) == pytest.approx([math.inf, 4 / 10 + 7 / 9, 9 / 10 + 8 / 9, math.inf])


def volume_by_inclusion_and_exclusion(values: Values, reference: Values) -> float:
    """Sums over all subsets the volume of their common box, with alternating signs."""
    boxes = np.maximum(values - reference, 0.0)
    total = 0.0
    for size in range(1, len(boxes) + 1):
        for subset in itertools.combinations(range(len(boxes)), size):
            total -= (-1) ** size * math.prod(boxes[list(subset)].min(axis=0).tolist())
    return total


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_hypervolume_is_the_volume_of_the_union_of_boxes(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for count in (0, 1, 2, 7, 9):
        for values in (rng.random((count, objectives)), rng.integers(0, 4, (count, objectives)).astype(np.float64)):
            reference = np.full(objectives, 0.2)
            expected = volume_by_inclusion_and_exclusion(values, reference)
            assert hypervolume(values, reference) == pytest.approx(expected, abs=1e-12)


def test_hypervolume_of_known_fronts() -> None:
    # A staircase of n unit steps covers n (n + 1) / 2 unit squares; in three dimensions, corners with x + y + z = n + 2
    # cover all unit cubes with x + y + z <= n + 2: n (n + 1) (n + 2) / 6.
    for n in (1, 4, 12):
        stairs = np.array([[x, n + 1 - x] for x in range(1, n + 1)], np.float64)
        assert hypervolume(stairs, [0, 0]) == n * (n + 1) / 2
        pyramid = [[x, y, n + 2 - x - y] for x in range(1, n + 1) for y in range(1, n + 2 - x)]
        assert hypervolume(np.array(pyramid, np.float64), [0, 0, 0]) == n * (n + 1) * (n + 2) / 6


def test_rows_that_count_for_nothing() -> None:
    values = np.array([[2.0, 3.0], [-math.inf, -math.inf], [1.0, 9.0], [9.0, 1.0], [2.0, 3.0], [1.5, 2.0]])
    assert hypervolume(values, [1, 1]) == 2.0
    assert hypervolume(values[:0], [1, 1]) == 0.0
    assert pareto_front(values).tolist() == [0, 2, 3, 4]
    assert pareto_front(np.full((3, 2), -math.inf)).tolist() == []


def test_what_is_no_matrix_of_numbers_is_refused() -> None:
    for bad in (np.zeros(3), np.zeros((3, 0)), np.zeros((1, 2, 2))):
        for call in (non_dominated_ranks, crowding_distances, pareto_front):
            with pytest.raises(ShapeError, match="must have shape"):
                call(bad)
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="must be numbers or -inf"):
            pareto_front(np.array([[0.0, number]]))
    with pytest.raises(ShapeError, match="reference"):
        hypervolume(np.zeros((2, 2)), [0, 0, 0])
    with pytest.raises(ValueError, match="must be finite"):
        hypervolume(np.zeros((2, 2)), [0, -math.inf])
