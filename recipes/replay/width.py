"""The choices of a width run again: from what its trainings learnt, the same widths at the same latencies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import BudgetError, DataError
from accelzoo.hwmodel import load_target
from accelzoo.hwmodel.oracles import MissingToolError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.replay.comparing import first_difference
from accelzoo.recipes.replay.material import Material, require
from accelzoo.recipes.replay.values import Again, Divergence, Part
from accelzoo.recipes.width.choosing import (
    OPTIMISED,
    choices,
    contenders,
    originals,
    prune_jobs,
    refine_jobs,
    score_jobs,
    slimmable_jobs,
)
from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.jobs import FinalJob
from accelzoo.recipes.width.latency import DeviceLatency
from accelzoo.recipes.width.preparing import cost_columns, width_space
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.recipes.width.table_file import TABLE_FILE
from accelzoo.recipes.width.values import Choice
from accelzoo.search.chain import verified_lines

WINNER = "winner"
RELATIVE = 1e-6
"""Of latencies and losses: a fitted table's last digits depend on the build of the libraries."""
_BY_THE_CLOCK = frozenset(("litert", "torch-cpu", "torch-cuda"))
"""Oracles that never say the same twice."""


def replay_width(material: Material, recipe: WidthRecipe, work: Path) -> Again:
    """Repeats every choice of a width run; no data are read, and nothing is trained.

    Latencies are measured again where the tool is a compiler or a simulator. Timings of a clock are taken from the
    run's folder, if it is a run that is replayed.

    Args:
        material: The run's lock and its trace.
        recipe: What was run.
        work: A folder for timings.

    Raises:
        ConfigError: If the recipe names what is not here any more.
        DataError: If the lock names no data, or the trace lacks a job of the recipe.
    """
    require(material.lock.search, ("trace_sha256", "space", "winner"), f"{material.of}: lock: search")
    sha256 = material.lock.search["trace_sha256"]
    recorded = material.trace(sha256, work / "recorded" / RunFolder(work).width_trace.name)
    if recorded is None:
        said = "no trace with the lock's sha256 is here, and with it nothing that the choices were made by"
        return Again(parts=(Part(name="choices", status="skipped", said=said),))
    return _Choices(material=material, recipe=recipe, recorded=_Recorded.read(recorded), work=work).again()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """What the trace of a width run holds.

    Args:
        header: What decides the rest.
        results: Job → its result.
        choices: In order, as `Choice.to_json` returns them.
    """

    header: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]
    choices: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> _Recorded:
        """Reads and verifies a trace.

        Raises:
            DataError: If it is of something else.
            TraceError: If the chain breaks.
        """
        header, *lines = [content for _, _, content in verified_lines(path, path.read_bytes())] or [{}]
        if header.get("kind") != "width":
            raise DataError(f"{path.name}:1: expected the trace of a width run, found {sorted(header)}")
        results = {str(line["job"]): line["result"] for line in lines if "job" in line}
        return cls(header=header, results=results, choices=[line["choice"] for line in lines if "choice" in line])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """See `replay_width`."""

    material: Material
    recipe: WidthRecipe
    recorded: _Recorded
    work: Path

    def again(self) -> Again:
        recipe, target = self.recipe, load_target(self.recipe.target)
        space = width_space(recipe, self.material.classes)
        made = {"space": space.digest(), "target": target.digest()}
        header = {key: self.recorded.header.get(key) for key in made}
        settings = Part.of("space", f"{space!r}, by its digest", first_difference(header, made))
        if settings.divergence is not None:
            return Again(parts=(settings,))
        context = JobContext(recipe=recipe, space=space, bank=DataBank(recipe.data), folder=self.work)
        plan, folder = recipe.measure, RunFolder(self.work / "measured")
        if plan is not None and plan.oracle in _BY_THE_CLOCK and not self._copied_timings(folder.path):
            said = f"{plan.oracle} takes times by the clock, never the same twice; the run's folder has them"
            return Again(parts=(settings, Part(name="choices", status="skipped", said=said)))
        try:
            with DeviceLatency.of(space, target, plan, cost_columns(recipe), folder.timings) as device:
                part, chosen = self._chosen(context, device)
                said = "estimated" if device.measured_by is None else f"measured by {device.measured_by}"
        except MissingToolError as error:
            return Again(parts=(settings, Part(name="choices", status="skipped", said=str(error))))
        part = Part(name=part.name, status=part.status, said=f"{part.said}; {said}", divergence=part.divergence)
        if part.divergence is not None:
            return Again(parts=(settings, part))
        winner, last = self._winner(context, chosen)
        return Again(parts=(settings, part, last), networks={} if winner is None else {WINNER: winner})

    def _copied_timings(self, folder: Path) -> bool:
        """Copies the timings of a run's folder, and the table that was fitted to them; tells whether there are any."""
        run = self.material.folder
        source = None if run is None else RunFolder(run).timings
        if source is None or not source.is_file():
            return False
        folder.mkdir(parents=True)
        for path in (source, source.with_name(TABLE_FILE)):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        return True

    def _chosen(self, context: JobContext, device: DeviceLatency) -> tuple[Part, list[Choice]]:
        """Chooses again, and compares choice by choice."""
        recipe, results = self.recipe, self.recorded.results
        said = f"{len(self.recorded.choices)} choices from what the trainings learnt"
        names = [job.name for job in slimmable_jobs(recipe, device)]
        names += [job.name for job in prune_jobs(recipe, device)]
        names += [job.name for job in refine_jobs(recipe, device)]
        require(results, names, f"{self.material.of}: trace: jobs")
        try:
            found = contenders(recipe, device, results)
        except BudgetError as error:
            nothing = Divergence(field="contenders", expected="networks within the budgets", got=str(error))
            return Part.of("choices", said, nothing), []
        scored = {job.name: len(job.genomes) for job in score_jobs(found)}
        recorded = {name: len(results[name]["losses"]) for name in results if "losses" in results[name]}
        divergence = first_difference(recorded, scored, "networks scored")
        if divergence is not None:
            return Part.of("choices", said, divergence), []
        made = [*originals(context, device), *choices(context, device, found, results)]
        return Part.of("choices", said, self._first_other(made)), made

    def _first_other(self, made: Sequence[Choice]) -> Divergence | None:
        recorded = self.recorded.choices
        if len(made) != len(recorded):
            return Divergence(field="choices", expected=len(recorded), got=len(made))
        pairs = enumerate(zip(recorded, made, strict=True))
        found = (
            first_difference(theirs, ours.to_json(), ours.name, relative=RELATIVE, index=index)
            for index, (theirs, ours) in pairs
        )
        return next(filter(None, found), None)

    def _winner(self, context: JobContext, made: Sequence[Choice]) -> tuple[Arch | None, Part]:
        """Takes the release's network again, by the recorded validation accuracies."""
        share, results = self.recipe.release.latency_share, self.recorded.results
        ours = [one for one in made if one.method in OPTIMISED and one.share == share]
        jobs = {one.name: FinalJob.of(context.space, one.genome, one.seed) for one in ours}
        require(results, [job.name for job in jobs.values()], f"{self.material.of}: trace: jobs")
        best = max(jobs, key=lambda name: results[jobs[name].name]["validation"]["top1"])
        lock, arch = self.material.lock, jobs[best].arch
        expected = {"winner": lock.search["winner"], "winner_digest": lock.winner_digest}
        divergence = first_difference(expected, {"winner": best, "winner_digest": arch.digest()})
        said = f"the best of {len(ours)} by recorded validation accuracies, and its digest"
        return arch, Part.of("winner", said, divergence)
