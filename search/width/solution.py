"""The answer of a width search: widths, their totals, and what proves that there are no better ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from accelzoo.errors import AccelzooError, BudgetError
from accelzoo.search.space import Genome

Status = Literal["optimal", "infeasible", "unproven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthPoint:
    """One choice of widths: the channels of every group, its genome, and its total in every column."""

    widths: tuple[int, ...]
    genome: Genome
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthSolution:
    """The best widths within budgets, and what proves it.

    Attributes:
        status: `optimal`; `infeasible`: nothing meets the budgets; `unproven`: feasible, but maybe not the best.
        objective: The column that was minimised.
        method: What found it: `labels`, `milp` or `lagrangian`.
        points: The best, best first; empty if infeasible (or if the relaxation met nothing feasible).
        lower_bound: No widths within the budgets are below; None if infeasible.
        least: If infeasible, budgeted column → the least achievable, whatever the others are.
        message: In words.
    """

    status: Status
    objective: str
    method: str
    points: tuple[WidthPoint, ...] = ()
    lower_bound: float | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    message: str = ""

    @property
    def best(self) -> WidthPoint:
        """The best point.

        Raises:
            BudgetError: If nothing meets the budgets; it names the least that is achievable.
            AccelzooError: If the method found nothing feasible though there may be something.
        """
        if self.points:
            return self.points[0]
        raise BudgetError(self.message) if self.status == "infeasible" else AccelzooError(self.message)

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of every group; errors as for `best`."""
        return self.best.widths

    @property
    def value(self) -> float:
        """The objective of the best point; errors as for `best`."""
        return self.best.values[self.objective]

    @property
    def gap(self) -> float:
        """How much lower than `value` the optimum may be: 0.0 if optimal, inf without a bound; errors as for `best`."""
        return math.inf if self.lower_bound is None else self.value - min(self.lower_bound, self.value)
