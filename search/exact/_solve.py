"""The best genomes within budgets, with a certificate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError, BudgetError, ConfigError, check_one_of
from accelzoo.search.exact._dual import relax
from accelzoo.search.exact._labels import Cut, Search, TooManyLabelsError, answers
from accelzoo.search.exact._least import least_achievable
from accelzoo.search.exact._milp import solve_milp
from accelzoo.search.exact._problem import Problem, checked_column
from accelzoo.search.exact.limits import Budget, Limit, read_limits
from accelzoo.search.exact.table import AdditiveTable
from accelzoo.search.space import Genome

MAX_LABELS = 100_000_000
Status = Literal["optimal", "infeasible", "unproven"]
METHODS = ("labels", "milp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A genome and its totals in every column."""

    genome: Genome
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best genomes within budgets, and what proves it.

    Attributes:
        status: `optimal`; `infeasible`: nothing meets the budgets; `unproven`: the bound on labels ended it.
        objective: The column that was optimised.
        points: The best genomes, best first; of equal ones each is a point. Empty if infeasible.
        bound: No genome within the budgets is better; equals the best value if optimal (`milp`: up to its tolerance).
        dual_bound: The Lagrangian relaxation's bound, which uses no label; None with method `milp`.
        relaxed: The best genome within the budgets that the relaxation met by itself, if any.
        least: If infeasible, column → the least achievable (the most, where at least so much is asked), exact.
        message: In words.
        labels: How many prefixes were made.
    """

    status: Status
    objective: str
    points: tuple[Point, ...] = ()
    bound: float | None = None
    dual_bound: float | None = None
    relaxed: Point | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    labels: int = 0

    @property
    def best(self) -> Point:
        """The best genome.

        Raises:
            BudgetError: If nothing meets the budgets; it names the least that is achievable.
            AccelzooError: If none was found before the bound on labels.
        """
        if self.points:
            return self.points[0]
        raise BudgetError(self.message) if self.status == "infeasible" else AccelzooError(self.message)

    @property
    def value(self) -> float:
        """The objective of the best genome."""
        return self.best.values[self.objective]

    @property
    def lower_bound(self) -> float:
        """The optimum is no lower."""
        return min(self.value, self.value if self.bound is None else self.bound)

    @property
    def upper_bound(self) -> float:
        """The optimum is no higher."""
        return max(self.value, self.value if self.bound is None else self.bound)

    @property
    def gap(self) -> float:
        """How much better than the best genome the optimum may be: 0.0 if optimal."""
        return self.upper_bound - self.lower_bound


def solve(
    table: AdditiveTable,
    budgets: Mapping[str, Budget] | None = None,
    *,
    objective: str | None = None,
    count: int = 1,
    method: str = "labels",
    max_labels: int = MAX_LABELS,
) -> Solution:
    """Finds the best genomes within budgets.

    `labels`: label setting between Lagrangian bounds, exact to the last bit of left-to-right sums (Handler and Zang
    1980; Dumitrescu and Boland 2003). Made for few budgets: every one is a dimension of dominance. `milp`: HiGHS
    through scipy, for any number of linear constraints, each of which is a column with a budget; candidates are checked
    with exact sums, and those that meet a budget only within the solver's tolerance are cut off.

    Args:
        table: The problem.
        budgets: Column → the most it may reach (where more is better, the least), or a pair (least, most).
        objective: The column to optimise; the first without a budget by default.
        count: How many best genomes are wanted; fewer are returned if there are fewer.
        method: `labels` or `milp`.
        max_labels: The most prefixes to make.

    Raises:
        ConfigError: If a column is unknown, a budget is no finite number, or `count` is not positive.
        ValueError: If the method is unknown.
    """
    check_one_of("method", method, METHODS)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError([f"count (={count!r}) must be a positive whole number"])
    limits = read_limits(table, budgets)
    free = [name for name in table.columns if name not in {limit.column for limit in limits}]
    name, sign = checked_column(table, "objective", objective or (free or table.columns)[0])
    problem = Problem.of(table, [(name, sign)], limits)
    if method == "milp":
        found = solve_milp(problem, count)
        solution = _found(problem, name, found.paths, found.bound)
    else:
        solution = _by_labels(problem, name, count, max_labels)
    if solution is None:
        return _infeasible(table, name, limits, max_labels)
    return solution


def _by_labels(problem: Problem, name: str, count: int, max_labels: int) -> Solution | None:
    relaxed, weights, constant = relax(problem)
    cut = Cut(weights=weights, constant=constant)
    if count == 1:
        cut.value, cut.arcs = relaxed.value, relaxed.arcs
    search = Search(problem, count=count, cut=cut, max_labels=max_labels)
    try:
        labels = search.run()
    except TooManyLabelsError:
        arcs = cut.arcs if cut.arcs is not None else relaxed.arcs
        paths = [] if arcs is None or not problem.feasible(problem.sums(arcs)) else [arcs]
        message = f"stopped at {max_labels:,} labels: raise max_labels, or try method='milp'"
        return _with_dual(problem, name, paths, relaxed.bound, relaxed.bound, relaxed.arcs, search.made, message)
    paths = [arcs for _, arcs in itertools.islice(answers(search, labels), count)]
    if not paths:
        return None
    value = float(problem.sums(paths[0])[0])
    return _with_dual(problem, name, paths, value, relaxed.bound, relaxed.arcs, search.made, "")


def _with_dual(
    problem: Problem,
    name: str,
    paths: Sequence[npt.NDArray[np.int64]],
    bound: float,
    dual: float,
    relaxed: npt.NDArray[np.int64] | None,
    made: int,
    message: str,
) -> Solution:
    sign = float(problem.signs[0])
    value = float(problem.sums(paths[0])[0]) if paths else math.inf
    return Solution(
        status="optimal" if paths and value <= bound else "unproven",
        objective=name,
        points=_points(problem, paths),
        bound=sign * bound,
        dual_bound=sign * min(dual, value),
        relaxed=None if relaxed is None else _points(problem, [relaxed])[0],
        labels=made,
        message=message or f"optimal: {name} {sign * value!r}",
    )


def _found(
    problem: Problem, name: str, paths: Sequence[npt.NDArray[np.int64]], bound: float
) -> Solution | None:
    if not paths:
        return None
    sign = float(problem.signs[0])
    value = float(problem.sums(paths[0])[0])
    return Solution(
        status="optimal",
        objective=name,
        points=_points(problem, paths),
        bound=sign * min(bound, value),
        message=f"optimal: {name} {sign * value!r}, to the solver's tolerance",
    )


def _points(problem: Problem, paths: Sequence[npt.NDArray[np.int64]]) -> tuple[Point, ...]:
    if not paths:
        return ()
    genomes = problem.genomes(np.array(paths))
    totals = problem.table.totals(genomes)
    return tuple(
        Point(genome=tuple(genome), values=dict(zip(problem.table.columns, row, strict=True)))
        for genome, row in zip(genomes.tolist(), totals.tolist(), strict=True)
    )


def _infeasible(table: AdditiveTable, name: str, limits: Sequence[Limit], max_labels: int) -> Solution:
    least = least_achievable(table, limits, max_labels)
    return Solution(status="infeasible", objective=name, least=least.alone, message=least.message)
