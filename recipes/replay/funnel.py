"""The funnel of a recipe again: the same shortlist, candidates, finalists and winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import DataError, TraceError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.funnel import choose, describe_shortlist, search_space, take_shortlist
from accelzoo.recipes.pricing import Task, prepare
from accelzoo.recipes.replay.comparing import compare_traces, first_difference
from accelzoo.recipes.replay.material import Material, require
from accelzoo.recipes.replay.recorded import RecordedAccuracies, begin_as_recorded
from accelzoo.recipes.replay.values import Again, Divergence, Part
from accelzoo.recipes.schema import Recipe
from accelzoo.recipes.trainings import TrainingSignal
from accelzoo.search import Candidate, Named, Result
from accelzoo.search.halving import successive_halving
from accelzoo.search.shortlist import Shortlist
from accelzoo.search.signals import TableSignal
from accelzoo.search.trace import FILE_NAME, Trace, read_trace
from accelzoo.search.workers import Workers

_CHANNELS = 3
_NEEDED = ("trace_sha256", "candidates", "evaluated", "front", "winner_index")
BASELINE, WINNER = "baseline", "winner"


def replay_funnel(
    material: Material, recipe: Recipe, work: Path, workers: Workers, progress: bool | None, *, train: bool
) -> Again:
    """Repeats shortlist, search and race of a funnel.

    Args:
        material: The run's lock and trace.
        recipe: What was run.
        work: A folder for the trace.
        workers: Who judges candidates.
        progress: Show how it goes.
        train: Train the candidates again; else the accuracies that the trace holds stand for that, and no data are
            read.

    Raises:
        ConfigError: If the recipe names what is not here any more.
        DataError: If the lock names no data, or candidates are to be trained and the data are others.
    """
    require(material.lock.search, _NEEDED, f"{material.of}: lock: search")
    task = prepare(recipe, material.classes, _CHANNELS)
    return _Funnel(
        material=material,
        recipe=recipe,
        task=task,
        work=work,
        workers=workers,
        progress=progress,
        train=train,
    ).again()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Funnel:
    """See `replay_funnel`."""

    material: Material
    recipe: Recipe
    task: Task
    work: Path
    workers: Workers
    progress: bool | None
    train: bool

    @property
    def locked(self) -> Mapping[str, Any]:
        return self.material.lock.search

    def again(self) -> Again:
        parts: list[Part] = []
        shortlist = self._shortlist(parts)
        result = self._search(shortlist, parts)
        networks = {BASELINE: self.task.baseline}
        if result is not None:
            winner = self._winner(result, parts)
            if winner is not None:
                networks[WINNER] = winner
        return Again(parts=tuple(parts), networks=networks)

    def _shortlist(self, parts: list[Part]) -> Shortlist | None:
        made = take_shortlist(self.recipe.search, self.task, RunFolder(self.work / "shortlist"), self.progress)
        if made is not None:
            facts = describe_shortlist(made)
            said = f"{facts['kept']:,} of {facts['seen']:,} genomes, by their digest"
            locked = self.locked.get("shortlist", {})
            parts.append(Part.of("shortlist", said, first_difference(locked, facts)))
        return made

    def _search(self, shortlist: Shortlist | None, parts: list[Part]) -> Result | None:
        """Repeats the search; None if it could not be."""
        recorded = self.material.trace(self.locked["trace_sha256"], self.work / "recorded" / FILE_NAME)
        if recorded is None:
            said = "no trace with the lock's sha256 is here, and with it no recorded accuracy"
            parts.append(Part(name="search", status="skipped", said=said))
            return None
        trace, folder = read_trace(recorded), self.work / "search"
        begin_as_recorded(recorded, folder)
        try:
            result = search_space(
                self.recipe.search, self.task, self._signal(trace), shortlist, folder, self.workers,
                progress=self.progress,
            )  # fmt: skip
        except TraceError as error:  # it was begun with the recorded settings, and those are others now
            other = Divergence(field="settings", expected="those of the trace", got=str(error))
            parts.append(Part.of("search", "the settings", other))
            return None
        judged = "trained again" if self.train else "judged by the recorded accuracies"
        said = f"{len(trace.records):,} candidates, field by field, {judged}"
        divergence = compare_traces(trace, read_trace(folder), reasons=self.train)
        facts = {
            "candidates": len(result.trace),
            "evaluated": sum(record.evaluated for record in result.trace),
            "front": [candidate.index for candidate in result.front],
        }
        divergence = divergence or first_difference({name: self.locked[name] for name in facts}, facts)
        parts.append(Part.of("search", said, divergence))
        return result

    def _signal(self, trace: Trace) -> Any:
        """Returns what judges candidates; under the recorded name where only the place of the data is another."""
        plan, planned = self.recipe.search, self.material.planned
        signal = TrainingSignal(DataBank(planned.data), plan.signal, plan.validation_images)
        if self.train:
            self.material.require_data(self._manifests())
            trained = TrainingSignal(DataBank(self.recipe.data), plan.signal, plan.validation_images)
            return Named(trained, signal.digest())
        of_lock = self.material.lock.schema > 1
        name = signal.digest() if of_lock else trace.header["signal"]
        return Named(RecordedAccuracies.of(trace.records), name)

    def _manifests(self) -> dict[str, Any]:
        bank = DataBank(self.recipe.data)
        return {BASELINE: bank.of(self.task.baseline).manifest()}

    def _winner(self, result: Result, parts: list[Part]) -> Arch | None:
        """Repeats the race and the choice by its recorded trials; of an older lock, looks the winner up."""
        race = self.locked.get("finalists")
        index = self.locked["winner_index"]
        if race is None or not isinstance(race["trials"], list):
            said = f"candidate {index}, by its digest; the lock does not hold the trials that it was chosen by"
            winner = result.space.decode(result.trace[index].genome) if index < len(result.trace) else None
            made = None if winner is None else winner.digest()
        else:
            said = f"candidate {index}, chosen again by {len(race['trials'])} recorded trials"
            finalists = result.top(self.recipe.finalists.count)
            divergence, chosen = self._race(finalists, race)
            if divergence is not None or chosen is None:
                parts.append(Part.of("winner", said, divergence))
                return None
            winner, made = chosen.arch, chosen.arch.digest()
            if chosen.index != index:
                divergence = Divergence(field="winner_index", expected=index, got=chosen.index)
                parts.append(Part.of("winner", said, divergence))
                return None
        recorded = self.material.lock.winner_digest
        divergence = None
        if made != recorded:
            divergence = Divergence(field="winner_digest", expected=recorded, got=made, index=index)
        parts.append(Part.of("winner", said, divergence))
        return winner

    def _race(
        self, finalists: Sequence[Candidate], locked: Mapping[str, Any]
    ) -> tuple[Divergence | None, Candidate | None]:
        """Lets the finalists race by recorded accuracies; returns the first other trial, or who wins."""
        plan, trials = self.recipe.finalists, locked["trials"]
        place = {candidate.index: number for number, candidate in enumerate(finalists)}
        strangers = sorted({trial["candidate"] for trial in trials} - place.keys())
        if strangers:
            return Divergence(field="finalists", expected=strangers, got=sorted(place)), None
        tables: dict[float, dict[str, float]] = {share: {} for share in plan.fidelities}
        for trial in trials:
            if trial["accuracy"] is not None:
                arch = finalists[place[trial["candidate"]]].arch
                tables.setdefault(trial["fidelity"], {})[arch.digest()] = trial["accuracy"]
        race = successive_halving(
            [candidate.arch for candidate in finalists],
            TableSignal(accuracies=tables[1.0], partial=tables),
            fidelities=plan.fidelities,
            keep=plan.keep,
        )
        made = [
            {"candidate": finalists[one.candidate].index, "fidelity": one.fidelity, "accuracy": one.accuracy}
            for one in race.trials
        ]
        divergence = first_difference(trials, made, "finalists.trials")
        if divergence is not None:
            return divergence, None
        last = {one.candidate: one.accuracy for one in race.trials if one.fidelity == 1 and one.accuracy is not None}
        if not last:
            raise DataError(f"{self.material.of}: no finalist of the lock has an accuracy")
        required = locked["reference"] + plan.accuracy_margin
        ordered = sorted(last)
        return None, choose([finalists[one] for one in ordered], [last[one] for one in ordered], required)
