"""What a search found: the best candidates, the whole trace, and what lies on the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelzoo.errors import AccelzooError, ConfigError, suggestion
from accelzoo.search.pareto import pareto_front
from accelzoo.search.record import COST_FIELDS, Price, Record
from accelzoo.search.space import Genome, SearchSpace

Stopped = Literal["evaluations", "exhausted", "candidates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A record with a score, and its architecture.

    Attributes:
        record: As it stands in the trace.
        arch: Decoded from the genome.
    """

    record: Record
    arch: Any

    @property
    def index(self) -> int:
        """Its place in the search, from 0."""
        return self.record.index

    @property
    def genome(self) -> Genome:
        """One choice per position."""
        return self.record.genome

    @property
    def cost(self) -> Price | None:
        """Its price, when the search had costs."""
        return self.record.cost

    @property
    def accuracy(self) -> float:
        """What the signal returned."""
        return _number(self.record.accuracy)

    @property
    def score(self) -> float:
        """The objective."""
        return _number(self.record.score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a search.

    Attributes:
        space: What was searched.
        header: How: the first line of the trace.
        trace: Every candidate in order.
        stopped: Why it ended: all `evaluations` done, the space `exhausted`, or the bound on `candidates` reached.
        message: The same in words.
        path: The trace's file, if there is one.
    """

    space: SearchSpace
    header: Mapping[str, Any]
    trace: tuple[Record, ...]
    stopped: Stopped
    message: str
    path: Path | None = None

    @property
    def best(self) -> Candidate:
        """The candidate with the highest score; of equals the first.

        Raises:
            AccelzooError: If no candidate has a score; the message says what became of them.
        """
        found = self.top(1)
        if not found:
            reason = next((record.reason for record in self.trace if record.reason), None)
            why = f"; the first failure: {reason}" if reason else ""
            raise AccelzooError(f"no candidate has a score: {self.message}{why}")
        return found[0]

    def top(self, count: int) -> list[Candidate]:
        """Returns the `count` best architectures, best first, of equals the first; fewer if there are fewer."""
        ranked = sorted(self._scored(), key=lambda record: (-_number(record.score), record.index))
        return [self._candidate(record) for record in ranked[:count]]

    @property
    def front(self) -> list[Candidate]:
        """The Pareto front of accuracy and the costs that were minimised, most accurate first.

        Where no cost was an objective of its own, those that count are the objective's `cost_field` and the budgeted
        ones.

        Raises:
            ConfigError: If the search had no costs.
        """
        objective = self.header["objective"]
        default = {objective["cost_field"]: 0, **self.header["budgets"]}
        return self.front_of(*(objective.get("minimise") or default))

    def front_of(self, *cost_fields: str) -> list[Candidate]:
        """Returns the candidates that no other beats: at least as accurate and as cheap, and better in one.

        Args:
            *cost_fields: The costs that count beside accuracy.

        Returns:
            The Pareto front, most accurate first.

        Raises:
            ConfigError: If a field is unknown, none is given, or the search had no costs.
        """
        faults = [] if cost_fields else [f"front: name at least one cost field; allowed: {', '.join(COST_FIELDS)}"]
        faults += [
            f"front: unknown cost field {name!r}; allowed: {', '.join(COST_FIELDS)}{suggestion(name, COST_FIELDS)}"
            for name in cost_fields
            if name not in COST_FIELDS
        ]
        scored = self._scored()
        if faults or any(record.cost is None for record in scored):
            raise ConfigError(faults or ["front: the search had no costs"])
        if not scored:
            return []
        points = [
            (_number(record.accuracy), *[-float(getattr(record.cost, name)) for name in cost_fields])
            for record in scored
        ]
        kept = sorted(pareto_front(points).tolist(), key=lambda row: [-value for value in points[row]])
        return [self._candidate(scored[row]) for row in kept]

    def _scored(self) -> list[Record]:
        return [record for record in self.trace if record.status == "ok"]

    def _candidate(self, record: Record) -> Candidate:
        return Candidate(record=record, arch=self.space.decode(record.genome))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
