"""Searches on NAS-Bench-Macro reach the accuracies published with the data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.search import run
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.random import RandomSearch
from tests.checkout import ROOT

TABLE = ROOT / "../shared/data/nas_bench_macro/nas_bench_macro_cifar10.csv"
SIZES = (3,) * 8
STAGES = ((0, 2), (2, 5), (5, 8))
RUNS = 200
COUNTS = (50, 100, 200)
# Mean best accuracy after 50, 100, 200 evaluations, from the data's own notes; standard errors of our 200 runs
# are about 0.010, 0.004, 0.001 for evolution and 0.008, 0.005, 0.004 for random search.
EVOLUTION = (92.947, 93.088, 93.121)
RANDOM = (92.774, 92.868, 92.940)

Genome = tuple[int, ...]


@pytest.fixture(scope="module")
def table() -> dict[Genome, float]:
    if not TABLE.exists():
        pytest.skip(f"NAS-Bench-Macro is not at {Path('../shared/data')}")
    with TABLE.open(newline="") as file:
        return {tuple(map(int, row["arch"])): float(row["mean_acc"]) for row in csv.DictReader(file)}


def mean_best(table: dict[Genome, float], kind: Any, **options: Any) -> npt.NDArray[np.float64]:
    """Mean over the runs of the best accuracy after each of COUNTS."""
    best = np.empty((RUNS, max(COUNTS)))
    for seed in range(RUNS):
        algorithm = kind(SIZES, draw.generator(seed), **options)
        for turn in range(max(COUNTS)):
            genomes = algorithm.ask(1)
            found = table[tuple(genomes[0].tolist())]
            algorithm.tell(genomes, np.array([found]))
            best[seed, turn] = max(found, best[seed, turn - 1]) if turn else found
    means: npt.NDArray[np.float64] = best[:, [count - 1 for count in COUNTS]].mean(axis=0)
    return means


def test_evolution_as_published_reaches_the_anchors(table: dict[Genome, float]) -> None:
    means = mean_best(table, AgingEvolution, population=25, sample_size=8, avoid_duplicates=False)
    assert (np.abs(means - EVOLUTION) < [0.03, 0.012, 0.004]).all()


def test_avoiding_duplicates_is_no_worse(table: dict[Genome, float]) -> None:
    means = mean_best(table, AgingEvolution, population=25, sample_size=8)
    assert (means > np.array(EVOLUTION) - [0.01, 0.004, 0.001]).all()


def test_random_search_reaches_its_anchors_and_the_closed_form(table: dict[Genome, float]) -> None:
    means = mean_best(table, RandomSearch)
    assert (np.abs(means - RANDOM) < [0.03, 0.02, 0.016]).all()
    # The expected best of n different genomes: sum over ranks of the chance that this rank is the best drawn.
    values = sorted(table.values(), reverse=True)
    for mean, count in zip(means, COUNTS, strict=True):
        expected, none_above = 0.0, 1.0
        for rank, found in enumerate(values[: len(values) - count + 1]):
            none_here = none_above * (len(values) - rank - count) / (len(values) - rank)
            expected += found * (none_above - none_here)
            none_above = none_here
        assert mean == pytest.approx(expected, abs=0.03)


@dataclass(frozen=True)
class Network:
    """A row of the table."""

    genome: Genome

    def digest(self) -> str:
        return "".join(map(str, self.genome))


class MacroSpace:
    """Eight layers in three stages; where in a stage the identities stand is irrelevant."""

    sizes = SIZES

    def canonical(self, genome: Genome) -> Genome:
        stages = (genome[first:last] for first, last in STAGES)
        moved: list[int] = []
        for stage in stages:
            # The layer at the start has the stride, so it stays; the identities behind it move to the end.
            rest = [choice for choice in stage[1:] if choice]
            moved += [stage[0], *rest, *[0] * (len(stage) - 1 - len(rest))]
        return tuple(moved)

    def decode(self, genome: Genome) -> Network:
        return Network(self.canonical(genome))

    def digest(self) -> str:
        return "nas-bench-macro"


def test_the_whole_loop_finds_better_networks_than_chance(table: dict[Genome, float]) -> None:
    space = MacroSpace()
    settings: dict[str, Any] = {"evaluations": 100, "algorithm": "evolution", "progress": False}
    best = []
    for seed in range(40):
        result = run(space, lambda network: table[network.genome], seed=seed, **settings)
        assert sum(record.evaluated for record in result.trace) == 100
        best.append(result.best.accuracy)
        for record in result.trace:
            assert record.accuracy == table[record.genome]  # equal architectures share their numbers
    assert np.mean(best) > EVOLUTION[1] - 3 * 0.004
