"""What a multi-objective search costs beside its evaluations: ours, pymoo's and Optuna's NSGA-II in one run.

`python -m benchmarks.bookkeeping > benchmarks/bookkeeping.md` writes the committed table; it needs `pip install pymoo
optuna`. The problem: 30 positions with 8 choices each, two (or three) objectives that are sums of random numbers, one
per position and choice. Times are CPU time of one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.recipes.report import markdown_table
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.pareto import hypervolume
from benchmarks.peers import Matrix, Optuna, Pymoo, Sizes

SIZES = (8,) * 30
EVALUATIONS = 20_000
SEEDS = 5
OPTUNA_EVALUATIONS = 1_000


class Ours:
    """NSGA-II of this project, a generation at a time."""

    def __init__(self, sizes: Sizes, seed: int, population: int) -> None:
        self._algorithm = NSGA2(sizes, draw.generator(seed), population=population)
        self._population = population

    def ask(self) -> Matrix:
        """Returns a generation."""
        self._asked = self._algorithm.ask(self._population)
        return self._asked

    def tell(self, values: Matrix) -> None:
        """Learns the values of the generation."""
        self._algorithm.tell(self._asked, values)


def additive(objectives: int) -> Callable[[Matrix], Matrix]:
    """Returns a vectorised problem whose objectives are sums over positions of random numbers, drawn once."""
    rng = draw.generator(1)
    terms = np.array([[draw.uniform(rng) for _ in range(objectives)] for _ in range(sum(SIZES))])
    offsets = np.arange(len(SIZES)) * SIZES[0]
    return lambda genomes: -np.take(terms, genomes + offsets, axis=0).sum(axis=1)


def measured(kind: Any, seed: int, population: int, objectives: int, evaluations: int) -> tuple[float, float, Matrix]:
    """Searches; returns CPU seconds per candidate beside evaluating and of evaluating it, and all values."""
    evaluate = additive(objectives)
    options = {} if kind is Ours else {"objectives": objectives}
    search = kind(SIZES, seed, population, **options)
    told, beside, evaluating = [], 0.0, 0.0
    done = 0
    while done < evaluations:
        started = time.process_time()
        genomes = search.ask()
        asked = time.process_time()
        values = evaluate(genomes)
        evaluated = time.process_time()
        search.tell(values)
        beside += asked - started + time.process_time() - evaluated
        evaluating += evaluated - asked
        told.append(values)
        done += len(genomes)
    return beside / done, evaluating / done, np.concatenate(told)[:evaluations]


def row(label: str, kind: Any, population: int, objectives: int, evaluations: int, base: float | None) -> list[Any]:
    """Returns a line of the table and the seconds per candidate beside evaluating."""
    runs = [measured(kind, seed, population, objectives, evaluations) for seed in range(SEEDS)]
    beside = min(run[0] for run in runs)
    reference = [-20.0] * objectives  # a position is 0.5 on average, 15 over all
    volume = "" if objectives > 2 else f"{np.mean([hypervolume(run[2], reference) for run in runs]):.2f}"
    ratio = "" if base is None else f"{beside / base:,.0f}×"
    cells = (f"{beside * 1e6:,.2f}", f"{min(run[1] for run in runs) * 1e6:,.2f}", ratio, volume)
    return [(label, str(population), str(objectives), f"{evaluations:,}", *cells), beside]


def main() -> None:
    """Prints the table."""
    versions = {name: importlib.metadata.version(name) for name in ("pymoo", "optuna", "numpy")}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"Made by `python -m benchmarks.bookkeeping` with {named}.")
    print(f"CPU time of one thread; the best of {SEEDS} seeds.\n")
    rows = []
    base: dict[tuple[int, int], float] = {}
    for objectives, population in ((2, 100), (2, 250), (2, 1000), (3, 100), (3, 1000)):
        line, base[objectives, population] = row("ours", Ours, population, objectives, EVALUATIONS, None)
        rows.append(line)
    for objectives, population in ((2, 100), (2, 1000), (3, 100)):
        against = base[objectives, population]
        rows.append(row("pymoo", Pymoo, population, objectives, EVALUATIONS, against)[0])
    rows.append(row("ours", Ours, 100, 2, OPTUNA_EVALUATIONS, None)[0])
    rows.append(row("pymoo", Pymoo, 100, 2, OPTUNA_EVALUATIONS, base[2, 100])[0])
    rows.append(row("Optuna", Optuna, 100, 2, OPTUNA_EVALUATIONS, base[2, 100])[0])
    header = ("NSGA-II", "population", "objectives", "evaluations", "beside evaluating (µs per candidate)")
    print(markdown_table((*header, "evaluating (µs)", "of ours", "hypervolume"), rows))
    print(NOTES, end="")


NOTES = """\
- `beside evaluating` is everything in `ask` and `tell`: variation, refusing repeats, checks, sorting, selection.
- `evaluating` is the problem itself, vectorised: 60 numbers looked up and added per candidate and two objectives. One
  at a time, as Optuna asks for them, the same call costs mostly Python.
- `hypervolume` is the mean over the seeds after all evaluations, from (−20, −20): to be compared among equal numbers of
  evaluations. It shows that the time is not saved at the search's expense.
- Optuna's time grows with the number of trials kept.
"""


if __name__ == "__main__":
    main()
