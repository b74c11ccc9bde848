"""Judging one candidate: price first, then budgets, and only then the expensive signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.search.genomes import checked_sizes
from accelzoo.search.objective import Budgets, Objective
from accelzoo.search.record import Price, Record
from accelzoo.search.space import Genome, SearchSpace


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
        if faults:
            raise ConfigError(faults)
        self.space = space
        self.sizes = checked_sizes(space.sizes)
        self.signal = signal
        self.costs = costs
        self.budgets = budgets
        self.objective = objective

    def quote(self, genome: Genome) -> Quote:
        """Decodes and prices a genome; an operator that the target cannot price is a reason, never free."""
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

    def judge(self, index: int, genome: Genome, quote: Quote) -> Record:
        """Returns the finished record of a candidate that was quoted."""
        finish = partial(Record, index=index, genome=genome, arch=quote.digest, cost=quote.cost)
        if quote.reason is not None:
            return finish(status="failed", reason=quote.reason)
        violation = 0.0 if quote.cost is None else self.budgets.violation(quote.cost)
        if violation > 0:
            return finish(status="infeasible", violation=violation)
        try:
            accuracy = float(self.signal(quote.arch))
        except (ShapeError, CandidateError) as error:
            return finish(status="failed", evaluated=True, reason=_said(error))
        try:
            score = self.objective.score(accuracy, quote.cost)
        except ValueError as error:
            return finish(status="failed", evaluated=True, reason=str(error))
        return finish(status="ok", evaluated=True, accuracy=accuracy, score=score)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
