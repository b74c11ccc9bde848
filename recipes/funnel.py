"""The cheap and the dear end of a recipe's search: the zero-cost shortlist before it, the finalists' race after it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.pricing import Task
from accelzoo.recipes.schema import Finalists, SearchPlan
from accelzoo.recipes.trainings import TrainingSignal
from accelzoo.search import Candidate, Objective, Result, TargetCosts, run
from accelzoo.search.halving import successive_halving
from accelzoo.search.race import Race, Trial
from accelzoo.search.scores import ScoreTable
from accelzoo.search.shortlist import Shortlist, settings_of, shortlist
from accelzoo.search.workers import Workers

SHORTLIST = "shortlist"
"""The record of a run's folder that holds the shortlist."""


def check_shortlist(plan: SearchPlan, task: Task) -> None:
    """Tries what a shortlist begins with.

    Raises:
        ConfigError: If a score is unknown or has no closed form.
        ShapeError: If the space's architectures cannot be scored by look-up.
    """
    if plan.shortlist is not None:
        settings_of(task.space, **_arguments(plan, task))
        ScoreTable(task.space, plan.shortlist.scores)


def take_shortlist(plan: SearchPlan, task: Task, folder: RunFolder, progress: bool | None) -> Shortlist | None:
    """Returns a recipe's shortlist, from the run's folder or made and kept there; None if the recipe has none.

    Raises:
        BudgetError: If nothing meets the budgets.
        DataError: If what the folder holds was changed.
    """
    if plan.shortlist is None:
        return None
    arguments = _arguments(plan, task)
    recorded = folder.read_json(SHORTLIST)
    if recorded is not None and recorded.get("settings") == settings_of(task.space, **arguments):
        try:
            return Shortlist.from_json(recorded)
        except DataError as error:
            path = folder.path / f"{SHORTLIST}.json"
            raise DataError(f"{path}: {error}; remove the file to compute it again") from None
    made = shortlist(task.space, progress=progress, **arguments)
    folder.write_json(SHORTLIST, made.to_json())
    return made


def _arguments(plan: SearchPlan, task: Task) -> dict[str, Any]:
    assert plan.shortlist is not None
    return {
        "costs": TargetCosts(task.target),
        "budgets": task.budgets,
        "draw": plan.shortlist.draw,
        "keep": plan.shortlist.keep,
        "scores": plan.shortlist.scores,
        "seed": plan.seed,
    }


def objective_of(plan: SearchPlan, task: Task) -> Objective:
    """Returns what a recipe's search maximises: accuracy, with latency against the baseline's in the score."""
    return Objective(exponent=plan.latency_exponent, reference=task.baseline_cost.latency_s)


def search_space(
    plan: SearchPlan,
    task: Task,
    signal: Callable[[Arch], float],
    shortlist: Shortlist | None,
    folder: Path,
    workers: int | str | Workers,
    *,
    progress: bool | None,
) -> Result:
    """Searches a recipe's space, or what the shortlist keeps of it; goes on with the folder's trace.

    Args:
        plan: How.
        task: Where, and the most that a candidate may cost.
        signal: Architecture → accuracy.
        shortlist: The only genomes that are proposed; None: all of the space.
        folder: Where the trace is kept.
        workers: Who evaluates candidates.
        progress: Show a line; None: if standard error is a terminal.

    Raises:
        TraceError: If the folder's trace is broken, in use, or of another search.
    """
    return run(
        task.space,
        signal,
        evaluations=plan.evaluations,
        algorithm=plan.algorithm,
        algorithm_options=plan.options,
        costs=TargetCosts(task.target),
        budgets=task.budgets,
        objective=objective_of(plan, task),
        pool=None if shortlist is None else shortlist.genomes,
        seed=plan.seed,
        workers=workers,
        pending=plan.pending,
        folder=folder,
        resume=True,
        progress=progress,
    )


def describe_shortlist(made: Shortlist) -> dict[str, Any]:
    """What a lock says of a shortlist: how it was made, how many were seen and kept, and the digest of those."""
    chosen = {name: made.settings[name] for name in ("draw", "keep", "minimise", "scores", "seed")}
    return {**chosen, "seen": made.seen, "feasible": made.feasible, "kept": len(made), "digest": made.digest()}


def describe_race(race: Race, finalists: Sequence[Candidate], reference: float) -> dict[str, Any]:
    """What a lock says of the finalists' race: enough to choose the winner again without a training.

    Args:
        race: The race.
        finalists: Who took part, in the race's order.
        reference: The baseline's accuracy after the same training.

    Returns:
        `reference`, and the `trials` in order: `candidate` (its number in the search's trace), `fidelity`, `accuracy`
        (None of a training that failed).
    """
    content = b"" if race.path is None else race.path.read_bytes()
    return {
        "reference": reference,
        "trials": [
            {"candidate": finalists[one.candidate].index, "fidelity": one.fidelity, "accuracy": one.accuracy}
            for one in race.trials
        ],
        "spent": race.spent,
        "unit": race.unit,
        "trace_sha256": hashlib.sha256(content).hexdigest(),
    }


class FinalistsRace:
    """The search's best, trained for rising shares of the finalists' training.

    Args:
        bank: The data.
        plan: How many, and how long.
        folder: Where checkpoints and the race's trace go.
        workers: Who trains.
        progress: Show each training.
    """

    def __init__(
        self, bank: DataBank, plan: Finalists, folder: RunFolder, workers: Workers, progress: bool | None
    ) -> None:
        self._bank = bank
        self._plan = plan
        self._folder = folder
        self._workers = workers
        self._progress = progress if workers.count == 1 else False

    def reference(self, baseline: Arch) -> float:
        """Returns the baseline's accuracy after the whole of the finalists' training."""
        return self._signal({baseline.digest(): self._folder.training("finalist-baseline")})(baseline)

    def run(
        self, candidates: Sequence[Candidate], report: Callable[[Candidate, Trial], None]
    ) -> tuple[Race, list[tuple[Candidate, float]]]:
        """Runs the race, or goes on with it.

        Args:
            candidates: The finalists.
            report: Called with each trial and its candidate.

        Returns:
            The race, and those who got all of the training, each with its accuracy, in the order of `candidates`.

        Raises:
            AccelzooError: If no one did.
        """
        folders = {each.arch.digest(): self._folder.training(f"finalist-candidate{each.index}") for each in candidates}
        race = successive_halving(
            [candidate.arch for candidate in candidates],
            self._signal(folders),
            fidelities=self._plan.fidelities,
            keep=self._plan.keep,
            folder=self._folder.finalists,
            resume=True,
            workers=self._workers,
            report=lambda trial: report(candidates[trial.candidate], trial),
        )
        last = {trial.candidate: trial.accuracy for trial in race.trials if trial.fidelity == 1}
        trained = [(candidates[index], accuracy) for index, accuracy in sorted(last.items()) if accuracy is not None]
        if not trained:
            raise AccelzooError("every finalist's training failed; change `finalists.training`")
        return race, trained

    def _signal(self, folders: Mapping[str, Path]) -> TrainingSignal:
        plan = replace(self._plan.training, seed=0)
        return TrainingSignal(
            self._bank, plan, None, scale=self._plan.scale, folders=folders, progress=self._progress
        )


def choose(candidates: Sequence[Candidate], accuracies: Sequence[float], required: float) -> Candidate:
    """Picks the fastest candidate that reaches the required accuracy; if none does, the most accurate."""
    pairs = list(zip(candidates, accuracies, strict=True))
    good = [candidate for candidate, accuracy in pairs if accuracy >= required]
    if good:
        return min(good, key=lambda candidate: (_latency(candidate), candidate.index))
    return max(pairs, key=lambda pair: (pair[1], -pair[0].index))[0]


def _latency(candidate: Candidate) -> float:
    return math.inf if candidate.cost is None else candidate.cost.latency_s
