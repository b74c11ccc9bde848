"""How good networks are that searches find on measured benchmarks: look-ups only, nothing is trained.

`python -m benchmarks.search_quality > benchmarks/search_quality.md` writes the committed tables; it needs `pip install
pymoo optuna`, and the data in ../shared/data. Every search is repeated with the seeds 0 … RUNS − 1.

1. NAS-Bench-Macro (Su et al., CVPR 2021): mean over seeds of the best accuracy after 50, 100 and 200 evaluations.
2. Accel-NASBench (Ahmad et al., DAC 2024), `train` split: hypervolume of (top-1, latency on the ZCU102) after 100.
   The split is a small part of its space. A genome gets the values of the nearest network that this search has not
   evaluated: the sum over knobs of the difference divided by the knob's range.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import csv
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu

from accelzoo import draw
from accelzoo.recipes.report import markdown_table
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.algorithms.reinforce import Reinforce
from accelzoo.search.pareto import hypervolume, pareto_front
from benchmarks.peers import Matrix, Optuna, Pymoo, Sizes

DATA = Path(__file__).parents[1] / "../shared/data"
MACRO = DATA / "nas_bench_macro/nas_bench_macro_cifar10.csv"
ACCEL = DATA / "accel_nasbench/accel_nasbench_train_val.csv"
RUNS = 200
COUNTS = (50, 100, 200)
EVALUATIONS = 100
KNOBS = {"e": (1, 4, 6), "k": (3, 5), "l": (1, 2, 3, 4), "se": (0, 1)}
STAGES = 7

Evaluate = Callable[[Matrix], Matrix]


class Search(NamedTuple):
    """A search by name: `make` gets the numbers of choices and a seed; `columns` are the values that it is told."""

    label: str
    make: Callable[[Sizes, int], Any]
    columns: tuple[int, ...]


def ours(kind: Any, **options: Any) -> Callable[[Sizes, int], Any]:
    """Returns the maker of an algorithm of this project."""
    return lambda sizes, seed: _OneByOne(kind(sizes, draw.generator(seed), **options))


class _OneByOne:
    def __init__(self, algorithm: Any) -> None:
        self._algorithm = algorithm

    def ask(self) -> Matrix:
        self._asked = self._algorithm.ask(1)
        return self._asked

    def tell(self, values: Matrix) -> None:
        self._algorithm.tell(self._asked, values[:, 0] if values.shape[1] == 1 else values)


def evaluated(search: Search, sizes: Sizes, seed: int, evaluate: Evaluate, evaluations: int) -> Matrix:
    """Runs a search and returns all columns of the values of its first candidates, in order."""
    algorithm = search.make(sizes, seed)
    found: list[Matrix] = []
    while len(found) < evaluations:
        values = np.array([evaluate(genome) for genome in algorithm.ask()])
        found += list(values)
        if len(found) < evaluations:
            algorithm.tell(values[:, search.columns])
    return np.array(found[:evaluations])


def macro_rows() -> list[tuple[str, ...]]:
    """Returns the lines of the NAS-Bench-Macro table."""
    with MACRO.open(newline="") as file:
        table = {
            tuple(map(int, row["arch"])): (float(row["mean_acc"]), -float(row["flops"]), -float(row["params"]))
            for row in csv.DictReader(file)
        }
    accuracy, macs, params = 0, 1, 2
    published = {"population": 25, "sample_size": 8, "avoid_duplicates": False}
    searches = (
        Search("random", ours(RandomSearch), (accuracy,)),
        Search("regularised evolution, as published", ours(AgingEvolution, **published), (accuracy,)),
        Search("regularised evolution", ours(AgingEvolution), (accuracy,)),
        Search("NSGA-II: accuracy", ours(NSGA2), (accuracy,)),
        Search("NSGA-II: accuracy, steady state", ours(NSGA2, offspring=1), (accuracy,)),
        Search("NSGA-II: accuracy and MACs", ours(NSGA2), (accuracy, macs)),
        Search("NSGA-II: accuracy and parameters", ours(NSGA2), (accuracy, params)),
        Search("REINFORCE", ours(Reinforce), (accuracy,)),
        Search("REINFORCE, with repeats", ours(Reinforce, avoid_duplicates=False), (accuracy,)),
    )

    def evaluate(genome: Matrix) -> Matrix:
        return np.array(table[tuple(genome.tolist())])

    rows = []
    for search in searches:
        best = np.empty((RUNS, max(COUNTS)))
        for seed in range(RUNS):
            values = evaluated(search, (3,) * 8, seed, evaluate, max(COUNTS))
            best[seed] = np.maximum.accumulate(values[:, accuracy])
        errors = best.std(axis=0, ddof=1) / RUNS**0.5
        rows.append((search.label, *(f"{best[:, n - 1].mean():.3f} ± {errors[n - 1]:.3f}" for n in COUNTS)))
    return rows


class Accel(NamedTuple):
    """Genomes of the networks, and their top-1 in per cent and minus latency in ms: `(networks, positions | 2)`."""

    genomes: Matrix
    values: Matrix

    @property
    def sizes(self) -> Sizes:
        """The number of choices of each position among the networks."""
        return tuple((self.genomes.max(axis=0) + 1).tolist())

    def lookup(self) -> Evaluate:
        """Returns what evaluates one search: genome → values of the nearest network not yet evaluated."""
        scale = 1 / self.genomes.max(axis=0)
        scaled = self.genomes * scale
        taken = np.zeros(len(self.genomes))

        def evaluate(genome: Matrix) -> Matrix:
            nearest = int((np.abs(scaled - genome * scale).sum(axis=1) + taken).argmin())
            taken[nearest] = np.inf
            return self.values[nearest]

        return evaluate


def read_accel() -> Accel:
    """Reads the networks of the `train` split that were timed on the ZCU102."""
    genomes, values = [], []
    knobs = [(f"block{stage}_{knob}", choices) for stage in range(STAGES) for knob, choices in KNOBS.items()]
    with ACCEL.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and row["latency_zcu102_mean"]:
                genomes.append([choices.index(int(row[column])) for column, choices in knobs])
                values.append([float(row["val_top1"]), -float(row["latency_zcu102_mean"])])
    return Accel(np.array(genomes), np.array(values))


def accel_rows(accel: Accel) -> list[tuple[str, ...]]:
    """Returns the lines of the Accel-NASBench table."""
    both = (0, 1)
    searches = (
        Search("random", ours(RandomSearch), (0,)),  # it learns nothing from them
        Search("NSGA-II, ours", ours(NSGA2), both),
        Search("NSGA-II, ours, steady state", ours(NSGA2, offspring=1), both),
        Search("NSGA-II, pymoo", Pymoo, both),
        Search("NSGA-II, Optuna", Optuna, both),
    )
    reference = accel.values.min(axis=0)
    whole = hypervolume(accel.values, reference)
    shares = {
        search.label: np.array(
            [
                hypervolume(evaluated(search, accel.sizes, seed, accel.lookup(), EVALUATIONS), reference) / whole
                for seed in range(RUNS)
            ]
        )
        for search in searches
    }
    rows = []
    for label, share in shares.items():
        against = [
            "" if label == other else f"{mannwhitneyu(share, shares[other], alternative='two-sided').pvalue:.1e}"
            for other in ("random", "NSGA-II, pymoo", "NSGA-II, Optuna")
        ]
        error = share.std(ddof=1) / RUNS**0.5
        rows.append((label, f"{share.mean():.4f} ± {error:.4f}", f"{np.median(share):.4f}", *against))
    return rows


def main() -> None:
    """Prints the tables."""
    named = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pymoo", "optuna"))
    print(f"Made by `python -m benchmarks.search_quality` with {named}; {RUNS} seeds, mean ± standard error.\n")
    print("NAS-Bench-Macro: best accuracy (%) after so many evaluations; the optimum is 93.127\n")
    print(markdown_table(("search", *map(str, COUNTS)), macro_rows()))
    accel = read_accel()
    front = len(pareto_front(accel.values))
    print(
        f"Accel-NASBench, `train` split, {len(accel.values):,} networks of which {front} are on the front: "
        f"hypervolume of\n(top-1, ZCU102 latency) after {EVALUATIONS} evaluations, as a share of the whole split's\n"
    )
    header = ("search", "mean", "median", "p against random", "p against pymoo", "p against Optuna")
    print(markdown_table(header, accel_rows(accel)))
    print(NOTES, end="")


NOTES = """\
- Populations are 25, of pymoo and Optuna too (their defaults, 100 and 50, leave no or one generation to 100
  evaluations); evolution draws 8 of 25. `steady state`: a selection after every child. REINFORCE: Adam with 0.2, which
  was chosen on NAS-Bench-Macro among 0.03, 0.1, 0.2 and 0.4. NSGA-II was looked at with populations from 10 to 50; 25,
  evolution's default, was kept.
- On NAS-Bench-Macro an evaluation is an asked genome; encodings of one network count each time. Beside MACs or
  parameters, NSGA-II looks for the whole front, of which the best accuracy is one end: those rows say what that costs.
- On Accel-NASBench every evaluation is another network, whatever a search asks for; the reference point is the worst
  top-1 and the worst latency of the split. All searches are told the values for the genome that they asked for, though
  the network differs from it by a few knobs, which is noise to all alike. p: two-sided Mann–Whitney U.
"""


if __name__ == "__main__":
    main()
