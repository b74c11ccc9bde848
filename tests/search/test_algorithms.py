"""Every algorithm in the registry keeps the contract; evolution does what its paper says."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError, UnknownNameError
from accelzoo.search import algorithm_names, get_algorithm
from accelzoo.search.algorithms import complete_options
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.conformance import AlgorithmContract
from tests.search.toy import ToyArch, cosines

# One test class for each algorithm in the registry.
for _name in algorithm_names():
    _class_name = f"Test{_name.title()}"
    _missing = _name in ("optuna", "pymoo") and find_spec(_name) is None
    globals()[_class_name] = pytest.mark.skipif(_missing, reason=f"needs the extra [{_name}]")(
        type(_class_name, (AlgorithmContract,), {"algorithm": get_algorithm(_name)})
    )


class TestEvolutionWithDuplicates(AlgorithmContract):
    algorithm = AgingEvolution
    options = {"population": 5, "sample_size": 2, "avoid_duplicates": False}  # noqa: RUF012 (as the base class has it)


def test_the_registry_is_the_folder() -> None:
    assert {"evolution", "random"} <= set(algorithm_names())
    assert get_algorithm("random") is RandomSearch
    with pytest.raises(UnknownNameError, match="unknown search algorithm 'evolutoin'; did you mean 'evolution'"):
        get_algorithm("evolutoin")


def test_options_are_completed_and_checked() -> None:
    options = complete_options(AgingEvolution, {"population": 50})
    assert options == {"population": 50, "sample_size": 8, "avoid_duplicates": True}
    with pytest.raises(ConfigError) as caught:
        complete_options(AgingEvolution, {"populaton": 50, "rng": 1})
    assert caught.value.faults == (
        "algorithm_options.populaton: unknown option of AgingEvolution; allowed: population, sample_size, "
        "avoid_duplicates; did you mean 'population'?",
        "algorithm_options.rng: unknown option of AgingEvolution; allowed: population, sample_size, avoid_duplicates",
    )


def test_an_option_without_default_must_be_given() -> None:
    class Needy(RandomSearch):
        def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator, depth: int) -> None:
            super().__init__(sizes, rng)

    with pytest.raises(ConfigError, match="depth: Needy needs this option"):
        complete_options(Needy, None)
    assert complete_options(Needy, {"depth": 2}) == {"depth": 2}


@pytest.mark.parametrize("options", [{"sample_size": 9, "population": 8}, {"sample_size": 0}])
def test_a_sample_is_part_of_the_population(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"sample_size .* must be from 1 to population"):
        AgingEvolution((2, 2), draw.generator(0), **options)


def test_the_oldest_member_dies_even_if_it_is_the_best() -> None:
    # A population of 2 of which both are sampled: the parent is the better of the two youngest, whatever came before.
    evolution = AgingEvolution((9, 9, 9), draw.generator(0), population=2, sample_size=2)
    told = [((8, 8, 8), 100.0), ((0, 0, 0), 1.0), ((4, 4, 4), 2.0)]
    for genome, value in told:
        evolution.tell(np.array([genome]), np.array([value]))
    for child in evolution.ask(20).tolist():
        assert sum(choice != 4 for choice in child) == 1


def test_a_child_differs_from_the_best_of_the_sample_in_one_knob() -> None:
    evolution = AgingEvolution((5, 5, 5), draw.generator(1), population=4, sample_size=4)
    members = np.array([[0, 0, 0], [1, 1, 1], [3, 3, 3], [2, 2, 2]])
    evolution.tell(members, np.array([0.1, 0.2, 0.9, 0.3]))
    children = {tuple(child) for child in evolution.ask(12).tolist()}
    neighbours = {(c, 3, 3) for c in range(5)} | {(3, c, 3) for c in range(5)} | {(3, 3, c) for c in range(5)}
    assert children == neighbours - {(3, 3, 3)}  # all twelve, each once


def test_selection_pressure_is_that_of_a_sample() -> None:
    # With 2 of 4 members sampled, the best is in the sample, and wins, with probability 1/2; the worst never wins.
    evolution = AgingEvolution((9, 9, 9), draw.generator(5), population=4, sample_size=2, avoid_duplicates=False)
    members = [[0, 0, 0], [2, 2, 2], [4, 4, 4], [6, 6, 6]]
    evolution.tell(np.array(members), np.array([1.0, 2.0, 3.0, 4.0]))
    parents = [sorted(child)[1] for child in evolution.ask(3000).tolist()]
    shares = [parents.count(parent[0]) / 3000 for parent in members]
    # C(4,2) = 6 pairs: the second worst wins 1, the second best 2, the best 3; three standard errors are 0.027
    assert shares == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6], abs=0.027)


def best_after(algorithm: Any, landscape: Any, evaluations: int) -> float:
    best = -np.inf
    for _ in range(evaluations):
        genomes = algorithm.ask(1)
        found = landscape(ToyArch(tuple(genomes[0].tolist())))
        algorithm.tell(genomes, np.array([found]))
        best = max(best, found)
    return best


def test_evolution_beats_random_search_on_a_smooth_landscape() -> None:
    sizes = (6,) * 8
    wins, gains = 0, []
    for seed in range(50):
        peaks = draw.generator(99, seed)
        landscape = cosines([6 * draw.uniform(peaks) for _ in sizes])
        evolution = best_after(AgingEvolution(sizes, draw.generator(seed)), landscape, 150)
        random = best_after(RandomSearch(sizes, draw.generator(seed)), landscape, 150)
        wins += evolution > random
        gains.append(evolution - random)
    assert wins >= 48  # by luck alone 48 of 50 has a probability of 10⁻¹²
    assert np.mean(gains) > 0.3


def test_evolution_finds_the_brute_force_optimum_of_a_small_space() -> None:
    sizes = (4, 3, 5, 2, 4)  # 480 genomes
    landscape = cosines([2.2, 0.4, 3.1, 0.9, 1.7])
    optimum = max(landscape(ToyArch(genome)) for genome in np.ndindex(*sizes))
    for seed in range(10):
        assert best_after(AgingEvolution(sizes, draw.generator(seed)), landscape, 240) == optimum
