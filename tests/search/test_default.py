"""The default search: model-based first, then evolution, which is told everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.algorithms.bayesian import BayesianOptimisation
from accelzoo.search.algorithms.default import DefaultSearch
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.conformance import AlgorithmContract

SIZES = (5,) * 6
GenomeMatrix = npt.NDArray[np.int64]


class TestHandingOver(AlgorithmContract):
    algorithm = DefaultSearch
    options = {"modelled": 20, "initial": 4, "population": 8}  # noqa: RUF012 (as the base class has it)


class TestHandingOverTwoObjectives(TestHandingOver):
    objectives = 2


class TestRandomTwoObjectives(AlgorithmContract):
    algorithm = RandomSearch
    objectives = 2


def value(genomes: GenomeMatrix) -> npt.NDArray[np.float64]:
    return np.asarray(genomes.sum(axis=1), np.float64)


def asked_of(algorithm: Any, turns: int) -> list[list[int]]:
    asked = []
    for _ in range(turns):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        algorithm.tell(genomes, value(genomes))
    return asked


def test_it_is_bayesian_first_and_then_evolution() -> None:
    search = DefaultSearch(SIZES, draw.generator(4), modelled=12, population=8)
    first = asked_of(search, 12)
    assert first == asked_of(BayesianOptimisation(SIZES, draw.generator(4)), 12)
    # Of the population of 8, the last ones told, 8 are drawn: the parent is their best.
    parent = max(first[-8:], key=sum)
    for child in search.ask(12).tolist():
        assert sum(one != other for one, other in zip(child, parent, strict=True)) == 1


def test_several_objectives_end_with_nsga2_that_keeps_their_front() -> None:
    search = DefaultSearch(SIZES, draw.generator(4), modelled=12, population=8)
    rng = draw.generator(0)
    told = np.array([[draw.below(rng, 5) for _ in SIZES] for _ in range(12)])
    told[:2] = [[4, 4, 4, 0, 0, 0], [0, 0, 0, 4, 4, 4]]  # the whole front
    values = np.stack([told[:, :3].sum(axis=1) - 9 * (told != told[0]).any(axis=1), -told[:, 3:].sum(axis=1)], axis=1)
    values[1] = [99, -99]
    search.tell(told, values.astype(np.float64))
    children = search.ask(20)
    # Positions 0 to 2 of members are mostly 4 or 0, as the two that win every tournament have them.
    assert np.mean((children[:, :3] == 4) | (children[:, :3] == 0)) > 0.6


def test_what_is_in_training_at_the_handover_is_not_asked_for_again() -> None:
    sizes = (2, 2, 2, 2)
    search = DefaultSearch(sizes, draw.generator(0), modelled=4, initial=2, population=8)
    asked = search.ask(7)
    search.tell(asked[:4], value(asked[:4]))
    rest = search.ask(16).tolist()
    assert sorted(asked.tolist() + rest) == sorted(np.ndindex(sizes), key=list) or len(rest) == 9
    assert not {tuple(row) for row in rest} & {tuple(row) for row in asked.tolist()}
    search.tell(asked[4:], value(asked[4:]))
    assert len(search.ask(1)) == 0


def test_everything_known_is_handed_on() -> None:
    pool = [[0, 0, 0], [1, 0, 1], [2, 2, 2], [2, 1, 1], [0, 2, 1], [1, 1, 2]]
    search = DefaultSearch((3, 3, 3), draw.generator(0), modelled=2, initial=1, population=8)
    other = BayesianOptimisation((3, 3, 3), draw.generator(0), initial=1)
    for algorithm in (search, other):
        algorithm.use_pool(pool)
        algorithm.use_canonical(lambda genome: (0, 2, 1) if genome[0] == 0 else genome)
        algorithm.use_features(lambda genomes: genomes[:, :1])
        algorithm.use_violation(lambda genomes: np.maximum(0, genomes[:, 1] - 1))
        algorithm.use_costs(lambda genomes: -genomes[:, 2:].astype(np.float64))
    asked: list[list[int]] = []
    while len(found := search.ask(1)):
        assert other.ask(1).tolist() == found.tolist()
        asked += found.tolist()
        for algorithm in (search, other):
            algorithm.tell(found, np.stack([value(found), -found[:, 2]], axis=1))
    assert sorted(asked) == sorted(pool)  # and no evolution beyond the pool


@pytest.mark.parametrize("options", [{"modelled": 0}, {"population": 7}, {"initial": 0}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least"):
        DefaultSearch((2, 2), draw.generator(0), **options)
