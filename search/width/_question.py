"""What a width search is asked, checked, and the ways to answer it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search import exact
from accelzoo.search.exact._dual import relax
from accelzoo.search.exact._problem import Problem
from accelzoo.search.exact.limits import Limit
from accelzoo.search.space import Genome
from accelzoo.search.width._factor_milp import FactorProgram
from accelzoo.search.width._sweep import TooWideError
from accelzoo.search.width.costs import PEAK, WidthCosts
from accelzoo.search.width.solution import WidthPoint, WidthSolution


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, checked: budgets on sums, the one on peak memory, the objective, how many answers."""

    costs: WidthCosts
    budgets: Mapping[str, float]
    most_peak: float
    objective: str
    count: int

    def by_labels(self, max_labels: int) -> WidthSolution:
        """Answers by label setting, exact unless it is stopped."""
        if self.impossible_peak():
            return self.infeasible("labels")
        table = self.costs.additive(self.most_peak)
        found = exact.solve(
            table, self.budgets, objective=self.objective, count=self.count, max_labels=max_labels
        )
        if found.status == "infeasible":
            return self.infeasible("labels")
        return WidthSolution(
            status=found.status,
            objective=self.objective,
            method="labels",
            points=self.points([point.genome for point in found.points]),
            lower_bound=found.bound,
            message=found.message,
        )

    def by_milp(self) -> WidthSolution:
        """Answers by integer programming."""
        program = FactorProgram(self.costs, self.budgets, self.most_peak)
        genomes, bound = program.best(self.objective, self.count)
        if not genomes:
            return self.infeasible("milp")
        points = self.points(genomes)
        value = points[0].values[self.objective]
        message = f"optimal: {self.objective} {value!r}, to the solver's tolerance"
        return WidthSolution(status="optimal", objective=self.objective, method="milp", points=points,
                             lower_bound=min(bound, value), message=message)  # fmt: skip

    def by_relaxation(self) -> WidthSolution:
        """Answers by the Lagrangian relaxation alone."""
        if self.impossible_peak():
            return self.infeasible("lagrangian")
        problem = self.problem()
        relaxed, _, _ = relax(problem)
        if relaxed.arcs is None:
            if any(value > self.budgets[name] for name, value in self.least().items() if name in self.budgets):
                return self.infeasible("lagrangian")
            message = "no path of the relaxation meets all budgets: use method='auto'"
            return WidthSolution(status="unproven", objective=self.objective, method="lagrangian",
                                 lower_bound=relaxed.bound, message=message)  # fmt: skip
        genome = tuple(problem.genomes(relaxed.arcs[None])[0].tolist())
        proven = relaxed.value <= relaxed.bound
        return WidthSolution(
            status="optimal" if proven else "unproven",
            objective=self.objective,
            method="lagrangian",
            points=self.points([genome]),
            lower_bound=min(relaxed.bound, relaxed.value),
            message=f"{self.objective} {relaxed.value!r}, no less than {relaxed.bound!r}",
        )

    def problem(self) -> Problem:
        """Returns the problem of one objective that the relaxation works on."""
        limits = [Limit(column=name, sign=1, bound=float(most)) for name, most in self.budgets.items()]
        return Problem.of(self.costs.additive(self.most_peak), [(self.objective, 1)], limits)

    def points(self, genomes: Sequence[Genome]) -> tuple[WidthPoint, ...]:
        """Returns genomes with their widths and totals."""
        if not genomes:
            return ()
        totals = self.costs.totals(np.array(genomes, np.int64)).tolist()
        peaks = [{}] * len(genomes) if self.costs.peaks is None else [
            {PEAK: peak} for peak in self.costs.peak_of(np.array(genomes, np.int64)).tolist()
        ]  # fmt: skip
        return tuple(
            WidthPoint(
                widths=tuple([row[choice] for row, choice in zip(self.costs.widths, genome, strict=True)]),
                genome=tuple(genome),
                values=dict(zip(self.costs.columns, total, strict=True)) | peak,
            )
            for genome, total, peak in zip(genomes, totals, peaks, strict=True)
        )

    def impossible_peak(self) -> bool:
        """Whether no network has as few activation bytes alive as asked."""
        return self.most_peak < math.inf and self._least_peak() > self.most_peak

    def least(self) -> dict[str, float]:
        """Returns the least achievable of every budgeted column, whatever the others are."""
        found = {name: self._minimum(name) for name in self.budgets}
        return found | ({PEAK: self._least_peak()} if self.most_peak < math.inf else {})

    def infeasible(self, method: str) -> WidthSolution:
        """Says what would be achievable where nothing meets the budgets."""
        least = self.least()
        asked = {**self.budgets, **({PEAK: self.most_peak} if PEAK in least else {})}
        broken = [name for name, value in least.items() if value > asked[name]]
        lines = [f"{name}: at most {asked[name]!r}, least achievable {least[name]!r}" for name in broken or least]
        if not broken:
            lines.insert(0, "each budget can be met alone, but not together")
        message = "\n  ".join(["nothing meets the budgets", *lines])
        return WidthSolution(
            status="infeasible", objective=self.objective, method=method, least=least, message=message
        )

    def _minimum(self, name: str) -> float:
        try:
            _, genome = self.costs.sweep.least(self.costs.sweep.arc_values(self.costs.columns[name]))
        except TooWideError:
            genome = FactorProgram(self.costs, {}, math.inf).best(name, 1)[0][0]
        return float(self.costs.totals([genome])[0][list(self.costs.columns).index(name)])

    def _least_peak(self) -> float:
        """The least of the networks' peaks, by bisection over the values that factors have."""
        assert self.costs.peaks is not None
        levels: npt.NDArray[np.float64] = np.unique(np.concatenate([x.reshape(-1) for x in self.costs.peaks]))
        low, high = 0, len(levels) - 1
        while low < high:
            middle = (low + high) // 2
            if self._reaches(float(levels[middle])):
                high = middle
            else:
                low = middle + 1
        return float(levels[low])

    def _reaches(self, most_peak: float) -> bool:
        try:
            sweep = self.costs.sweep
        except TooWideError:
            return bool(FactorProgram(self.costs, {}, most_peak).best(self.objective, 1)[0])
        return sweep.least(sweep.arc_values(self.costs.forbidden(most_peak)))[0] < math.inf


def question(
    costs: WidthCosts, budgets: Mapping[str, float] | None, objective: str | None = None, count: int = 1
) -> Question:
    """Checks what is asked; arguments and errors as for `solve_width`."""
    given = dict(budgets or {})
    known = [*costs.columns, *([] if costs.peaks is None else [PEAK])]
    faults = []
    for name, most in given.items():
        if name not in known:
            hint = f" (only costs that are priced know {PEAK})" if name == PEAK else suggestion(name, known)
            faults.append(f"budgets.{name}: unknown column; allowed: {', '.join(known)}{hint}")
        elif isinstance(most, bool) or not isinstance(most, int | float) or not math.isfinite(most):
            faults.append(f"budgets.{name}: {most!r} must be a finite number: the most it may reach")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        faults.append(f"count (={count!r}) must be a positive whole number")
    free = [name for name in costs.columns if name not in {**given, **costs.limits}] or list(costs.columns)
    name = objective if objective is not None else "error" if "error" in free else free[0]
    if name not in costs.columns:
        allowed = ", ".join(costs.columns)
        faults.append(f"objective: unknown column {name!r}; allowed: {allowed}{suggestion(name, costs.columns)}")
    if faults:
        raise ConfigError(faults)
    most_peak = float(given.pop(PEAK, math.inf))
    for limited, most in costs.limits.items():
        given[limited] = min(given.get(limited, math.inf), most)
    return Question(costs, {key: float(most) for key, most in given.items()}, most_peak, name, count)
