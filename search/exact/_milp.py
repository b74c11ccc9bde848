"""Mixed-integer programming: the path as a unit of flow through the layers, every budget as a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError
from accelzoo.search.exact._problem import Problem

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
SCALE = 1e3  # the solver's tolerances are absolute, 1e-6: rows and the objective are made this large
MAX_CUTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The best paths in order, their arcs `(steps,)`, and the solver's bound on the first."""

    paths: tuple[Indices, ...]
    bound: float


def solve_milp(problem: Problem, count: int) -> Found:
    """Finds the best paths within the bounds.

    Every solution is checked with exact sums. One that breaks a bound within the solver's tolerance, or is to be
    followed by the next best, is excluded by a row that allows all but one of its arcs, and the rest is solved again.

    Raises:
        AccelzooError: If the solver stops without an answer.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    flow = _flow(problem)
    values = np.concatenate([step.values for step in problem.steps], axis=1)
    units = np.abs(values).max(axis=1)
    units = np.where(units > 0, units, 1.0) / SCALE
    bounded = np.flatnonzero(problem.bounds < math.inf)
    balance = np.zeros(flow.shape[0])
    balance[0] = 1.0
    rows = [LinearConstraint(flow, balance, balance)]
    if len(bounded):
        most = problem.bounds[bounded] / units[bounded]
        rows.append(LinearConstraint(values[bounded] / units[bounded, None], -np.inf, most))
    first = np.cumsum([0, *[len(step.source) for step in problem.steps]])
    paths: list[Indices] = []
    bound = -math.inf
    for _ in range(count + MAX_CUTS):
        done = milp(values[0] / units[0], integrality=np.ones(first[-1]), bounds=Bounds(0, 1), constraints=rows,
                    options={"mip_rel_gap": 0.0})  # fmt: skip
        if done.status == 2:  # infeasible: all that there is was found
            return Found(paths=tuple(paths), bound=bound)
        if done.x is None or done.status != 0:
            raise AccelzooError(f"the solver ended without a proven answer: {done.message}")
        chosen = np.flatnonzero(done.x > 0.5)
        arcs = chosen - first[:-1]
        if not paths:
            bound = float(done.mip_dual_bound) * float(units[0])
        if problem.feasible(problem.sums(arcs)):
            paths.append(arcs)
        if len(paths) == count:
            return Found(paths=tuple(paths), bound=bound)
        excluded = np.zeros(first[-1])
        excluded[chosen] = 1.0
        rows.append(LinearConstraint(excluded, -np.inf, len(problem.steps) - 1.0))
    raise AccelzooError(f"{MAX_CUTS} answers broke a budget within the solver's tolerance: use method='labels'")


def _flow(problem: Problem) -> npt.NDArray[np.float64]:
    """Returns one row per state before a layer, `(states, arcs)`: arcs out of it minus arcs into it.

    The first row, the one state before the first layer, is 1 on a path; all others are 0.
    """
    from scipy.sparse import coo_array

    states = [int(step.source.max()) + 1 for step in problem.steps]
    begin = np.cumsum([0, *states])
    row, column, sign = [], [], []
    arc = 0
    for index, step in enumerate(problem.steps):
        numbers = np.arange(arc, arc + len(step.source))
        row.append(begin[index] + step.source)
        column.append(numbers)
        sign.append(np.ones(len(numbers)))
        if index + 1 < len(problem.steps):
            row.append(begin[index + 1] + step.target)
            column.append(numbers)
            sign.append(-np.ones(len(numbers)))
        arc += len(numbers)
    entries = (np.concatenate(sign), (np.concatenate(row), np.concatenate(column)))
    return coo_array(entries, shape=(begin[-1], arc)).tocsr()
