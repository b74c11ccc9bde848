"""Does the funnel help? The smoke recipe's search with and without its parts, at equal numbers of trainings.

`python -m benchmarks.funnel` prints the table and writes benchmarks/funnel.md; some minutes per seed. Every
arm trains as many candidates shortly and then as many finalists; what is compared is the finalists' accuracy on the
whole validation split (the test split decides nothing here either), and the winner that `choose` picks.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.funnel import FinalistsRace, choose
from accelzoo.recipes.pricing import Task, prepare
from accelzoo.recipes.report import markdown_table
from accelzoo.recipes.schema import Recipe, load_funnel
from accelzoo.recipes.trainings import TrainingSignal
from accelzoo.search import Objective, TargetCosts, run
from accelzoo.search.shortlist import shortlist
from accelzoo.search.workers import as_workers

ARMS: tuple[tuple[str, str, dict[str, Any], bool], ...] = (
    ("evolution (the former recipe)", "evolution", {"population": 8, "sample_size": 4}, False),
    ("model-based, whole space", "default", {}, False),
    ("shortlist, then random", "random", {}, True),
    ("funnel: shortlist, then model-based", "default", {}, True),
)
REPORT = Path(__file__).with_suffix(".md")


class Found(NamedTuple):
    """One search: mean accuracy of all its short trainings, of its best, of its finalists, and the winner's."""

    mean: float
    best: float
    finalist: float
    winner: float
    winner_ms: float
    seconds: float


def setting() -> tuple[Recipe, Task, DataBank]:
    """Returns the recipe, what it is about, and its data."""
    recipe = load_funnel("camera_classification", "smoke")
    bank = DataBank(recipe.data)
    size = max(recipe.resolutions)
    return recipe, prepare(recipe, len(bank.at((3, size, size)).class_names), 3), bank


def reference() -> float:
    """Returns the baseline's accuracy in the finalists' training."""
    recipe, task, bank = setting()
    with tempfile.TemporaryDirectory() as place:
        racing = FinalistsRace(bank, recipe.finalists, RunFolder(Path(place)), as_workers(1), False)
        return racing.reference(task.baseline)


def search(arm: int, seed: int, required: float) -> Found:
    """Searches with one seed, and trains the finalists."""
    recipe, task, bank = setting()
    _, algorithm, options, filtered = ARMS[arm]
    started = time.process_time()
    plan, costs = recipe.search, TargetCosts(task.target)
    pool = None
    if filtered:
        assert plan.shortlist is not None
        drawn = shortlist(
            task.space,
            costs=costs,
            budgets=task.budgets,
            draw=plan.shortlist.draw,
            keep=plan.shortlist.keep,
            seed=seed,
        )
        pool = drawn.genomes
    result = run(
        task.space,
        TrainingSignal(bank, plan.signal, plan.validation_images),
        evaluations=plan.evaluations,
        algorithm=algorithm,
        algorithm_options=options,
        costs=costs,
        budgets=task.budgets,
        objective=Objective(exponent=plan.latency_exponent, reference=task.baseline_cost.latency_s),
        pool=pool,
        seed=seed,
    )
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as place:
        racing = FinalistsRace(bank, recipe.finalists, RunFolder(Path(place)), as_workers(1), False)
        _, trained = racing.run(result.top(recipe.finalists.count), lambda candidate, trial: None)
        scores = [accuracy for _, accuracy in trained]
        winner = choose([candidate for candidate, _ in trained], scores, required)
    accuracies = [record.accuracy for record in result.trace if record.accuracy is not None and record.evaluated]
    winner_accuracy = {candidate.index: accuracy for candidate, accuracy in trained}[winner.index]
    assert winner.cost is not None
    latency_ms = winner.cost.latency_s * 1e3
    return Found(statistics.fmean(accuracies), max(accuracies), max(scores), winner_accuracy, latency_ms, seconds)


class Kept:
    """What was found so far, in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
        self.found = {(arm, seed): Found(*values) for arm, seed, values in map(json.loads, lines)}

    def add(self, arm: int, seed: int, found: Found) -> None:
        """Takes one more."""
        print(ARMS[arm][0], seed, found, flush=True)
        self.found[arm, seed] = found
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([arm, seed, found]) + "\n")


def main() -> None:
    """Runs every search and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--arms", type=int, nargs="*", default=list(range(len(ARMS))))
    parser.add_argument("--keep", type=Path, help="JSON lines of what was found, to go on with")
    options = parser.parse_args()
    recipe, _, _ = setting()
    rows = []
    kept = Kept(options.keep)
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        required = pool.submit(reference).result()
        print(f"baseline: {required:.2%}", flush=True)
        wanted = [(arm, seed) for arm in options.arms for seed in range(options.seeds)]
        runs = {pool.submit(search, *each, required): each for each in wanted if each not in kept.found}
        for run_made in as_completed(runs):
            kept.add(*runs[run_made], run_made.result())
    for arm in options.arms:
        label = ARMS[arm][0]
        found = [kept.found[arm, seed] for seed in range(options.seeds)]
        rows.append([label, *(_spread(column, index) for index, column in enumerate(zip(*found, strict=True)))])
    header = ["search", "all (%)", "best (%)", "best finalist (%)", "winner (%)", "winner (ms)", "search CPU (s)"]
    table = markdown_table(header, rows)
    text = (
        f"Made by `python -m benchmarks.funnel`: profile `smoke` of `camera_classification` (digits), "
        f"{recipe.search.evaluations} short trainings and {recipe.finalists.count} finalists in every row, mean ± "
        f"standard deviation over {options.seeds} search seeds.\nAccuracies are of the validation split: of all short "
        "trainings, of the best of them, of the best finalist and of the winner, which is the fastest finalist that is "
        f"as accurate as the baseline ({required:.2%}) in the same training.\n\n"
    )
    REPORT.write_text(text + table, encoding="utf-8")
    print(text + table)


def _spread(values: tuple[float, ...], column: int) -> str:
    scale, digits = (100, 2) if column < 4 else (1, 3 if column == 4 else 0)
    scaled = [value * scale for value in values]
    return f"{statistics.fmean(scaled):.{digits}f} ± {statistics.stdev(scaled):.{digits}f}"


if __name__ == "__main__":
    main()
