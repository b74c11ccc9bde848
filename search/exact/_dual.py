"""The Lagrangian relaxation: a proven bound, and the feasible path that it finds on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.search.exact._problem import Problem

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
ROUNDS = 60
LARGEST = 1e3  # multipliers, in units of (objective / bounded column); any cap leaves the bound valid


@dataclass(slots=True, kw_only=True, eq=False)
class Relaxed:
    """What a relaxation knows.

    Attributes:
        bound: No feasible value is below; rounding is taken off.
        multipliers: One per bounded column, at which the bound holds, `(bounded,)`.
        value: Least value of the feasible paths met; inf without any.
        arcs: Such a path.
    """

    bound: float = -math.inf
    multipliers: Floats
    value: float = math.inf
    arcs: Indices | None = None


class _Dual:
    """L(λ) = min over paths of objective + λ · (columns − bounds), evaluated at chosen multipliers."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.bounded = np.flatnonzero(problem.bounds < math.inf)
        self.bounds = problem.bounds[self.bounded]
        self.known = Relaxed(multipliers=np.zeros(len(self.bounded)))
        self.magnitudes = problem.table.magnitudes()[list(problem.columns)]
        self._eps = 8 * len(problem.steps) * float(np.finfo(np.float64).eps)

    def weights(self, multipliers: Floats) -> Floats:
        weights = np.zeros(len(self.problem.columns))
        weights[0] = 1.0
        weights[self.bounded] += multipliers
        return weights

    def ask(self, multipliers: Floats) -> tuple[float, Floats]:
        """Evaluates L; returns objective and bounded columns of its path."""
        weights = self.weights(multipliers)
        sums = self._note(self.problem.path(weights))
        excess = sums[self.bounded] - self.bounds
        rounding = self._eps * (float(weights @ self.magnitudes) + float(multipliers @ np.abs(self.bounds)))
        value = float(sums[0] + multipliers @ excess) - rounding
        if value > self.known.bound:
            self.known.bound, self.known.multipliers = value, multipliers
        return float(sums[0]), sums[self.bounded]

    def cheapest(self) -> tuple[float, Floats]:
        """Returns objective and the bounded column of its cheapest path, for one bounded column."""
        weights = np.zeros(len(self.problem.columns))
        weights[self.bounded] = 1.0
        sums = self._note(self.problem.path(weights))
        return float(sums[0]), sums[self.bounded]

    def _note(self, arcs: Indices) -> Floats:
        sums = self.problem.sums(arcs)
        if self.problem.feasible(sums) and sums[0] < self.known.value:
            self.known.value, self.known.arcs = float(sums[0]), arcs
        return sums


def relax(problem: Problem) -> tuple[Relaxed, Floats, float]:
    """Maximises the Lagrangian dual of a problem with one objective.

    With one bound by intersecting the two lines that enclose the maximum (Handler and Zang 1980, §2), with more by
    cutting planes (Kelley 1960), at most 60 of them.

    Returns:
        What is known, the weights of the columns in the best relaxation, `(columns,)`, and its constant.
    """
    dual = _Dual(problem)
    found, _ = dual.ask(np.zeros(len(dual.bounded)))
    if dual.known.value > found and len(dual.bounded) == 1:
        _intersect(dual)
    elif dual.known.value > found and len(dual.bounded) > 1:
        _cutting_planes(dual)
    best = dual.known.multipliers
    return dual.known, dual.weights(best), float(best @ dual.bounds)


def _intersect(dual: _Dual) -> None:
    over, under = dual.ask(np.zeros(1)), dual.cheapest()
    bound = float(dual.bounds[0])
    for _ in range(ROUNDS):
        if not over[1][0] > bound >= under[1][0] or under[0] <= over[0]:
            return
        multiplier = (under[0] - over[0]) / float(over[1][0] - under[1][0])
        crossing = over[0] + multiplier * (float(over[1][0]) - bound)
        found = dual.ask(np.array([multiplier]))
        reached = found[0] + multiplier * (float(found[1][0]) - bound)
        if reached >= crossing - 1e-14 * max(1.0, float(dual.magnitudes[0])):
            return
        if found[1][0] > bound:
            over = found
        else:
            under = found


def _cutting_planes(dual: _Dual) -> None:
    from scipy.optimize import linprog

    units = np.where(dual.magnitudes[dual.bounded] > 0, dual.magnitudes[dual.bounded], 1.0)
    scale = float(dual.magnitudes[0]) or 1.0
    # Unknowns, without units: the dual's value, then the multipliers.
    rows, values = [], []
    multipliers = np.zeros(len(units))
    for _ in range(ROUNDS):
        objective, columns = dual.ask(multipliers)
        rows.append([1.0, *(-(columns - dual.bounds) / units)])
        values.append(objective / scale)
        caps = [(None, None), *[(0.0, LARGEST)] * len(units)]
        plan = linprog([-1.0, *np.zeros(len(units))], A_ub=rows, b_ub=values, bounds=caps, method="highs")
        if plan.status != 0 or plan.x[0] * scale <= dual.known.bound + 1e-9 * scale:
            return
        multipliers = np.maximum(plan.x[1:], 0.0) * scale / units
