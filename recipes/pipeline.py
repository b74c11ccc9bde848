"""A recipe from end to end; of a funnel: price the baseline, filter, search, race, train winner and baseline, release.

The search is a funnel of accuracy signals, each dearer and better than the one before: zero-cost scores choose a
shortlist, a search trains some of it shortly, and its finalists race in longer trainings.

Every part keeps what it has done in the run's folder, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.build import AccelNet
from accelzoo.hwmodel import Cost, estimate
from accelzoo.recipes import FOLDER, recipe_path
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.energy import EnergyMeter
from accelzoo.recipes.folder import RunFolder, write_text
from accelzoo.recipes.funnel import (
    FinalistsRace,
    check_shortlist,
    choose,
    describe_race,
    describe_shortlist,
    objective_of,
    search_space,
    take_shortlist,
)
from accelzoo.recipes.lock import RELEASE, describe_search, kept_lock, make_lock
from accelzoo.recipes.lock_results import funnel_figures
from accelzoo.recipes.lock_trainings import tolerance, training_facts
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.output import say
from accelzoo.recipes.packing import pack
from accelzoo.recipes.pricing import Task, prepare
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.report import Comparison, Scored
from accelzoo.recipes.schema import Recipe, load_recipe, profile_names
from accelzoo.recipes.spent import on_gpu, spent
from accelzoo.recipes.trainings import TrainingSignal, train
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search import Budgets, Candidate, Result, TargetCosts
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.plan import Plan
from accelzoo.search.race import Trial
from accelzoo.search.shortlist import Shortlist
from accelzoo.search.trace import FILE_NAME
from accelzoo.search.workers import Workers, as_workers
from accelzoo.tasks.classification import evaluate
from accelzoo.tasks.metrics import Metrics
from accelzoo.weights_digest import network_arrays, weights_digest

_CHANNELS = 3


def run_recipe(
    recipe: str | Path,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
    workers: int | str | Workers = 1,
    progress: bool | None = None,
) -> Outcome:
    """Runs a recipe of any kind.

    Args:
        recipe: A shipped recipe's name, or a file.
        profile: One of its profiles; None takes the first.
        overrides: `key=value` changes.
        out: The run's folder; None: `runs/<recipe>-<profile>` (`default` for a recipe without profiles).
        resume: Go on with the run in that folder.
        force: Throw away the run in that folder.
        workers: How many processes train candidates, or where (see `accelzoo.search.workers`); of search and finalists
            alike. Decides nothing but how long it takes; at most `search.pending` of them have something to do in a
            funnel's search.
        progress: Show progress; None: if standard error is a terminal.

    Raises:
        ConfigError: If the recipe has faults, or differs from the one the folder's run was begun with.
        BudgetError: If nothing in the space meets the budgets; it names the best achievable values. Nothing was
            written or removed then.
        DataError: If the data are missing.
        AccelzooError: If the folder is taken.
    """
    plan = load_recipe(recipe, profile, overrides)
    asked = _asked(recipe, profile, overrides)
    folder = RunFolder(out or Path("runs") / f"{plan.recipe}-{asked.profile or 'default'}")
    crew = as_workers(workers)
    if isinstance(plan, WidthRecipe):
        from accelzoo.recipes.width.pipeline import run_width  # no funnel needs what that loads

        return run_width(plan, folder, crew, progress, asked=asked, resume=resume, force=force)
    if isinstance(plan, ProductRecipe):
        from accelzoo.recipes.product.pipeline import run_product

        return run_product(plan, folder, crew, progress, asked=asked, resume=resume, force=force)
    return _Run(plan, folder, crew, progress, asked).go(resume=resume, force=force)


def _asked(recipe: str | Path, profile: str | None, overrides: Sequence[str]) -> Asked:
    path = recipe_path(recipe)
    name = path.stem if path.parent == FOLDER else path.name  # a lock tells nobody's folders
    return Asked(recipe=name, profile=profile or next(iter(profile_names(recipe)), None), overrides=tuple(overrides))


class _Run:
    """The parts of one run, in order."""

    def __init__(
        self, recipe: Recipe, folder: RunFolder, workers: Workers, progress: bool | None, asked: Asked
    ) -> None:
        self.recipe = recipe
        self.asked = asked
        self.folder = folder
        self.workers = workers
        self.progress = progress
        self.parts: dict[str, Mapping[str, Any]] = {}
        self.bank = DataBank(recipe.data, _CHANNELS)
        largest = max(recipe.resolutions)
        self.input_size = (_CHANNELS, largest, largest)

    def go(self, *, resume: bool, force: bool) -> Outcome:
        # Whatever can be refused is refused before `begin` throws anything away.
        self.folder.check(self.recipe, resume=resume, force=force)
        classes = len(self.bank.at(self.input_size).class_names)
        task = prepare(self.recipe, classes, _CHANNELS)
        if not (resume and (self.folder.search / FILE_NAME).exists()):
            self._check_search(task)
        self.folder.begin(self.recipe, resume=resume, force=force)
        with EnergyMeter(self.folder) as self.meter:
            return self._parts(task)

    def _parts(self, task: Task) -> Outcome:
        say(f"baseline {self.recipe.baseline}: {_summary(task.baseline_cost)} on {task.target.name}")
        result = self._search(task, self._shortlist(task))
        winner = self._choose(task, result)
        say(f"winner: candidate {winner.index}, {_summary(estimate(winner.arch.lower(), task.target))}")
        return self._release(task, result, winner)

    def _check_search(self, task: Task) -> None:
        """Tries what the search begins with: its algorithm's options, and whether anything meets the budgets."""
        plan = self.recipe.search
        costs, budgets = TargetCosts(task.target), Budgets.of(task.budgets)
        evaluator = Evaluator(task.space, self._signal(), costs, budgets, objective_of(plan, task))
        settings = Plan(evaluator, plan.algorithm, plan.options, plan.seed, pending=plan.pending)
        settings.algorithm(informed=False)
        settings.find_start()
        if plan.shortlist is not None:
            anything = [[0] * len(task.space.sizes)]
            Plan(evaluator, plan.algorithm, plan.options, plan.seed, pool=anything)  # can it be kept to a pool?
            check_shortlist(plan, task)

    def _signal(self) -> TrainingSignal:
        return TrainingSignal(self.bank, self.recipe.search.signal, self.recipe.search.validation_images)

    def _shortlist(self, task: Task) -> Shortlist | None:
        limits = ", ".join(f"{name} ≤ {maximum:,.4g}" for name, maximum in task.budgets.items())
        say(f"space: {task.space!r} under {limits or 'no budgets'}")
        started = time.perf_counter()
        made = take_shortlist(self.recipe.search, task, self.folder, self.progress)
        if made is not None:
            self.folder.took("shortlist", started)
            self.parts["shortlist"] = describe_shortlist(made)
            scores = " + ".join(made.settings["scores"])
            say(f"shortlist by {scores}: {made.summary()} ({self.folder.seconds()['shortlist']:,.1f} s)")
        return made

    def _search(self, task: Task, shortlist: Shortlist | None) -> Result:
        plan = self.recipe.search
        among = "the space" if shortlist is None else f"the {len(shortlist):,} of the shortlist"
        say(f"search: {plan.evaluations} short trainings among {among}, chosen by {plan.algorithm}")
        started = time.perf_counter()
        result = search_space(
            plan, task, self._signal(), shortlist, self.folder.search, self.workers, progress=self.progress
        )
        self.folder.took("search", started)
        best = result.best
        took = self.folder.seconds()["search"]
        say(f"{result.message} ({took:,.1f} s); best: top-1 {best.accuracy:.2%} at {_summary(best.cost)}")
        return result

    def _choose(self, task: Task, result: Result) -> Candidate:
        """Trains the search's best beside the baseline; see `choose`."""
        plan = self.recipe.finalists
        started = time.perf_counter()
        racing = FinalistsRace(self.bank, plan, self.folder, self.workers, self.progress)
        reference = racing.reference(task.baseline)
        say(f"finalists: baseline reaches {reference:.2%} in the same training")
        finalists = result.top(plan.count)
        race, trained = racing.run(finalists, self._tell)
        self.folder.took("finalists", started)
        self.parts["finalists"] = describe_race(race, finalists, reference)
        spent = f"{len(race.trials)} trainings that cost {race.spent:,.3g} whole ones"
        say(f"finalists: {spent} ({self.folder.seconds()['finalists']:,.1f} s)")
        required = reference + plan.accuracy_margin
        candidates, scores = [candidate for candidate, _ in trained], [accuracy for _, accuracy in trained]
        if max(scores) < required:
            say(f"no finalist reaches {required:.2%}: the most accurate wins; search longer or raise the budgets")
        return choose(candidates, scores, required)

    def _tell(self, candidate: Candidate, trial: Trial) -> None:
        if trial.accuracy is None:
            said = str(trial.reason)
        else:
            share = "" if trial.fidelity == 1 else f" after {trial.fidelity:.3g} of the training"
            said = f"{trial.accuracy:.2%}{share} at {_summary(candidate.cost)}"
        say(f"  candidate {candidate.index}: {said}")

    def _release(self, task: Task, result: Result, winner: Candidate) -> Outcome:
        facts: dict[str, Any] = {}
        baseline, _ = self._train_seeds("baseline", task.baseline, task.baseline_cost, facts)
        scored, models = self._train_seeds("winner", winner.arch, estimate(winner.arch.lower(), task.target), facts)
        data = self.bank.of(winner.arch)
        comparison = Comparison(target=task.target.name, data=data.name, baseline=baseline, winner=scored)
        lock = self._lock(task, result, winner, comparison, facts)
        best = max(range(len(models)), key=lambda index: scored.validation[index].top1)
        release = pack(
            self.folder.release,
            self.recipe,
            model=models[best],
            data=data,
            scored=scored,
            index=best,
            seed=self.recipe.seeds[best],
            table=comparison.markdown(),
            target=task.target.name,
            lock=lock,
            trace_path=result.path,
            found_by="every candidate of the search in `trace.jsonl`",
        )
        self.folder.write_json("lock", {**lock, RELEASE: release.digest})
        write_text(self.folder.table, comparison.markdown())
        return Outcome(folder=self.folder.path, release=release.folder, digest=release.digest, comparison=comparison)

    def _lock(
        self, task: Task, result: Result, winner: Candidate, comparison: Comparison, facts: Mapping[str, Any]
    ) -> dict[str, Any]:
        data, scored = self.bank.of(winner.arch), (comparison.baseline, comparison.winner)
        lock = make_lock(
            self.recipe,
            target=task.target,
            winner_digest=winner.arch.digest(),
            search=describe_search(result, winner.index, self._signal().digest(), self.parts),
            data={"winner": data.manifest(), "baseline": self.bank.of(task.baseline).manifest()},
            trainings=facts,
            comparison=comparison.to_json(),
            seconds=self.folder.seconds(),
            asked=self.asked,
            results=funnel_figures(self.recipe, comparison, self.asked, len(data.class_names)),
            spent=self._spent(facts),
            tolerances={
                "test_top1": tolerance([one.test for one in scored]),
                "validation_top1": tolerance([one.validation for one in scored]),
            },
        )
        return kept_lock(lock, self.folder.read_json("lock"))

    def _spent(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Of search and finalists, all workers count; the other parts are one process's."""
        seconds = self.folder.seconds()
        busy = {part: self.workers.count if part in ("search", "finalists") else 1 for part in seconds}
        core_s = math.fsum(value * busy[part] for part, value in seconds.items()) * self.recipe.training.threads
        gpu_s = math.fsum(value * busy[part] for part, value in seconds.items()) if on_gpu(facts) else 0.0
        return spent(core_s=core_s, gpu_s=gpu_s, wall_s=math.fsum(seconds.values()), metered=self.meter.read())

    def _train_seeds(self, name: str, arch: Arch, cost: Cost, facts: dict[str, Any]) -> tuple[Scored, list[AccelNet]]:
        """Trains one network once per seed and scores it on the test split."""
        data = self.bank.of(arch)
        validation: list[Metrics] = []
        test: list[Metrics] = []
        models: list[AccelNet] = []
        started = time.perf_counter()
        for seed in self.recipe.seeds:
            label = f"{name}-seed{seed}"
            folder = self.folder.training(label)
            model, result = train(arch, data.search_view(), self.recipe.training, seed, folder, self.progress)
            test.append(evaluate(model, data.test))
            known = result.validation
            validation.append(known if isinstance(known, Metrics) else evaluate(model, data.validation))
            models.append(model)
            facts[label] = training_facts(replace(self.recipe.training, seed=seed), asdict(result))
            facts[label] |= {"wall_s": round(result.wall_s, 1), "test": test[-1].to_json()}
            facts[label]["weights_sha256"] = weights_digest(network_arrays(model))
            reached = f"validation {validation[-1].top1:.2%}, test {test[-1].top1:.2%}"
            say(f"{label}: {reached} ({result.wall_s:,.0f} s)")
        self.folder.took(name, started)
        return Scored(cost=cost, validation=tuple(validation), test=tuple(test)), models


def _summary(cost: Any) -> str:
    return (
        f"{cost.weight_bytes / 1024:,.1f} KiB weights, {cost.peak_activation_bytes / 1024:,.1f} KiB peak activations, "
        f"{cost.latency_s * 1e3:,.3f} ms, {cost.macs / 1e6:,.1f} M MACs"
    )
