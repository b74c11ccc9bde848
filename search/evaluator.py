"""Judging one candidate: price first, then budgets, and only then the expensive signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.search.genomes import checked_sizes
from accelzoo.search.objective import Budgets, Objective
from accelzoo.search.record import Price, Record
from accelzoo.search.space import Genome, SearchSpace

if TYPE_CHECKING:
    from accelzoo.search.workers import Outcome


class CandidateError(AccelzooError):
    """Raise it in a signal or in costs to say "not this candidate": it is recorded as failed and the search goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """An architecture with its price, or with the reason why it has none."""

    arch: Any = None
    digest: str | None = None
    cost: Price | None = None
    reason: str | None = None


class Evaluator:
    """Turns genomes into records.

    A `ShapeError` or `CandidateError` from the space, the costs or the signal fails that one candidate. Any other
    exception stops the search, because the next candidate would meet it too; the trace can be resumed.

    Args:
        space: Decodes genomes.
        signal: Architecture → accuracy, higher is better; NaN or infinite fails the candidate.
        costs: Architecture → `accelzoo.hwmodel` cost.
        budgets: What a candidate may cost.
        objective: Accuracy and cost → score.

    Raises:
        ConfigError: If budgets or the objective need costs and there are none.
        ShapeError: If the space is empty.
    """

    def __init__(
        self,
        space: SearchSpace,
        signal: Callable[[Any], float],
        costs: Callable[[Any], Any] | None,
        budgets: Budgets,
        objective: Objective,
    ) -> None:
        faults = [f"budgets.{name}: a budget needs costs" for name, _ in budgets if costs is None]
        if costs is None and objective.exponent:
            faults.append(f"objective.exponent (={objective.exponent}): a price in the score needs costs")
        if costs is None and objective.minimise:
            faults.append(f"objective.minimise (={', '.join(objective.minimise)}): costs to minimise need costs")
        if faults:
            raise ConfigError(faults)
        self.space = space
        try:
            self.sizes = checked_sizes(space.sizes)
        except ShapeError as error:
            raise ShapeError(f"{named(space)} is empty: {error}") from error
        self.signal = signal
        self.costs = costs
        self.budgets = budgets
        self.objective = objective
        self._quoted: dict[Genome, Quote] = {}

    def quote(self, genome: Genome) -> Quote:
        """Decodes and prices a genome; an operator that the target cannot price is a reason, never free."""
        if self._quoted and genome in self._quoted:
            return self._quoted.pop(genome)
        try:
            arch = self.space.decode(genome)
        except (ConfigError, ShapeError, CandidateError) as error:  # choices that do not go together
            return Quote(reason=_said(error))
        digest = arch.digest()
        try:
            cost = None if self.costs is None else self.costs(arch)
        except (ShapeError, CandidateError) as error:
            return Quote(digest=digest, reason=_said(error))
        if cost is None:
            return Quote(arch=arch, digest=digest)
        if cost.unpriced:
            return Quote(digest=digest, reason=f"the target cannot price {', '.join(cost.unpriced)}")
        try:
            return Quote(arch=arch, digest=digest, cost=Price.of(cost))
        except ValueError as error:
            return Quote(digest=digest, reason=str(error))

    def quote_ahead(self, genome: Genome) -> Quote:
        """Returns `quote` of a genome that may become a candidate: its price, which can be a measurement, is kept."""
        quote = self.quote(genome)
        self._quoted[genome] = Quote(digest=quote.digest, cost=quote.cost, reason=quote.reason)
        return quote

    def decided(self, index: int, genome: Genome, quote: Quote) -> Record | None:
        """Returns the record of a candidate that the signal need not see; None if it has to."""
        if quote.reason is not None:
            return Record(index=index, genome=genome, status="failed", arch=quote.digest, reason=quote.reason)
        violation = 0.0 if quote.cost is None else self.budgets.violation(quote.cost)
        if violation > 0:
            return Record(
                index=index,
                genome=genome,
                status="infeasible",
                arch=quote.digest,
                cost=quote.cost,
                violation=violation,
            )
        return None

    def finished(self, index: int, genome: Genome, quote: Quote, outcome: Outcome) -> Record:
        """Returns the record of a candidate that the signal has seen."""
        accuracy, reason, score = outcome.accuracy, outcome.reason, None
        if reason is None:
            try:
                score = self.objective.score(math.nan if accuracy is None else accuracy, quote.cost)
            except ValueError as error:
                reason = str(error)
        if reason is not None:
            return Record(
                index=index,
                genome=genome,
                status="failed",
                evaluated=True,
                arch=quote.digest,
                cost=quote.cost,
                reason=reason,
            )
        return Record(
            index=index,
            genome=genome,
            status="ok",
            evaluated=True,
            arch=quote.digest,
            cost=quote.cost,
            accuracy=accuracy,
            score=score,
        )


class Decoded:
    """A space that remembers architectures until they are asked for, so that none is decoded twice.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._archs: dict[Genome, Any] = {}

    @property
    def sizes(self) -> tuple[int, ...]:
        """As the space's."""
        return self._space.sizes

    def keep(self, genome: Genome, arch: Any) -> None:
        """Remembers an architecture that will be asked for; None: it was priced ahead, and is decoded when needed."""
        if arch is not None:
            self._archs[genome] = arch

    def decode(self, genome: Genome) -> Any:
        """Returns the architecture of a genome, and forgets it."""
        return self._archs.pop(genome) if genome in self._archs else self._space.decode(genome)

    def canonical(self, genome: Genome) -> Genome:
        """As the space's."""
        return self._space.canonical(genome)

    def digest(self) -> str:
        """As the space's."""
        return self._space.digest()


def named(space: SearchSpace) -> str:
    """Returns how a message calls a space."""
    name = getattr(space, "name", None)
    return f"space {name!r}" if isinstance(name, str) else f"the space ({type(space).__name__})"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
