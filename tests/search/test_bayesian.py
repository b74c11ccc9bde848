"""Model-based search finds what evolution takes longer to find, and uses what it is told beforehand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search import Result, run
from accelzoo.search.algorithms.bayesian import BayesianOptimisation
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.candidates import CandidatePool
from accelzoo.search.conformance import AlgorithmContract
from accelzoo.search.knowledge import Knowledge
from accelzoo.search.pareto import hypervolume
from tests.search.test_nas_bench_macro import EVOLUTION, MacroSpace, table  # noqa: F401 (a fixture)
from tests.search.toy import ToyArch, ToySpace, accuracy, cosines, costs

Genome = tuple[int, ...]
GenomeMatrix = npt.NDArray[np.int64]


class TestUpperConfidenceBound(AlgorithmContract):
    algorithm = BayesianOptimisation
    options = {"acquisition": "ucb", "exploration": 0.5, "initial": 3}  # noqa: RUF012 (as the base class has it)


class TestTwoObjectives(AlgorithmContract):
    algorithm = BayesianOptimisation
    options = {"initial": 4}  # noqa: RUF012 (as the base class has it)
    objectives = 2


class Told(BayesianOptimisation):
    """One that knows features and budgets and whose positions 1 and 3 say the same."""

    def __init__(self, sizes: Genome, rng: np.random.Generator) -> None:
        super().__init__(sizes, rng, initial=4)
        self.use_features(lambda genomes: genomes.sum(axis=1, keepdims=True))
        self.use_canonical(lambda genome: (*genome[:-1], 0) if genome[0] == 0 else genome)
        self.use_violation(lambda genomes: np.maximum(0, genomes.sum(axis=1) - 4))


class TestWithEverythingTold(AlgorithmContract):
    algorithm = Told


def best_after(algorithm: Any, value: Callable[[Genome], float], evaluations: int) -> float:
    best = -math.inf
    for _ in range(evaluations):
        genomes = algorithm.ask(1)
        found = value(tuple(genomes[0].tolist()))
        algorithm.tell(genomes, [found])
        best = max(best, found)
    return best


def landscape(seed: int, positions: int) -> Callable[[Genome], float]:
    peaks = draw.generator(99, seed)
    signal = cosines([6 * draw.uniform(peaks) for _ in range(positions)])
    return lambda genome: signal(ToyArch(genome))


@pytest.mark.parametrize("sizes", [(6,) * 5, (6,) * 12], ids=["scored whole", "sampled"])
def test_it_beats_evolution_with_half_the_evaluations(sizes: Genome) -> None:
    for seed in range(3):
        value = landscape(seed, len(sizes))
        ours = best_after(BayesianOptimisation(sizes, draw.generator(seed), candidates=200), value, 75)
        assert ours >= best_after(AgingEvolution(sizes, draw.generator(seed)), value, 150)


def test_it_finds_better_networks_than_evolution_in_nas_bench_macro(table: dict[Genome, float]) -> None:  # noqa: F811
    best = []
    for seed in range(4):
        algorithm = BayesianOptimisation((3,) * 8, draw.generator(seed))
        algorithm.use_canonical(MacroSpace().canonical)
        best.append(best_after(algorithm, table.__getitem__, 50))
    assert np.mean(best) > EVOLUTION[1]  # what evolution has after 100


def test_features_point_the_way_at_once() -> None:
    sizes = (5,) * 5
    weights = np.array([3, -1, 2, 0, 1])

    def found_with(features: Callable[[GenomeMatrix], Any] | None) -> float:
        algorithm = BayesianOptimisation(sizes, draw.generator(1), initial=3, acquisition="ucb")
        if features is not None:
            algorithm.use_features(features)
        return best_after(algorithm, lambda genome: float(weights @ genome), 4)

    optimum = 4 * 6.0
    assert found_with(lambda genomes: (genomes @ weights)[:, None]) == optimum
    assert found_with(None) < optimum


def test_features_are_asked_for_once_per_genome_and_may_be_unknown() -> None:
    seen: list[Genome] = []

    def features(genomes: GenomeMatrix) -> npt.NDArray[np.float64]:
        rows = [tuple(row) for row in genomes.tolist()]
        seen.extend(rows)
        return np.array([[math.nan if sum(row) % 3 == 0 else float(sum(row))] for row in rows])

    algorithm = BayesianOptimisation((4,) * 9, draw.generator(0), candidates=50)
    algorithm.use_features(features)
    best_after(algorithm, landscape(0, 9), 20)
    assert len(seen) == len(set(seen)) > 50
    algorithm.use_features(lambda genomes: np.zeros(len(genomes)))
    with pytest.raises(ShapeError, match="features of shape"):
        algorithm.ask(3)


def test_of_isomorphic_genomes_only_one_is_asked_for() -> None:
    space = ToySpace((3, 2, 3), alias=True)
    algorithm = BayesianOptimisation(space.sizes, draw.generator(0), initial=2)
    algorithm.use_canonical(space.canonical)
    algorithm.tell(np.array([[0, 1, 2]]), [0.5])  # stands for (0, 1, 0)
    asked: list[Genome] = [(0, 1, 0)]
    for _ in range(13):
        genomes = algorithm.ask(1)
        algorithm.tell(genomes, [float(genomes.sum())])
        asked.append(space.canonical(tuple(genomes[0].tolist())))
    distinct = {space.canonical(genome) for genome in space.all()}
    # The first draw is random and may be any encoding; behind it, every architecture once.
    assert len(distinct) == 14
    assert set(asked) == distinct


def test_a_batch_is_spread_out() -> None:
    algorithm = BayesianOptimisation((6,) * 5, draw.generator(2), acquisition="ucb", exploration=2.0)
    value = landscape(2, 5)
    best_after(algorithm, value, 30)
    batch = algorithm.ask(8)
    assert len({tuple(row) for row in batch.tolist()}) == 8
    nearest = [(batch[index] != batch[index + 1 :]).sum(axis=1).min() for index in range(7)]
    assert np.mean(nearest) > 1


def test_known_violations_are_never_proposed_while_anything_fits() -> None:
    sizes = (4,) * 4
    algorithm = BayesianOptimisation(sizes, draw.generator(0), initial=3)
    algorithm.use_violation(lambda genomes: np.maximum(0, genomes.sum(axis=1) / 5 - 1))
    asked = [algorithm.ask(1)[0].tolist() for _ in range(3)]
    algorithm.tell(asked, np.sum(asked, axis=1).astype(float))
    for _ in range(40):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        algorithm.tell(genomes, genomes.sum(axis=1).astype(float))
    assert max(sum(genome) for genome in asked) <= 5


def infeasible(result: Result) -> int:
    return sum(record.status == "infeasible" for record in result.trace)


def test_budgets_are_learnt_from_the_values_of_infeasible_candidates() -> None:
    space = ToySpace((4,) * 6)

    def searched(algorithm: str) -> Result:
        settings: dict[str, Any] = {"costs": costs, "budgets": {"latency_s": 0.0065}, "progress": False}
        return run(space, accuracy, evaluations=25, algorithm=algorithm, **settings)

    ours, evolved = searched("bayesian"), searched("evolution")
    best = max(accuracy(ToyArch(genome)) for genome in itertools.product(range(4), repeat=6) if sum(genome) <= 5)
    assert ours.best.accuracy == pytest.approx(best)
    assert evolved.best.accuracy <= ours.best.accuracy
    assert infeasible(ours) < infeasible(evolved)


def test_failed_candidates_are_kept_away_from() -> None:
    sizes = (3,) * 6
    asked: list[list[int]] = []
    algorithm = BayesianOptimisation(sizes, draw.generator(5))
    for _ in range(60):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        failed = genomes[0, 2] == 1
        algorithm.tell(genomes, [-math.inf if failed else float(genomes.sum())])
    assert sum(genome[2] == 1 for genome in asked[10:]) <= 10  # of 50; a third of the space fails
    assert [2] * 6 in asked


def test_trained_twice_counts_by_the_mean() -> None:
    def proposal(values: list[float]) -> list[list[int]]:
        algorithm = BayesianOptimisation((5, 5), draw.generator(0), initial=2)
        algorithm.tell([[1, 1]] * len(values), values)
        algorithm.tell([[3, 3], [0, 4]], [0.2, 0.1])
        return algorithm.ask(3).tolist()

    assert proposal([0.5, 0.7]) == proposal([0.6])


def test_a_resumed_search_has_the_trace_of_an_unbroken_one(tmp_path: Any) -> None:
    space = ToySpace((4,) * 6)
    settings: dict[str, Any] = {"algorithm": "bayesian", "seed": 3, "progress": False}
    unbroken = run(space, accuracy, evaluations=30, **settings)
    run(space, accuracy, evaluations=17, folder=tmp_path, **settings)
    resumed = run(space, accuracy, evaluations=30, folder=tmp_path, resume=True, **settings)
    assert [record.genome for record in resumed.trace] == [record.genome for record in unbroken.trace]


def test_a_large_space_is_sampled_without_repeats() -> None:
    pool = CandidatePool((9,) * 6, draw.generator(0), 100, Knowledge(6))
    first = pool.unused((), ())
    assert len(set(first)) == len(first) == 100
    used = set(first[:10])
    second = pool.unused({*used, (1,) * 6}, [(1,) * 6])
    assert not used & set(second)
    assert second[:90] == first[10:]
    near = second[100:]
    assert len(near) == 6 * 8 == len(pool.neighbours([(1,) * 6], {(1,) * 6}))
    assert all(sum(choice != 1 for choice in genome) <= 1 for genome in near)


def two_objectives(genomes: GenomeMatrix) -> npt.NDArray[np.float64]:
    """A peak in the middle of the space, and a cost that rises away from the origin."""
    peak = np.abs(genomes - [4, 3, 4, 2, 3, 4]).sum(axis=1)
    return -np.stack([peak, (genomes**2).sum(axis=1)], axis=1).astype(np.float64)


def volume_of(algorithm: Any, evaluations: int, values: Callable[[GenomeMatrix], npt.NDArray[np.float64]]) -> float:
    asked: list[list[int]] = []
    for _ in range(evaluations):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        algorithm.tell(genomes, values(genomes))
    found = values(np.array(asked))
    return hypervolume(found, np.array([-20.0] + [-120.0] * (found.shape[1] - 1)))


@pytest.mark.parametrize("known", [False, True], ids=["costs learnt", "costs known"])
def test_it_finds_more_of_the_front_than_nsga2_with_twice_the_evaluations(known: bool) -> None:
    sizes = (6,) * 6
    whole = hypervolume(two_objectives(np.array(list(itertools.product(range(6), repeat=6)))), [-20, -120])
    for seed in range(2):
        algorithm = BayesianOptimisation(sizes, draw.generator(seed), candidates=200)
        if known:
            algorithm.use_costs(lambda genomes: two_objectives(genomes)[:, 1:])
        ours = volume_of(algorithm, 50, two_objectives)
        assert ours > volume_of(NSGA2(sizes, draw.generator(seed), offspring=1), 100, two_objectives)
        assert ours > 0.9 * whole


def test_three_objectives() -> None:
    def values(genomes: GenomeMatrix) -> npt.NDArray[np.float64]:
        return np.c_[two_objectives(genomes), -((genomes - 2) ** 2).sum(axis=1)]

    algorithm = BayesianOptimisation((6,) * 6, draw.generator(0), candidates=100)
    ours = volume_of(algorithm, 40, values)
    assert ours > volume_of(NSGA2((6,) * 6, draw.generator(0), offspring=1), 60, values)


def test_what_cannot_be_priced_comes_last() -> None:
    def priced(genomes: GenomeMatrix) -> npt.NDArray[np.float64]:
        return np.where(genomes[:, :1] == 1, -math.inf, -genomes[:, 1:2].astype(np.float64))

    algorithm = BayesianOptimisation((3, 3, 2), draw.generator(0), initial=3)
    algorithm.use_costs(priced)
    asked: list[list[int]] = []
    for _ in range(18):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        failed = genomes[:, :1] == 1
        algorithm.tell(genomes, np.where(failed, -math.inf, np.c_[genomes.sum(axis=1), -genomes[:, 1]]))
    assert [genome[0] == 1 for genome in asked] == [False] * 12 + [True] * 6


def test_a_batch_counts_as_trained_with_the_predicted_values() -> None:
    algorithm = BayesianOptimisation((6,) * 6, draw.generator(2), candidates=200)
    algorithm.use_costs(lambda genomes: two_objectives(genomes)[:, 1:])
    volume_of(algorithm, 20, two_objectives)
    batch = algorithm.ask(6)
    costs = two_objectives(batch)[:, 1]
    assert len(set(costs.tolist())) >= 4  # here and there along the front, not one place six times


def test_infeasible_and_failed_candidates_teach_several_objectives_too() -> None:
    sizes = (4,) * 6
    asked: list[list[int]] = []
    algorithm = BayesianOptimisation(sizes, draw.generator(3), candidates=200)
    for _ in range(50):
        genomes = algorithm.ask(1)
        asked += genomes.tolist()
        total = int(genomes.sum())
        values = [-1e6 * (total / 7), -1e18 * (total / 7)] if total > 7 else [float(genomes[0, :3].sum()), -total]
        algorithm.tell(genomes, [[-math.inf] * 2 if genomes[0, 5] == 3 else values])
    late = asked[20:]
    assert sum(sum(genome) > 7 for genome in late) <= 8  # three quarters of the space are
    assert sum(genome[5] == 3 for genome in late) <= 6
    assert (7, 7) in {(sum(genome[:3]), sum(genome)) for genome in asked}


def test_only_the_pool_is_asked_for_each_architecture_first_once() -> None:
    space = ToySpace((3, 2, 3), alias=True)
    pool = [(0, 1, 2), (0, 1, 1), (1, 0, 2), (2, 1, 0), (2, 1, 1), (0, 0, 1), (1, 0, 2)]
    algorithm = BayesianOptimisation(space.sizes, draw.generator(0), initial=2)
    algorithm.use_pool(pool)
    algorithm.use_canonical(space.canonical)
    algorithm.tell([[0, 1, 0]], [3.0])  # a head start: the architecture of the first two
    asked: list[Genome] = []
    for count in (1, 2, 1, 4):
        genomes = algorithm.ask(count)
        algorithm.tell(genomes, genomes.sum(axis=1).astype(np.float64))
        asked += [tuple(row) for row in genomes.tolist()]
    assert sorted(asked) == sorted(set(pool))
    assert set(asked[1:4]) < {(1, 0, 2), (2, 1, 0), (2, 1, 1), (0, 0, 1)}  # behind one random draw
    assert len(algorithm.ask(1)) == 0


def test_what_does_not_fit_several_objectives_is_refused() -> None:
    algorithm = BayesianOptimisation((3, 3), draw.generator(0), initial=1)
    algorithm.use_costs(lambda genomes: np.zeros((len(genomes), 2)))
    algorithm.tell([[0, 0]], [[1.0, -1.0]])
    with pytest.raises(ShapeError, match="values of 1 objectives must have 2"):
        algorithm.tell([[0, 1]], [1.0])
    with pytest.raises(ShapeError, match=r"costs of shape \(8, 2\) must have shape \(8, 1\)"):
        algorithm.ask(1)
    algorithm = BayesianOptimisation((3, 3), draw.generator(0))
    algorithm.use_costs(lambda genomes: np.zeros(len(genomes)))
    with pytest.raises(ShapeError, match=r"costs of shape \(9,\) must have shape"):
        algorithm.ask(1)
    with pytest.raises(ConfigError, match="at least one genome"):
        algorithm.use_pool(np.empty((0, 2), np.int64))
    with pytest.raises(ShapeError, match="choice 5 at position 1"):
        algorithm.use_pool([[0, 5]])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"initial": 0}, r"initial \(=0\) must be at least 1"),
        ({"candidates": 0}, r"candidates \(=0\) must be at least 1"),
        ({"acquisition": "ecb"}, "must be one of ucb, ei; did you mean 'ucb'"),
        ({"exploration": -1.0}, "exploration .* zero or positive"),
        ({"exploration": math.nan}, "exploration .* zero or positive"),
        ({"order": 1.5}, "order .* from 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        BayesianOptimisation((2, 2), draw.generator(0), **options)
