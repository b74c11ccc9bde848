"""A run at one moment, in numbers: what `accelzoo watch` shows."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from accelzoo.recipes.run_front import Front, cost_fields
from accelzoo.recipes.run_state import RunState, find_state
from accelzoo.recipes.run_view import Place, RunView
from accelzoo.search.record import Record
from accelzoo.search.tail import Tail

CHANGES = 32  # moments that the speed is taken over: the last half minute of a fast search, hours of a slow one


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        state: What it is doing.
        asked: Evaluations asked for, if recorded.
        evaluated: Evaluations done.
        counts: Candidates by status.
        candidates: All of them.
        feasible_share: How many of them are within the budgets.
        candidates_per_s: Their speed: as seen while watching, at first the average since a recipe's run began.
        eta_s: Seconds that the search still takes at this speed.
        best: The candidate with the highest score.
        last_failure: The reason of the last failed candidate.
        pareto_size: Candidates on the front; None without costs.
        hypervolume: What the front dominates, see `Front.hypervolume`.
        caught_up: Whether the whole trace was read.
    """

    state: RunState
    asked: int | None
    evaluated: int
    counts: dict[str, int]
    candidates: int
    feasible_share: float | None
    candidates_per_s: float | None
    eta_s: float | None
    best: Record | None
    last_failure: str | None
    pareto_size: int | None
    hypervolume: float | None
    caught_up: bool



class Watcher:
    """Follows a run: each `look` reads what is new.

    Args:
        place: The run's files.

    Attributes:
        view: What the run is about; None before its trace has begun.
        scores: The best score after each evaluation that improved it: pairs of evaluations and score.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.view: RunView | None = None
        self.scores: list[tuple[int, float]] = []
        self._tail = Tail(place.trace)
        self._front: Front | None = None
        self._volume: float | None = None
        self._counts: Counter[str] = Counter()
        self._evaluated = 0
        self._infeasible = 0
        self._best: Record | None = None
        self._last_failure: str | None = None
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=CHANGES)

    def look(self) -> Snapshot:
        """Reads what was added and returns how the run stands.

        Raises:
            ConfigError: If the recipe in the folder cannot be read.
            TraceError: If the trace is broken, with file and line.
        """
        records = self._tail.read()
        if self._tail.header is not None and self.view is None:
            self.view = RunView.of(self.place, self._tail.header)
            if self._tail.header["target"] is not None:
                self._front = Front(cost_fields(self._tail.header), self._tail.header)
        self._take(records)
        asked = None if self.view is None else self.view.asked
        state = find_state(self.place, searched=None if asked is None else self._evaluated >= asked)
        per_s, evaluated_per_s = self._speed() if state.phase == "searching" else (None, None)
        return Snapshot(
            state=state,
            asked=asked,
            evaluated=self._evaluated,
            counts={name: self._counts[name] for name in ("ok", "infeasible", "failed", "duplicate")},
            candidates=self._tail.count,
            feasible_share=1 - self._infeasible / self._tail.count if self._tail.count else None,
            candidates_per_s=per_s,
            eta_s=(asked - self._evaluated) / evaluated_per_s if asked and evaluated_per_s else None,
            best=self._best,
            last_failure=self._last_failure,
            pareto_size=None if self._front is None else len(self._front.members),
            hypervolume=self._volume,
            caught_up=self._tail.caught_up,
        )

    def _take(self, records: Iterable[Record]) -> None:
        records = list(records)
        for record in records:
            self._counts[record.status] += 1
            self._evaluated += record.evaluated
            self._infeasible += record.violation is not None
            self._last_failure = record.reason if record.status == "failed" else self._last_failure
            if record.status == "ok" and (self._best is None or _score(record) > _score(self._best)):
                self._best = record
                self.scores.append((self._evaluated, _score(record)))
        if self._front is not None and self._front.update(records):
            self._volume = self._front.hypervolume()
        if self._tail.caught_up and (records or not self._seen):
            self._seen.append((time.monotonic(), self._tail.count, self._evaluated))

    def _speed(self) -> tuple[float | None, float | None]:
        """Candidates and evaluations per second, over the last changes that were seen."""
        if len(self._seen) < 2:
            if self.place.recipe is None or not self._tail.caught_up:
                return None, None
            candidates, evaluated, passed_s = 0, 0, time.time() - self.place.recipe.stat().st_mtime
        else:
            since, candidates, evaluated = self._seen[0]
            passed_s = time.monotonic() - since
        if passed_s <= 0:
            return None, None
        return (self._tail.count - candidates) / passed_s, (self._evaluated - evaluated) / passed_s


def to_json(snapshot: Snapshot, view: RunView | None) -> dict[str, Any]:
    """Returns a snapshot as plain data, with the unit in each field's name."""
    best = snapshot.best
    return {
        "state": snapshot.state.phase,
        "last_written_s": snapshot.state.since_s,
        "training": snapshot.state.training,
        "evaluations": snapshot.evaluated,
        "evaluations_asked": snapshot.asked,
        "candidates": snapshot.candidates,
        **{name: snapshot.counts[name] for name in ("infeasible", "duplicate", "failed")},
        "feasible_share": snapshot.feasible_share,
        "candidates_per_s": snapshot.candidates_per_s,
        "eta_s": snapshot.eta_s,
        "last_failure": snapshot.last_failure,
        "best": None if best is None or view is None else candidate_json(best, view),
        "pareto_size": snapshot.pareto_size,
        "hypervolume": snapshot.hypervolume,
    }


def candidate_json(record: Record, view: RunView) -> dict[str, Any]:
    """Returns a candidate as plain data: index, accuracy, score, costs, knobs, genome."""
    from accelzoo import config

    knobs = view.knobs(record)
    return {
        "index": record.index,
        "accuracy": record.accuracy,
        "score": record.score,
        "cost": None if record.cost is None else asdict(record.cost),
        "knobs": None if knobs is None else {name: config.to_config(value) for name, value in knobs.items()},
        "genome": list(record.genome),
    }


def _score(record: Record) -> float:
    return float("-inf") if record.score is None else record.score
