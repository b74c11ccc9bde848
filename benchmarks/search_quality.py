"""How good networks are that searches find on measured benchmarks: look-ups only, nothing is trained.

`python -m benchmarks.search_quality > benchmarks/search_quality.md` writes the committed tables; it needs `pip install
pymoo optuna`, and the data in ../shared/data. Every search is repeated with the seeds 0 … RUNS − 1; with `--keep
FOLDER` what a search found is kept there and not searched again, and `--only LABEL` just fills that folder.

1. NAS-Bench-Macro (Su et al., CVPR 2021): mean over seeds of the best accuracy after 50, 100 and 200 evaluations.
2. Accel-NASBench (Ahmad et al., DAC 2024), `train` split: hypervolume of (top-1, latency on the ZCU102) after 100.
   The split is a small part of its space. A genome gets the values of the nearest network that this search has not
   evaluated: the sum over knobs of the difference divided by the knob's range.
3. The same split as a pool: only its own genomes may be asked for, so every genome gets its own values.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import importlib.metadata
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu

from accelzoo import draw
from accelzoo.recipes.report import markdown_table
from accelzoo.search.algorithms.default import DefaultSearch
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.algorithms.reinforce import Reinforce
from accelzoo.search.features import SpaceFeatures
from accelzoo.search.pareto import hypervolume, pareto_front
from benchmarks.peers import Matrix, Optuna, Pymoo, Sizes
from benchmarks.zero_cost import ACCEL, MACRO, accel_space, macro_arch, macro_canonical

RUNS = 100
COUNTS = (50, 100, 200)
EVALUATIONS = 100
PUBLISHED = {"population": 25, "sample_size": 8, "avoid_duplicates": False}
COLUMNS = {"expansion_ratio": "e", "kernel_size": "k", "se_ratio": "se", "repeats": "l"}
OURS = ("**default**, latency told after training", "**default**, latency known beforehand")

Evaluate = Callable[[Matrix], Matrix]


class Search(NamedTuple):
    """A search by name: `make` gets the numbers of choices and a seed; `told` makes of values what it is told."""

    label: str
    make: Callable[[Sizes, int], Any]
    told: Callable[[Matrix], Matrix]


def columns(*which: int) -> Callable[[Matrix], Matrix]:
    """Returns what picks columns of values."""
    return lambda values: values[:, which]


def ours(kind: Any, known: dict[str, Any] | None = None, **options: Any) -> Callable[[Sizes, int], Any]:
    """Returns the maker of an algorithm of this project; `known` holds what its methods `use_…` are given."""

    def make(sizes: Sizes, seed: int) -> _OneByOne:
        algorithm = kind(sizes, draw.generator(seed), **options)
        for name, what in (known or {}).items():
            getattr(algorithm, f"use_{name}")(what)
        return _OneByOne(algorithm)

    return make


class _OneByOne:
    def __init__(self, algorithm: Any) -> None:
        self._algorithm = algorithm

    def ask(self) -> Matrix:
        self._asked = self._algorithm.ask(1)
        return self._asked

    def tell(self, values: Matrix) -> None:
        self._algorithm.tell(self._asked, values[:, 0] if values.shape[1] == 1 else values)


class Tpe(Optuna):
    """Optuna's TPESampler, for one or several objectives (Ozaki et al., GECCO 2020)."""

    def __init__(self, sizes: Sizes, seed: int, objectives: int = 2) -> None:
        import optuna

        super().__init__(sizes, seed, objectives=objectives)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)


def evaluated(search: Search, sizes: Sizes, seed: int, evaluate: Evaluate, evaluations: int, best: float) -> Matrix:
    """Runs a search and returns all columns of the values of its first candidates, in order.

    It ends early where the first value is `best`, the highest there is: nothing that follows matters then, and the last
    row is repeated.
    """
    algorithm = search.make(sizes, seed)
    found: list[Matrix] = []
    while len(found) < evaluations:
        values = np.array([evaluate(genome) for genome in algorithm.ask()])
        found += list(values)
        if values[:, 0].max() >= best:
            found += [values[values[:, 0].argmax()]] * evaluations
        if len(found) < evaluations:
            algorithm.tell(search.told(values))
    return np.array(found[:evaluations])


class Kept(NamedTuple):
    """Where results are kept, and the only search to run; both may be missing."""

    folder: Path | None
    only: str | None

    def results(self, table: str, search: Search, make: Callable[[], Matrix]) -> Matrix | None:
        """Returns a search's results, from the folder if they are there; None if it is not to be run."""
        if self.only not in (None, search.label):
            return None
        if self.folder is None:
            return make()
        name = "".join(letter if letter.isalnum() else "_" for letter in f"{table} {search.label}")
        path = self.folder / f"{name}.npy"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(path, make())
        found: Matrix = np.load(path)
        return found


class MacroNetworks:
    """NAS-Bench-Macro as a search space."""

    sizes = (3,) * 8

    def decode(self, genome: Sequence[int]) -> Any:
        """Returns the architecture."""
        return macro_arch("".join(map(str, genome)))

    @staticmethod
    def canonical(genome: Sequence[int]) -> tuple[int, ...]:
        """Returns the genome that stands for all of the same network."""
        return tuple(map(int, macro_canonical("".join(map(str, genome)))))

    def digest(self) -> str:
        """Names the space."""
        return "NAS-Bench-Macro"


def remembered(features: SpaceFeatures) -> Callable[[Matrix], Matrix]:
    """Returns features that are worked out once for all seeds."""

    @cache
    def row(genome: tuple[int, ...]) -> Matrix:
        return features(np.array([genome]))[0]

    return lambda genomes: np.array([row(tuple(genome)) for genome in genomes.tolist()])


def macro_searches() -> list[Search]:
    """Returns what searches NAS-Bench-Macro; values are accuracy, −MACs, −parameters."""
    accuracy, macs, params = columns(0), columns(0, 1), columns(0, 2)
    space = MacroNetworks()
    known = {"features": remembered(SpaceFeatures(space)), "canonical": space.canonical}
    return [
        Search("random", ours(RandomSearch), accuracy),
        Search("regularised evolution, as published", ours(AgingEvolution, **PUBLISHED), accuracy),
        Search("regularised evolution", ours(AgingEvolution), accuracy),
        Search("NSGA-II: accuracy", ours(NSGA2), accuracy),
        Search("NSGA-II: accuracy, steady state", ours(NSGA2, offspring=1), accuracy),
        Search("NSGA-II: accuracy and MACs", ours(NSGA2), macs),
        Search("NSGA-II: accuracy and parameters", ours(NSGA2), params),
        Search("REINFORCE", ours(Reinforce), accuracy),
        Search("REINFORCE, with repeats", ours(Reinforce, avoid_duplicates=False), accuracy),
        Search("NSGA-II, pymoo: accuracy", lambda sizes, seed: Pymoo(sizes, seed, objectives=1), accuracy),
        Search("NSGA-II, Optuna: accuracy", lambda sizes, seed: Optuna(sizes, seed, objectives=1), accuracy),
        Search("TPE, Optuna", lambda sizes, seed: Tpe(sizes, seed, objectives=1), accuracy),
        Search("**default**", ours(DefaultSearch, known), accuracy),
    ]


def macro_rows(kept: Kept) -> list[tuple[str, ...]]:
    """Returns the lines of the NAS-Bench-Macro table."""
    with MACRO.open(newline="") as file:
        table = {
            tuple(map(int, row["arch"])): (float(row["mean_acc"]), -float(row["flops"]), -float(row["params"]))
            for row in csv.DictReader(file)
        }
    optimum = max(accuracy for accuracy, *_ in table.values())

    def evaluate(genome: Matrix) -> Matrix:
        return np.array(table[tuple(genome.tolist())])

    def best(search: Search) -> Matrix:
        runs = [evaluated(search, (3,) * 8, seed, evaluate, max(COUNTS), optimum) for seed in range(RUNS)]
        return np.maximum.accumulate(np.array(runs)[:, :, 0], axis=1)

    rows = []
    for search in macro_searches():
        found = kept.results("macro", search, lambda search=search: best(search))  # type: ignore[misc]
        if found is not None:
            errors = found.std(axis=0, ddof=1) / RUNS**0.5
            rows.append((search.label, *(f"{found[:, n - 1].mean():.3f} ± {errors[n - 1]:.3f}" for n in COUNTS)))
    return rows


class Accel(NamedTuple):
    """Genomes of the networks, and their top-1 in per cent and minus latency in ms: `(networks, positions | 2)`."""

    genomes: Matrix
    values: Matrix

    def distances(self, genome: Matrix) -> Matrix:
        """Returns how far every network is from a genome."""
        scale = 1 / self.genomes.max(axis=0)
        distances: Matrix = np.abs(self.genomes * scale - genome * scale).sum(axis=1)
        return distances

    def lookup(self) -> Evaluate:
        """Returns what evaluates one search: genome → values of the nearest network not yet evaluated."""
        taken = np.zeros(len(self.genomes))

        def evaluate(genome: Matrix) -> Matrix:
            nearest = int((self.distances(genome) + taken).argmin())
            taken[nearest] = np.inf
            return self.values[nearest]

        return evaluate

    def costs(self, genomes: Matrix) -> Matrix:
        """Returns minus the latency of the network nearest to each genome, `(n, 1)`: its own if it is in the table."""
        return self.values[[int(self.distances(genome).argmin()) for genome in genomes], 1:]


def read_accel() -> Accel:
    """Reads the networks of the `train` split that were timed on the ZCU102, as genomes of the benchmark's space."""
    genomes, values = [], []
    named = [(*knob.path, knob.values) for knob in accel_space().knobs]
    knobs = [(f"block{stage}_{COLUMNS[name]}", choices) for _, stage, name, choices in named]
    with ACCEL.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and row["latency_zcu102_mean"]:
                genomes.append([choices.index(_value(column, row)) for column, choices in knobs])
                values.append([float(row["val_top1"]), -float(row["latency_zcu102_mean"])])
    return Accel(np.array(genomes), np.array(values))


def _value(column: str, row: dict[str, str]) -> float:
    return 0.25 * int(row[column]) if column.endswith("_se") else int(row[column])


def weighted_product(values: Matrix) -> Matrix:
    """Returns accuracy × latency^−0.07, `(n, 1)` (Tan et al., CVPR 2019; a reference would only scale it)."""
    product: Matrix = values[:, :1] * (-values[:, 1:]) ** -0.07
    return product


def accel_searches(accel: Accel) -> list[Search]:
    """Returns what searches Accel-NASBench."""
    both = columns(0, 1)
    known = {"features": SpaceFeatures(accel_space())}
    return [
        Search("random", ours(RandomSearch), both),
        Search("regularised evolution, as published", ours(AgingEvolution, **PUBLISHED), weighted_product),
        Search("NSGA-II, ours", ours(NSGA2), both),
        Search("NSGA-II, ours, steady state", ours(NSGA2, offspring=1), both),
        Search("NSGA-II, pymoo", Pymoo, both),
        Search("NSGA-II, Optuna", Optuna, both),
        Search("TPE, Optuna", Tpe, both),
        Search(OURS[0], ours(DefaultSearch, known), both),
        Search(OURS[1], ours(DefaultSearch, {**known, "costs": accel.costs}), both),
    ]


def pool_searches(accel: Accel) -> list[Search]:
    """Returns what searches the networks of Accel-NASBench as a pool."""
    both, pool = columns(0, 1), {"pool": accel.genomes}
    known = {**pool, "features": SpaceFeatures(accel_space())}
    return [
        Search("random", ours(RandomSearch, pool), both),
        Search(OURS[0], ours(DefaultSearch, known), both),
        Search(OURS[1], ours(DefaultSearch, {**known, "costs": accel.costs}), both),
    ]


def accel_rows(accel: Accel, name: str, searches: Sequence[Search], kept: Kept) -> list[tuple[str, ...]]:
    """Returns the lines of an Accel-NASBench table."""
    reference = accel.values.min(axis=0)
    whole = hypervolume(accel.values, reference)
    sizes = accel_space().sizes

    def shares_of(search: Search) -> Matrix:
        runs = (evaluated(search, sizes, seed, accel.lookup(), EVALUATIONS, np.inf) for seed in range(RUNS))
        return np.array([[hypervolume(run[:count], reference) / whole for count in (25, 50, 100)] for run in runs])

    shares = {}
    for search in searches:
        found = kept.results(name, search, lambda search=search: shares_of(search))  # type: ignore[misc]
        if found is not None:
            shares[search.label] = found
    rows = []
    for label, share in shares.items():
        errors = share.std(axis=0, ddof=1) / RUNS**0.5
        means = [f"{mean:.4f} ± {error:.4f}" for mean, error in zip(share.mean(axis=0), errors, strict=True)]
        against = [
            f"{mannwhitneyu(share[:, -1], shares[other][:, -1], alternative='two-sided').pvalue:.1e}"
            for other in OURS
            if other in shares and label not in OURS
        ]
        rows.append((label, *means, f"{np.median(share[:, -1]):.4f}", *(against or ["", ""])))
    return rows


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the results of each search")
    parser.add_argument("--only", help="run only the searches of this name")
    given = parser.parse_args()
    kept = Kept(given.keep, given.only)
    named = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pymoo", "optuna"))
    print(f"Made by `python -m benchmarks.search_quality` with {named}; {RUNS} seeds, mean ± standard error.\n")
    print("NAS-Bench-Macro: best accuracy (%) after so many evaluations; the optimum is 93.127\n")
    print(markdown_table(("search", *map(str, COUNTS)), macro_rows(kept)))
    accel = read_accel()
    front = len(pareto_front(accel.values))
    print(
        f"Accel-NASBench, `train` split, {len(accel.values):,} networks of which {front} are on the front: "
        "hypervolume of\n(top-1, ZCU102 latency) after so many evaluations, as a share of the whole split's\n"
    )
    header = ("search", "25", "50", "100", "median at 100", "p, told after", "p, known beforehand")
    print(markdown_table(header, accel_rows(accel, "accel", accel_searches(accel), kept)))
    print("The same networks as a pool: only their own genomes may be asked for, so every genome has its own values\n")
    print(markdown_table(header, accel_rows(accel, "pool", pool_searches(accel), kept)))
    print(NOTES, end="")


NOTES = """\
- Populations are 25, of pymoo and Optuna too (their defaults, 100 and 50, leave no or one generation to 100
  evaluations); evolution draws 8 of 25. `steady state`: a selection after every child. REINFORCE: Adam with 0.2, which
  was chosen on NAS-Bench-Macro among 0.03, 0.1, 0.2 and 0.4. NSGA-II was looked at with populations from 10 to 50; 25,
  evolution's default, was kept. TPE has Optuna's defaults.
- **default** is what `search.run` takes: `bayesian` up to 500 values, told the features of `search.features` (log
  weights, log MACs, log trainability, linear regions) of the architecture that our own space decodes a genome to, and
  on NAS-Bench-Macro which encodings are one network. It sees accuracies and latencies of what it was told only.
  Of the two zero-cost scores the forms were chosen while looking at both benchmarks (benchmarks/zero_cost.md).
- On NAS-Bench-Macro an evaluation is an asked genome; encodings of one network count each time. Beside MACs or
  parameters, NSGA-II looks for the whole front, of which the best accuracy is one end: those rows say what that costs.
- On Accel-NASBench every evaluation is another network, whatever a search asks for; the reference point is the worst
  top-1 and the worst latency of the split. All searches are told the values for the genome that they asked for, though
  the network differs from it by a few knobs, which is noise to all alike. p: two-sided Mann–Whitney U at 100.
- Evolution takes one objective: accuracy × latency^−0.07 (Tan et al., CVPR 2019; a reference latency would only scale
  it); the hypervolume is that of everything it evaluated.
- `told after training`: latency is learnt like accuracy, as the peers do. `known beforehand`: a latency costs nothing,
  as on a device or an estimator. In the second table that is the latency of the network nearest to the genome, which is
  not the one evaluated where that was taken already: what is known is then wrong. The pool has no such noise; peers
  cannot be limited to one, so the p there are against `random` alone, and their rows above are how they search it.
- How `default` chooses was worked out on seeds from 1000 on: its reference point (of three) on 8 of the pool and 24 of
  the second table, 10 random candidates rather than 5. The `val` split was not looked at.
"""


if __name__ == "__main__":
    main()
