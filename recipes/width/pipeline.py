"""A width recipe from end to end: time, train all widths, choose by every method, train what was chosen, release.

Every part leaves what it has done in the run's folder, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import BudgetError, ConfigError, suggestion
from accelzoo.hwmodel import Target, estimate, load_target
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.energy import EnergyMeter
from accelzoo.recipes.folder import RunFolder, write_text
from accelzoo.recipes.job_pool import Job, run_jobs
from accelzoo.recipes.lock import RELEASE, kept_lock, make_lock
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.output import say
from accelzoo.recipes.packing import pack
from accelzoo.recipes.report import Scored
from accelzoo.recipes.spent import on_gpu, spent
from accelzoo.recipes.width.choosing import (
    OPTIMISED,
    budgets_of,
    choices,
    contenders,
    originals,
    prune_jobs,
    refine_jobs,
    score_jobs,
    slimmable_jobs,
)
from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.jobs import FinalJob, load_final, metrics_of
from accelzoo.recipes.width.latency import LATENCY, DeviceLatency, oracle_of
from accelzoo.recipes.width.lock_parts import width_figures, width_tolerances, width_trainings
from accelzoo.recipes.width.plot import draw_widths
from accelzoo.recipes.width.preparing import CHANNELS, cost_columns, width_space
from accelzoo.recipes.width.report import WidthComparison
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.recipes.width.values import Choice, Trained
from accelzoo.search import COST_FIELDS
from accelzoo.search.settled import SettledLog
from accelzoo.search.width import WidthSpace, solve_width
from accelzoo.search.workers import Workers

_SAID_EVERY_S = 10.0


def run_width(
    recipe: WidthRecipe,
    folder: RunFolder,
    workers: Workers,
    progress: bool | None,
    *,
    asked: Asked,
    resume: bool,
    force: bool,
) -> Outcome:
    """Runs a width recipe; see `accelzoo.recipes.pipeline.run_recipe`.

    Raises:
        ConfigError: If the recipe has faults, or differs from the one the folder's run was begun with.
        BudgetError: If nothing in the space meets the budgets; it names the least achievable.
        MissingToolError: If what measures is not installed.
        DataError: If the data are missing.
        AccelzooError: If the folder is taken, or a job fails.
    """
    return _Run(recipe, folder, workers, progress, asked).go(resume=resume, force=force)


class _Run:
    """The parts of one run, in order."""

    def __init__(
        self, recipe: WidthRecipe, folder: RunFolder, workers: Workers, progress: bool | None, asked: Asked
    ) -> None:
        self.recipe = recipe
        self.asked = asked
        self.folder = folder
        self.workers = workers
        self.progress = progress
        self.bank = DataBank(recipe.data, CHANNELS)
        self.results: dict[str, dict[str, Any]] = {}

    def go(self, *, resume: bool, force: bool) -> Outcome:
        # Whatever can be refused is refused before `begin` throws anything away.
        self.folder.check(self.recipe, resume=resume, force=force)
        target, space = load_target(self.recipe.target), self._space()
        context = JobContext(recipe=self.recipe, space=space, bank=self.bank, folder=self.folder.path)
        self._check_budgets()
        self._check_slimmable(space)
        if self.recipe.measure is not None:
            oracle_of(self.recipe.measure, target)
        else:
            with self._device(space, target) as device:
                self._check_feasible(device)
        self.folder.begin(self.recipe, resume=resume, force=force)
        meter = EnergyMeter(self.folder)
        with meter, self._device(space, target) as device, self._trace(context, target) as trace:
            self._check_feasible(device)
            self._say_space(space, device)
            chosen = self._choose(context, device, trace)
            trained = self._train(context, target, chosen, trace)
            groups = tuple([group.name for group in space.groups])
            data = self.recipe.release.dataset_name  # the source may be somebody's path
            comparison = WidthComparison(
                target=target.name, measured_by=device.measured_by, data=data, groups=groups, trained=trained
            )
            return self._release(context, target, comparison, meter)

    def _space(self) -> WidthSpace:
        size = (CHANNELS, self.recipe.resolution, self.recipe.resolution)
        return width_space(self.recipe, len(self.bank.at(size).class_names))

    def _check_slimmable(self, space: WidthSpace) -> None:
        """Refuses networks whose widths cannot be trained together."""
        from accelzoo.search.width.slimmable import SlimmableNet

        SlimmableNet(space)

    def _check_budgets(self) -> None:
        faults = [
            f"budgets.{name}: unknown cost field{suggestion(name, COST_FIELDS)} (allowed: {', '.join(COST_FIELDS)})"
            for name in self.recipe.budgets
            if name not in COST_FIELDS
        ]
        if faults:
            raise ConfigError(faults)

    @contextmanager
    def _device(self, space: WidthSpace, target: Target) -> Iterator[DeviceLatency]:
        said = [time.monotonic()]

        def tell(done: int, total: int) -> None:
            if time.monotonic() - said[0] >= _SAID_EVERY_S:
                said[0] = time.monotonic()
                say(f"timed {done} of {total} networks")

        columns, timings = cost_columns(self.recipe), self.folder.timings
        with DeviceLatency.of(space, target, self.recipe.measure, columns, timings, tell) as device:
            yield device

    def _check_feasible(self, device: DeviceLatency) -> None:
        """Refuses budgets that nothing meets, before hours of training."""
        for share in self.recipe.latency_shares:
            budgets = budgets_of(self.recipe, device, share)
            found = solve_width(device.costs, budgets, objective=LATENCY)
            if found.status == "infeasible":
                raise BudgetError(f"latency_shares: {share:g} of the original's latency: {found.message}")
            if "uniform" in self.recipe.methods:
                device.chosen_uniform(budgets, divisor=self.recipe.divisor)

    def _trace(self, context: JobContext, target: Target) -> SettledLog:
        header = {
            "kind": "width",
            "recipe": config.digest(self.recipe),
            "space": context.space.digest(),
            "target": target.digest(),
            "data": config.digest(self.bank.of(context.space.arch).manifest()),
        }
        return SettledLog(self.folder.width_trace, header, kind="width run", resume=True)

    def _say_space(self, space: WidthSpace, device: DeviceLatency) -> None:
        said = "estimated" if device.measured_by is None else f"measured by {device.measured_by}"
        original = device.budget_s(1.0)
        say(f"{space!r}; the original takes {original * 1e3:,.4g} ms, {said}")
        if device.report is not None:
            report = device.report
            say(f"latency table of {report.entries:,} entries from {report.timings} networks: "
                      f"{report.nrmse:.2%} off on networks left out")  # fmt: skip

    def _do(self, part: str, jobs: Sequence[Job[JobContext]], context: JobContext, trace: SettledLog) -> None:
        """Does jobs, and settles what came of them."""
        started = time.perf_counter()
        found = run_jobs(jobs, context, self.workers, say, self.progress)
        self.folder.took(part, started)
        for name, result in found.items():
            kept = {key: value for key, value in result.items() if key not in ("wall_s", "setup", "history")}
            trace.settle({"job": name, "result": kept})
        self.results |= found

    def _choose(self, context: JobContext, device: DeviceLatency, trace: SettledLog) -> list[Choice]:
        recipe = self.recipe
        self._do("slimmable", slimmable_jobs(recipe, device), context, trace)
        self._do("greedy", prune_jobs(recipe, device), context, trace)
        self._do("refining", refine_jobs(recipe, device), context, trace)
        started = time.perf_counter()
        found = contenders(recipe, device, self.results)
        self.folder.took("choosing", started)
        self._do("scoring", score_jobs(found), context, trace)
        chosen = [*originals(context, device), *choices(context, device, found, self.results)]
        for choice in chosen:
            trace.settle({"choice": choice.to_json()})
            if choice.method != "original":
                say(f"{choice.name}: {choice.measured_s * 1e3:,.4g} ms of {choice.budget_s * 1e3:,.4g}, "
                          f"held-out loss {choice.score:.4f}, widths {' '.join(map(str, choice.widths))}")  # fmt: skip
        self.folder.write_json("choices", [choice.to_json() for choice in chosen])
        return chosen

    def _train(
        self, context: JobContext, target: Target, chosen: Sequence[Choice], trace: SettledLog
    ) -> tuple[Trained, ...]:
        jobs = [FinalJob.of(context.space, choice.genome, choice.seed) for choice in chosen]
        self._do("training", jobs, context, trace)
        trained = []
        for choice, job in zip(chosen, jobs, strict=True):
            result = self.results[job.name]
            trained.append(
                Trained(
                    choice=choice,
                    cost=estimate(job.arch.lower(), target),
                    validation=metrics_of(result["validation"]),
                    test=metrics_of(result["test"]),
                )
            )
        return tuple(trained)

    def _release(
        self, context: JobContext, target: Target, comparison: WidthComparison, meter: EnergyMeter
    ) -> Outcome:
        best = self._best(comparison.trained)
        job = FinalJob.of(context.space, best.choice.genome, best.choice.seed)
        data = self.bank.of(job.arch)
        lock = self._lock(context, target, comparison, job.arch, best, meter)
        table = comparison.markdown()
        release = pack(
            self.folder.release,
            self.recipe,
            model=load_final(context, job),
            data=data,
            scored=Scored(cost=best.cost, validation=(best.validation,), test=(best.test,)),
            index=0,
            seed=best.choice.seed,
            table=table,
            target=target.name,
            lock=lock,
            trace_path=self.folder.width_trace,
            found_by=f"`{best.choice.name}` of the networks in `trace.jsonl`",
            numbers=_numbers(comparison),
        )
        self.folder.write_json("lock", {**lock, RELEASE: release.digest})
        write_text(self.folder.table, table)
        if find_spec("matplotlib") is not None:
            draw_widths(comparison, self.folder.picture, self.recipe.release.latency_share)
        return Outcome(
            folder=self.folder.path, release=release.folder, digest=release.digest, comparison=comparison
        )

    def _best(self, trained: Sequence[Trained]) -> Trained:
        """The most accurate of the optimised networks at the budget that is released, on validation images."""
        share = self.recipe.release.latency_share
        ours = [one for one in trained if one.choice.method in OPTIMISED and one.choice.share == share]
        return max(ours, key=lambda one: one.validation.top1)

    def _lock(
        self,
        context: JobContext,
        target: Target,
        comparison: WidthComparison,
        arch: Arch,
        best: Trained,
        meter: EnergyMeter,
    ) -> dict[str, Any]:
        trace = self.folder.width_trace.read_bytes()
        trainings = width_trainings(self.recipe, self.results, context.jobs)
        lock = make_lock(
            self.recipe,
            target=target,
            winner_digest=arch.digest(),
            search={
                "kind": "width",
                "space": context.space.digest(),
                "measured_by": comparison.measured_by,
                "winner": best.choice.name,
                "trace_sha256": hashlib.sha256(trace).hexdigest(),
            },
            data={"all": self.bank.of(arch).manifest()},
            trainings=trainings,
            comparison=comparison.to_json(),
            seconds=self.folder.seconds(),
            asked=self.asked,
            results=width_figures(self.recipe, comparison, best, self.asked),
            spent=self._spent(trainings, meter),
            tolerances=width_tolerances(comparison),
        )
        return kept_lock(lock, self.folder.read_json("lock"))

    def _spent(self, trainings: Mapping[str, Mapping[str, Any]], meter: EnergyMeter) -> dict[str, Any]:
        """Jobs know their own seconds, however many workers there were."""
        jobs_s = math.fsum(result["wall_s"] for result in self.results.values())
        wall_s = math.fsum(self.folder.seconds().values())
        gpu_s = jobs_s if on_gpu(trainings) else 0.0
        return spent(core_s=jobs_s * self.recipe.training.threads, gpu_s=gpu_s, wall_s=wall_s, metered=meter.read())


def _numbers(comparison: WidthComparison) -> str:
    latencies = f"measured by {comparison.measured_by}" if comparison.measured_by else "estimates of the target's model"
    return f"Latencies are {latencies} at int8, batch 1; weights and MACs are counted; accuracies are float32."
