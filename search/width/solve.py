"""The best widths within budgets, proven; the Lagrangian answer to compare; and the whole front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelzoo.errors import BudgetError, check_one_of
from accelzoo.search import exact
from accelzoo.search.width._question import question
from accelzoo.search.width._sweep import TooWideError
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.solution import WidthPoint, WidthSolution

METHODS = ("auto", "labels", "milp", "lagrangian")
MAX_LABELS = 20_000_000
MAX_FRONT_LABELS = 100_000_000


def solve_width(
    costs: WidthCosts,
    budgets: Mapping[str, float] | None = None,
    *,
    objective: str | None = None,
    count: int = 1,
    method: str = "auto",
    max_labels: int = MAX_LABELS,
) -> WidthSolution:
    """Finds the best widths within budgets.

    `labels`: label setting between Lagrangian bounds, exact, for factor graphs without wide loops, so for chains and
    trees (`accelzoo.search.exact.solve`). `milp`: HiGHS over the factor graph, for any loops and any number of budgets,
    exact to the solver's tolerance. `lagrangian`: what AOWS does (Berman et al. 2020, optimal width search): Viterbi
    paths of the error plus a multiple of the latency, the multiple being the best one; feasible, but in general not
    optimal, with a dual bound that says how far off it may be. `auto`: labels, and where these are too many or loops
    too wide, milp.

    Args:
        costs: The problem.
        budgets: Column, or `peak_activation_bytes`, → the most it may reach.
        objective: The column to minimise; `error` by default, else the first without a budget.
        count: How many best choices are wanted; fewer are returned if there are fewer.
        method: One of the four.
        max_labels: The most prefixes that `labels` makes.

    Raises:
        ConfigError: All faults: unknown columns, budgets that are no finite numbers, a `count` below 1.
        ValueError: If the method is unknown.
        TooWideError: If the method is `labels` or `lagrangian` and the factor graph's loops are too wide.
    """
    check_one_of("method", method, METHODS)
    asked = question(costs, budgets, objective, count)
    if method == "milp":
        return asked.by_milp()
    if method == "lagrangian":
        return asked.by_relaxation()
    try:
        found = asked.by_labels(max_labels)
    except TooWideError:
        if method == "labels":
            raise
        return asked.by_milp()
    if method == "labels" or found.status != "unproven":
        return found
    return asked.by_milp()


def width_front(
    costs: WidthCosts,
    objectives: Sequence[str],
    budgets: Mapping[str, float] | None = None,
    *,
    max_labels: int = MAX_FRONT_LABELS,
) -> tuple[WidthPoint, ...]:
    """Returns the whole Pareto front of two or more columns, proven complete (`accelzoo.search.exact.front`).

    Args:
        costs: The problem.
        objectives: Columns to minimise; the points come in ascending order of the first.
        budgets: As for `solve_width`.
        max_labels: The most prefixes to make.

    Raises:
        BudgetError: If nothing meets the budgets; it names the least that is achievable.
        ConfigError: If a column is unknown or a budget is no finite number.
        AccelzooError: If more prefixes are needed, or loops are too wide.
    """
    asked = question(costs, budgets)
    if asked.impossible_peak():
        raise BudgetError(asked.infeasible("labels").message)
    found = exact.front(costs.additive(asked.most_peak), objectives, asked.budgets, max_labels=max_labels)
    return asked.points([tuple(genome) for genome in found.genomes.tolist()])
