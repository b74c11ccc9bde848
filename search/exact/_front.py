"""The whole Pareto front of an additive problem, proven complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError, BudgetError, ConfigError
from accelzoo.search.exact._labels import Search, TooManyLabelsError
from accelzoo.search.exact._least import least_achievable
from accelzoo.search.exact._problem import Problem, checked_column
from accelzoo.search.exact.limits import Budget, read_limits
from accelzoo.search.exact.table import AdditiveTable
from accelzoo.search.space import GenomeMatrix

MAX_LABELS = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Front:
    """Every value that no genome beats: complete, because no prefix was dropped that another did not dominate.

    Attributes:
        objectives: The columns that count.
        genomes: One per point, int64 `(n, positions)`. Of genomes with equal values one is kept, always the same.
        values: Totals, float64 `(n, objectives)`, the best of the first objective first; no two rows are equal.
        labels: How many prefixes were made for it.
    """

    objectives: tuple[str, ...]
    genomes: GenomeMatrix
    values: npt.NDArray[np.float64]
    labels: int

    def __len__(self) -> int:
        return len(self.genomes)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], dict[str, float]]]:
        for genome, row in zip(self.genomes.tolist(), self.values.tolist(), strict=True):
            yield tuple(genome), dict(zip(self.objectives, row, strict=True))


def front(
    table: AdditiveTable,
    objectives: Sequence[str] | None = None,
    budgets: Mapping[str, Budget] | None = None,
    *,
    max_labels: int = MAX_LABELS,
) -> Front:
    """Returns the Pareto front of two or more columns: what the ε-constraint method gives over all of its ε.

    Label setting with dominance, layer by layer (Martins 1984; for sums over positions Nemhauser and Ullmann 1969).
    Time grows with the fronts of the prefixes, which for real values may have as many points as there are genomes.

    Args:
        table: The problem.
        objectives: Columns that count; all but those that the table itself limits by default.
        budgets: Column → the most it may reach (where more is better, the least), or a pair (least, most).
        max_labels: The most prefixes to make.

    Raises:
        BudgetError: If nothing meets the budgets; it names the least that is achievable.
        ConfigError: If a column is unknown or a budget is no finite number.
        AccelzooError: If more prefixes than `max_labels` are needed.
    """
    names = tuple(objectives) if objectives is not None else tuple(x for x in table.columns if x not in table.limits)
    if not names or len(set(names)) < len(names):
        raise ConfigError([f"objectives {names} must name at least one column, each once"])
    signed = [checked_column(table, "objectives", name) for name in names]
    limits = read_limits(table, budgets)
    problem = Problem.of(table, signed, limits)
    search = Search(problem, max_labels=max_labels)
    try:
        labels = search.run()
    except TooManyLabelsError:
        advice = "raise max_labels, add budgets, or round the costs"
        raise AccelzooError(f"the front needs more than {max_labels:,} labels: {advice}") from None
    if not labels.sums.shape[1]:
        raise BudgetError(least_achievable(table, limits, max_labels).message)
    order = np.lexsort(labels.sums[: len(names)][::-1])
    genomes = problem.genomes(search.paths(len(problem.steps) - 1, order))
    values = np.ascontiguousarray((labels.sums[: len(names), order] * problem.signs[: len(names), None]).T)
    return Front(objectives=names, genomes=genomes, values=values + 0.0, labels=search.made)
