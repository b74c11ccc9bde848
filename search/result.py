"""What a search found: the best candidates, the whole trace, and what lies on the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelzoo.errors import AccelzooError, ConfigError, suggestion
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

    def front(self, *cost_fields: str) -> list[Candidate]:
        """Returns the candidates that no other beats: at least as accurate and as cheap, and better in one.

        Args:
            *cost_fields: The costs that count beside accuracy; by default the objective's and the budgeted ones.

        Returns:
            The Pareto front, most accurate first.

        Raises:
            ConfigError: If a field is unknown, or the search had no costs.
        """
        names = cost_fields or tuple({self.header["objective"]["cost_field"]: 0, **self.header["budgets"]})
        faults = [
            f"front: unknown cost field {name!r}; allowed: {', '.join(COST_FIELDS)}{suggestion(name, COST_FIELDS)}"
            for name in names
            if name not in COST_FIELDS
        ]
        if faults or any(record.cost is None for record in self._scored()):
            raise ConfigError(faults or ["front: the search had no costs"])
        points = [(self._point(record, names), record) for record in self._scored()]
        points.sort(key=lambda pair: (pair[0], pair[1].index))
        kept: list[tuple[tuple[float, ...], Record]] = []
        for point, record in points:
            # In this order only an earlier point can dominate a later one.
            if not any(_dominates(other, point) for other, _ in kept):
                kept.append((point, record))
        return [self._candidate(record) for _, record in kept]

    def _scored(self) -> list[Record]:
        return [record for record in self.trace if record.status == "ok"]

    def _candidate(self, record: Record) -> Candidate:
        return Candidate(record=record, arch=self.space.decode(record.genome))

    @staticmethod
    def _point(record: Record, names: tuple[str, ...]) -> tuple[float, ...]:
        return (-_number(record.accuracy), *(getattr(record.cost, name) for name in names))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
