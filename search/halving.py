"""Successive halving and Hyperband: many candidates trained a little, the better ones trained more.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 18 (2018). The resource is a signal's effort (`accelzoo.search.signals`): epochs, resolution, data.

    race = successive_halving(archs, signal, fidelities=(0.1, 0.3, 1.0), keep=1 / 3, folder="race", workers=4)
    archs[race.best]

Every evaluation is a hash-chained line of `halving.jsonl` in the folder. A race that was stopped at any moment goes on
with `resume=True` and makes nothing twice; candidates that fail (`CandidateError`, NaN, out of memory) drop out with
the reason. Who goes on never depends on how many workers there are: of equally accurate candidates the first does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.errors import ConfigError
from accelzoo.search.plan import identity
from accelzoo.search.race import RACE_FILE, SCHEMA, Race, RaceLog, Trial
from accelzoo.search.results import Results, plain
from accelzoo.search.signals import at_fidelity, check_fidelity, declared_seconds
from accelzoo.search.space import Genome
from accelzoo.search.workers import Outcome, Pool, Workers, as_workers

Report = Callable[[Trial], None]
RESULTS_FILE = "halving-results.jsonl"
_SLACK = 1e-9  # counts are floors and ceilings of products that rounding may leave just beside a whole number


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A step of a race.

    Attributes:
        fidelity: The share of the signal's effort.
        count: The most candidates that get it.
    """

    fidelity: float
    count: int


def halving_rungs(count: int, fidelities: Sequence[float], keep: float) -> tuple[Rung, ...]:
    """Returns the rungs of a successive halving.

    Args:
        count: Candidates at the first rung.
        fidelities: Of each rung, rising.
        keep: Share of a rung's candidates that goes on to the next, rounded down, but at least one.

    Raises:
        ConfigError: If there is no candidate, fidelities do not rise within 0 … 1, or `keep` is no share.
    """
    faults = []
    if count < 1:
        faults.append("a race needs at least one candidate")
    if not fidelities or any(one >= other for one, other in itertools.pairwise(fidelities)):
        faults.append(f"fidelities (={list(fidelities)}) must be at least one, each above the one before")
    if not 0 < keep <= 1:
        faults.append(f"keep (={keep}) must be above 0 and at most 1")
    if faults:
        raise ConfigError(faults)
    rungs = []
    for fidelity in fidelities:
        check_fidelity(fidelity)
        rungs.append(Rung(fidelity=float(fidelity), count=count))
        count = max(1, math.floor(count * keep + _SLACK))
    return tuple(rungs)


def hyperband_brackets(resource: float, eta: float = 3) -> tuple[tuple[Rung, ...], ...]:
    """Returns the brackets of algorithm 1 as data, the most exploring first; their last fidelity is 1.

    Bracket s, from ⌊log_η R⌋ down to 0, begins with n = ⌈(s_max + 1) / (s + 1) · η^s⌉ candidates; its rung i has
    ⌊n · η^−i⌋ of them, with η^(i − s) of the largest resource.

    Args:
        resource: R, how many times the smallest effort the largest is.
        eta: η; one in so many goes on.

    Raises:
        ConfigError: If `resource` is below 1 or `eta` not above 1.
    """
    if not 1 <= resource < math.inf or not 1 < eta < math.inf:
        raise ConfigError([f"resource (={resource}) must be at least 1 and eta (={eta}) above 1, both finite"])
    most = 0
    while eta ** (most + 1) <= resource * (1 + _SLACK):
        most += 1
    brackets = []
    for s in range(most, -1, -1):
        count = math.ceil((most + 1) / (s + 1) * eta**s - _SLACK)
        rungs = [Rung(fidelity=eta ** float(i - s), count=math.floor(count * eta**-i + _SLACK)) for i in range(s + 1)]
        brackets.append(tuple(rungs))
    return tuple(brackets)


def successive_halving(
    candidates: Sequence[Any],
    signal: Callable[[Any], float],
    *,
    fidelities: Sequence[float] = (1.0,),
    keep: float = 1 / 3,
    budget: float | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    workers: int | str | Workers = 1,
    report: Report | None = None,
) -> Race:
    """Lets candidates race: all get the first fidelity, the best share of them the next, and so on.

    Args:
        candidates: Architectures, with `digest()`.
        signal: Architecture → accuracy, higher is better; with `at(fidelity)` unless every fidelity is 1.
        fidelities: Shares of the signal's effort, rising.
        keep: Share of a rung's candidates that goes on, rounded down, but at least one.
        budget: The most to spend: in seconds if the signal declares its `seconds`, else in evaluations at full effort.
        folder: Where `halving.jsonl` is kept.
        resume: Go on with the folder's race, or begin it.
        workers: See `accelzoo.search.workers.as_workers`.
        report: Called with every trial, also with those that a folder held.

    Raises:
        ConfigError: If an argument is out of range, or the race may cost more than the budget; it says how much.
        TraceError: If the folder's race is there (and not `resume`), broken, in use, or of other settings.
    """
    rungs = halving_rungs(len(candidates), fidelities, keep)
    unit, (cost,) = _priced(signal, (rungs,))
    if budget is not None and cost > budget:
        raise ConfigError([f"budget (={budget:g}): this race may cost {cost:g} {unit}: {_said(rungs)}"])
    return _Racing(signal, (rungs,), folder, resume, as_workers(workers), report).run(lambda _: candidates)


def hyperband(
    propose: Callable[[int], Sequence[Any]],
    signal: Callable[[Any], float],
    *,
    resource: float = 27,
    eta: float = 3,
    budget: float | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    workers: int | str | Workers = 1,
    report: Report | None = None,
) -> Race:
    """Runs the brackets of Hyperband, from the most exploring one to plain evaluations at full effort.

    Args:
        propose: Number → so many architectures, or fewer when there are no more; asked once per bracket, in order, and
            for the same ones when a race is resumed.
        signal: Architecture → accuracy, higher is better, with `at(fidelity)`.
        resource: How many times the smallest effort the largest is.
        eta: One candidate in so many goes on.
        budget: As in `successive_halving`; brackets that no longer fit are left out.
        folder: Where `halving.jsonl` is kept.
        resume: Go on with the folder's race, or begin it.
        workers: See `accelzoo.search.workers.as_workers`.
        report: Called with every trial.

    Raises:
        ConfigError: If an argument is out of range, or no bracket fits the budget; it names the least.
        TraceError: As `successive_halving` does.
    """
    brackets = hyperband_brackets(resource, eta)
    unit, costs = _priced(signal, brackets)
    kept, left = [], math.inf if budget is None else budget
    for bracket, cost in zip(brackets, costs, strict=True):
        if cost <= left:
            kept.append(bracket)
            left -= cost
    if not kept:
        raise ConfigError([f"budget (={budget:g}): the cheapest bracket may cost {min(costs):g} {unit}"])
    return _Racing(signal, tuple(kept), folder, resume, as_workers(workers), report).run(propose)


class _Racing:
    """A running race: what each fidelity's signal is, what was tried, and where it is written."""

    def __init__(
        self,
        signal: Callable[[Any], float],
        brackets: tuple[tuple[Rung, ...], ...],
        folder: str | Path | None,
        resume: bool,
        workers: Workers,
        report: Report | None,
    ) -> None:
        if resume and folder is None:
            raise ConfigError(["resume: there is nothing to resume without a folder"])
        self._signal = signal
        self._brackets = brackets
        self._unit, _ = _priced(signal, brackets)
        self._path = None if folder is None else Path(folder) / RACE_FILE
        self._resume = resume
        self._workers = workers
        self._report = report or (lambda trial: None)
        self._log: RaceLog | None = None
        self._early: Results | None = None
        self._candidates: list[Any] = []
        self._trials: list[Trial] = []
        # Architecture and fidelity -> the first trial of that.
        self._known: dict[tuple[str, float], Trial] = {}

    def run(self, propose: Callable[[int], Sequence[Any]]) -> Race:
        if self._path is None:
            self._all(propose)
        else:
            with RaceLog(self._path, self._header(), resume=self._resume) as self._log:
                self._early = Results(self._path.with_name(RESULTS_FILE), self._header())
                self._all(propose)
                self._early.drop(below=len(self._trials))
        return Race(
            candidates=tuple(self._candidates), trials=tuple(self._trials), unit=self._unit, path=self._path
        )

    def _header(self) -> dict[str, Any]:
        fidelities = sorted({rung.fidelity for rungs in self._brackets for rung in rungs})
        return {
            "kind": "halving",
            "brackets": [[[rung.fidelity, rung.count] for rung in rungs] for rungs in self._brackets],
            "signals": [identity(at_fidelity(self._signal, fidelity)) for fidelity in fidelities],
            "schema": SCHEMA,
            "unit": self._unit,
        }

    def _all(self, propose: Callable[[int], Sequence[Any]]) -> None:
        for number, rungs in enumerate(self._brackets):
            entrants = list(propose(rungs[0].count))[: rungs[0].count]
            first = len(self._candidates)
            self._candidates += entrants
            if self._log is not None:
                self._log.settle({"entrants": [arch.digest() for arch in entrants], "entered": number})
            self._bracket(number, rungs, first, entrants)

    def _bracket(self, number: int, rungs: tuple[Rung, ...], first: int, entrants: list[Any]) -> None:
        signals = tuple(at_fidelity(self._signal, rung.fidelity) for rung in rungs)
        field = _Field(archs=tuple(entrants), rungs=len(rungs))
        with self._workers.start(field, _Graded(signals=signals)) as pool:
            judge = _Judge(pool, self._early)
            left = list(range(len(entrants)))
            for rung, step in enumerate(rungs):
                made = self._rung(judge, number, rung, step, first, entrants, left[: step.count])
                good = [trial for trial in made if trial.accuracy is not None]
                good.sort(key=lambda trial: (-(trial.accuracy or 0.0), trial.candidate))
                left = [trial.candidate - first for trial in good]

    def _rung(
        self, judge: _Judge, number: int, rung: int, step: Rung, first: int, entrants: list[Any], left: list[int]
    ) -> list[Trial]:
        """Tries every candidate of a rung, in the order of their indices, and records them in that order."""
        cost = _cost(self._signal, step.fidelity)
        wanted: list[tuple[int, str]] = [(index, str(entrants[index].digest())) for index in sorted(left)]
        recorded = self._recorded(len(wanted))
        base = len(self._trials)
        seen = {digest for digest, fidelity in self._known if fidelity == step.fidelity}
        seen |= {digest for _, digest in wanted[: len(recorded)]}
        for place, (index, digest) in enumerate(wanted[len(recorded) :], start=len(recorded)):
            if digest not in seen:
                seen.add(digest)
                judge.submit(base + place, (index, rung))
        made = []
        for place, (index, digest) in enumerate(wanted):
            known = self._known.get((digest, step.fidelity))
            outcome = Outcome()
            if known is not None:
                outcome = Outcome(accuracy=known.accuracy, reason=known.reason)
            elif place < len(recorded):
                outcome = Outcome(accuracy=recorded[place].accuracy, reason=recorded[place].reason)
            else:
                outcome = judge.outcome(base + place)
            trial = Trial(
                bracket=number,
                rung=rung,
                candidate=first + index,
                arch=digest,
                fidelity=step.fidelity,
                cost=0.0 if known is not None else cost,
                accuracy=outcome.accuracy,
                reason=outcome.reason,
            )
            self._settle(trial)
            made.append(trial)
        return made

    def _recorded(self, count: int) -> list[Trial]:
        """Returns the next trials that the file holds already, at most `count`."""
        return [] if self._log is None else [Trial(**line) for line in self._log.coming(count)]

    def _settle(self, trial: Trial) -> None:
        if self._log is not None:
            self._log.settle(trial.to_json())
        self._trials.append(trial)
        self._known.setdefault((trial.arch, trial.fidelity), trial)
        self._report(trial)


class _Judge:
    """Hands out a pool's outcomes in the order in which they are asked for; those that come earlier are kept."""

    def __init__(self, pool: Pool, early: Results | None) -> None:
        self._pool = pool
        self._early = early
        self._outcomes: dict[int, Outcome] = {}
        self._genomes: dict[int, Genome] = {}

    def submit(self, index: int, genome: Genome) -> None:
        known = None if self._early is None else self._early.take(index, genome)
        if known is not None:
            self._outcomes[index] = known
        else:
            self._genomes[index] = genome
            self._pool.submit(index, genome)

    def outcome(self, index: int) -> Outcome:
        while index not in self._outcomes:
            finished, outcome = self._pool.wait()
            self._outcomes[finished] = plain(outcome)
            if finished != index and self._early is not None:
                self._early.keep(finished, self._genomes[finished], self._outcomes[finished])
        return self._outcomes.pop(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A candidate at a rung: what a race's workers decode."""

    arch: Any
    rung: int

    def digest(self) -> str:
        return f"{self.arch.digest()}@{self.rung}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """The entrants of a bracket as a space of two positions: who, and at which rung."""

    archs: tuple[Any, ...]
    rungs: int

    @property
    def sizes(self) -> tuple[int, ...]:
        return len(self.archs), self.rungs

    def decode(self, genome: Genome) -> _Entry:
        return _Entry(arch=self.archs[genome[0]], rung=genome[1])

    def canonical(self, genome: Genome) -> Genome:
        return genome

    def digest(self) -> str:
        return "race"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graded:
    """The signal of a bracket: that of the entry's rung."""

    signals: tuple[Callable[[Any], float], ...]

    def __call__(self, entry: _Entry) -> float:
        return self.signals[entry.rung](entry.arch)


def _priced(signal: Callable[[Any], float], brackets: Sequence[Sequence[Rung]]) -> tuple[str, list[float]]:
    """Returns the unit of costs, and the most that each bracket may cost."""
    costs = [math.fsum(rung.count * _cost(signal, rung.fidelity) for rung in rungs) for rungs in brackets]
    return "evaluations" if declared_seconds(signal) is None else "s", costs


def _cost(signal: Callable[[Any], float], fidelity: float) -> float:
    if declared_seconds(signal) is None:
        return fidelity
    declared = declared_seconds(at_fidelity(signal, fidelity))
    if declared is None:
        raise ConfigError([f"fidelity (={fidelity:g}): the signal declares its seconds, but not those at this one"])
    return declared


def _said(rungs: Sequence[Rung]) -> str:
    return ", then ".join(f"{rung.count} at {rung.fidelity:.3g}" for rung in rungs)
