"""NSGA-II keeps the contract with several objectives, selects as its paper says, and finds known fronts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.conformance import AlgorithmContract
from accelzoo.search.pareto import hypervolume, pareto_front
from tests.search.toy import SPACE, costs, search

Values = npt.NDArray[np.float64]


class TestTwoObjectives(AlgorithmContract):
    algorithm = NSGA2
    objectives = 2
    options = {"population": 8}  # noqa: RUF012 (as the base class has it)


class TestThreeObjectivesSteadyState(AlgorithmContract):
    algorithm = NSGA2
    objectives = 3
    options = {"population": 8, "offspring": 1}  # noqa: RUF012


class TestWithDuplicates(AlgorithmContract):
    algorithm = NSGA2
    objectives = 2
    options = {"population": 5, "offspring": 7, "avoid_duplicates": False}  # noqa: RUF012


class Additive:
    """Objectives that are sums over positions of random terms; the front by brute force."""

    def __init__(self, sizes: tuple[int, ...], objectives: int, seed: int) -> None:
        self.sizes = sizes
        rng = np.random.default_rng(seed)
        self._terms = rng.random((len(sizes), max(sizes), objectives))

    def values(self, genomes: npt.NDArray[np.int64]) -> Values:
        return np.stack([self._terms[np.arange(len(self.sizes)), genome].sum(axis=0) for genome in genomes])

    def front(self) -> set[tuple[int, ...]]:
        genomes = np.array(list(itertools.product(*map(range, self.sizes))))
        return {tuple(genomes[row].tolist()) for row in pareto_front(self.values(genomes))}


def run(algorithm: Any, problem: Any, evaluations: int, batch: int) -> tuple[npt.NDArray[np.int64], Values]:
    asked, told = [], []
    for _ in range(evaluations // batch):
        genomes = algorithm.ask(batch)
        values = problem.values(genomes)
        algorithm.tell(genomes, values)
        asked.append(genomes)
        told.append(values)
    return np.concatenate(asked), np.concatenate(told)


@pytest.mark.parametrize(
    ("objectives", "positions", "population", "offspring"),
    [(2, 7, 100, 50), (3, 6, 300, 100)],  # 16,384 and 4,096 genomes; fronts of 15 … 30 and 63 … 148
)
def test_the_whole_front_of_a_small_additive_space_is_found(
    objectives: int, positions: int, population: int, offspring: int
) -> None:
    for seed in range(3):
        problem = Additive((4,) * positions, objectives, seed)
        front = problem.front()
        algorithm = NSGA2(problem.sizes, draw.generator(seed), population=population, offspring=offspring)
        genomes, values = run(algorithm, problem, 3000, offspring)
        assert len(front) >= 15
        assert {tuple(genomes[row].tolist()) for row in pareto_front(values)} == front


def test_it_covers_more_than_random_search_on_a_large_space() -> None:
    problem = Additive((8,) * 30, 2, 1)
    for seed in range(5):
        _, ours = run(NSGA2(problem.sizes, draw.generator(seed), population=50), problem, 1000, 50)
        genomes = RandomSearch(problem.sizes, draw.generator(seed)).ask(1000)
        assert hypervolume(ours, [10, 10]) > 1.5 * hypervolume(problem.values(genomes), [10, 10])


def test_no_genome_comes_twice_in_batches_of_any_size() -> None:
    problem = Additive((3, 4, 1, 5), 2, 0)  # 60 genomes
    algorithm = NSGA2(problem.sizes, draw.generator(0), population=6)
    asked: list[tuple[int, ...]] = []
    for count in (1, 9, 4, 20, 2, 30, 5):
        genomes = algorithm.ask(count)
        asked += map(tuple, genomes.tolist())
        algorithm.tell(genomes[::-1], problem.values(genomes[::-1]) if len(genomes) else np.zeros((0, 2)))
    assert len(asked) == len(set(asked)) == 60


def test_a_genome_told_as_a_head_start_is_not_asked_for_even_if_it_was_waiting() -> None:
    algorithm = NSGA2((2, 3), draw.generator(0), population=10)
    first = algorithm.ask(1)  # the other five wait in the queue
    others = [row for row in itertools.product(range(2), range(3)) if list(row) != first[0].tolist()]
    algorithm.tell(np.array(others[:3]), np.zeros((3, 2)))
    assert {tuple(row) for row in algorithm.ask(5).tolist()} == set(others[3:])


def parents_of(values: list[list[float]], population: int) -> set[int]:
    """The members that live after one selection among rows (i, i, i, i): the children that are copies tell."""
    sizes = (len(values),) * 4
    options: dict[str, Any] = {"crossover_probability": 0, "mutations": 1e-9, "avoid_duplicates": False}
    algorithm = NSGA2(sizes, draw.generator(3), population=population, offspring=len(values) - population, **options)
    rows = np.repeat(np.arange(len(values))[:, None], 4, axis=1)
    algorithm.tell(rows, np.array(values))
    children = algorithm.ask(400)
    return {int(child[0]) for child in children if len(set(child.tolist())) == 1}


def test_selection_takes_whole_fronts_and_then_the_loneliest() -> None:
    # Front 0: rows 0, 1; front 1: rows 2 … 6, whose ends are 2 and 6 and of which 4 has the widest gaps.
    values = [[10, 9], [9, 10], [0, 8], [1, 7], [4, 4], [7, 1], [8, 0], [-1, -1]]
    assert parents_of([[float(v) for v in row] for row in values], 5) == {0, 1, 2, 4, 6}


def test_failures_and_infeasible_candidates_live_only_without_better_ones() -> None:
    nothing = [-math.inf, -math.inf]
    assert parents_of([nothing, [1.0, 2.0], [-1e6 * 1.5] * 2, [2.0, 1.0], [-1e6 * 1.2] * 2, nothing], 3) == {1, 3, 4}


def test_tournaments_prefer_better_fronts() -> None:
    # Four members in four fronts: of two draws with replacement the best of rank r wins with (2 (3 − r) + 1) / 16.
    options: dict[str, Any] = {"crossover_probability": 0, "mutations": 1e-9, "avoid_duplicates": False}
    algorithm = NSGA2((4,) * 5, draw.generator(1), population=4, **options)
    algorithm.tell(np.repeat(np.arange(4)[:, None], 5, axis=1), np.array([[3.0, 3], [2, 2], [1, 1], [0, 0]]))
    children = algorithm.ask(4000)[:, 0].tolist()
    shares = [children.count(row) / 4000 for row in range(4)]
    assert shares == pytest.approx([7 / 16, 5 / 16, 3 / 16, 1 / 16], abs=0.025)  # three standard errors


def test_variation_mixes_two_parents_and_changes_one_position_on_average() -> None:
    options: dict[str, Any] = {"crossover_probability": 1.0, "avoid_duplicates": False}
    algorithm = NSGA2((9, 9, 1, 9, 9), draw.generator(1), population=2, **options)
    algorithm.tell(np.array([[0, 0, 0, 0, 0], [1, 1, 0, 1, 1]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    children = algorithm.ask(5000)
    assert (children[:, 2] == 0).all()  # the only choice
    free = children[:, [0, 1, 3, 4]]
    # A quarter of the positions is changed, to 0 or 1 as well in 1 of 8 cases.
    foreign = (free > 1).mean()
    assert foreign == pytest.approx(1 / 4 * 7 / 8, abs=0.01)
    # A position is 1 with 1/2, whichever parents were drawn; with both values in one child most of the time.
    assert (free == 1).mean() == pytest.approx((1 - foreign) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"population": 1}, "population (=1) must be at least 2"),
        ({"offspring": 0}, "offspring (=0) must be at least 1"),
        ({"crossover_probability": 1.5}, "crossover_probability (=1.5) must be from 0 to 1"),
        ({"mutations": 0}, "mutations (=0) must be positive"),
        ({"mutations": math.nan}, "mutations (=nan) must be positive"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NSGA2((2, 2), draw.generator(0), **options)
    assert fault in caught.value.faults[0]


def test_the_number_of_objectives_stays_as_first_told() -> None:
    algorithm = NSGA2((3, 3), draw.generator(0), population=2)
    algorithm.tell(np.array([[0, 0]]), np.array([[1.0, 2.0]]))
    for values in (np.array([1.0]), np.array([[1.0, 2.0, 3.0]])):
        with pytest.raises(ShapeError, match="must have 2, as those told before"):
            algorithm.tell(np.array([[1, 1]]), values)
    with pytest.raises(ValueError, match="either all of them are -inf or none"):
        algorithm.tell(np.array([[1, 1]]), np.array([[1.0, -math.inf]]))


def test_positions_with_very_many_choices_are_kept_apart() -> None:
    algorithm = NSGA2((70_000, 300, 2), draw.generator(0), population=20)
    for _ in range(4):
        genomes = algorithm.ask(20)
        algorithm.tell(genomes, np.stack([genomes[:, 0], -genomes[:, 1]], axis=1))
    assert genomes[:, 0].max() > 65_536


def test_the_search_loop_runs_it_on_one_objective() -> None:
    result = search(SPACE, evaluations=60, algorithm="nsga2", algorithm_options={"population": 10}, costs=costs)
    assert result.best.genome == (2, 2, 2, 2)
