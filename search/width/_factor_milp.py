"""Width search as a mixed-integer program over the factor graph, whatever its loops and however many the budgets.

A binary variable says which width a group has, a continuous one which pair (or triple) of widths meets in a factor; the
latter's sums over all but one group are the former (the local polytope: Wainwright & Jordan 2008, §4.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError
from accelzoo.search.width.costs import WidthCosts

Floats = npt.NDArray[np.float64]
Genome = tuple[int, ...]
SCALE = 1e3  # the solver's tolerances are absolute, 1e-6: rows and the objective are made this large
MAX_CUTS = 1_000


class FactorProgram:
    """The program of one problem; rows that exclude genomes are added as they are found.

    Args:
        costs: The problem.
        budgets: Column → the most it may reach.
        most_peak: The most activation bytes alive at once.
    """

    def __init__(self, costs: WidthCosts, budgets: Mapping[str, float], most_peak: float) -> None:
        self._costs = costs
        self._first = np.cumsum([0, *costs.sizes])  # of each group's variables; those of factors follow
        self._places: list[int] = []
        end = int(self._first[-1])
        for scope in costs.scopes:
            single = len(scope) == 1
            self._places.append(int(self._first[scope[0]]) if single else end)
            end += 0 if single else math.prod([costs.sizes[group] for group in scope])
        self._variables = end
        self._budgets = dict(budgets)
        self._most = np.ones(end)
        for place, mask in zip(self._places, costs.forbidden(most_peak), strict=True):
            self._most[place : place + mask.size][np.isinf(mask.reshape(-1))] = 0.0
        self._columns = {name: self._vector(tables) for name, tables in costs.columns.items()}

    def best(self, objective: str, count: int) -> tuple[list[Genome], float]:
        """Finds the best genomes within the budgets.

        Every one is checked with exact sums; one that breaks a budget within the solver's tolerance, or is to be
        followed by the next best, is excluded by a row and the rest is solved again.

        Returns:
            Genomes, best first, and the solver's bound on the first's value (−inf without any).

        Raises:
            AccelzooError: If the solver ends without a proven answer.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        costs = self._costs
        vector = self._columns[objective]
        unit = _unit(vector)
        rows = list(self._rows())
        integral = (np.arange(self._variables) < self._first[-1]).astype(np.float64)
        found: list[Genome] = []
        bound = -math.inf
        for _ in range(count + MAX_CUTS):
            done = milp(vector / unit, integrality=integral, bounds=Bounds(0, self._most), constraints=rows,
                        options={"mip_rel_gap": 0.0})  # fmt: skip
            if done.status == 2:  # infeasible: all that there is was found
                return found, bound
            if done.x is None or done.status != 0:
                raise AccelzooError(f"the solver ended without a proven answer: {done.message}")
            genome = tuple(
                [int(done.x[a:b].argmax()) for a, b in zip(self._first[:-1], self._first[1:], strict=True)]
            )
            if not found:
                bound = float(done.mip_dual_bound) * unit
            if self._fits(genome):
                found.append(genome)
            if len(found) == count:
                return found, bound
            excluded = np.zeros(self._variables)
            excluded[self._first[:-1] + np.array(genome)] = 1.0
            rows.append(LinearConstraint(excluded, -np.inf, len(costs.sizes) - 1.0))
        raise AccelzooError(f"{MAX_CUTS} answers broke a budget within the solver's tolerance")

    def _fits(self, genome: Genome) -> bool:
        totals = dict(zip(self._costs.columns, self._costs.totals([genome])[0].tolist(), strict=True))
        return all(totals[name] <= most for name, most in self._budgets.items())

    def _vector(self, tables: Sequence[Floats]) -> Floats:
        vector = np.zeros(self._variables)
        constant = 0.0
        for place, scope, table in zip(self._places, self._costs.scopes, tables, strict=True):
            if scope:
                vector[place : place + table.size] += table.reshape(-1)
            else:
                constant += float(table)
        vector[: self._first[1]] += constant  # exactly one width of the first group is chosen
        return vector

    def _rows(self) -> Iterator[object]:
        from scipy.optimize import LinearConstraint
        from scipy.sparse import coo_array

        row: list[int] = []
        column: list[int] = []
        sign: list[float] = []
        number = 0
        for first, size in zip(self._first[:-1].tolist(), self._costs.sizes, strict=True):
            row += [number] * size
            column += range(first, first + size)
            sign += [1.0] * size
            number += 1
        chosen = number
        for place, scope in zip(self._places, self._costs.scopes, strict=True):
            shape = tuple([self._costs.sizes[group] for group in scope])
            if len(scope) < 2:
                continue
            for group, index in zip(scope, np.indices(shape).reshape(len(shape), -1), strict=True):
                row += (number + index).tolist() + list(range(number, number + self._costs.sizes[group]))
                column += range(place, place + index.size)
                column += range(int(self._first[group]), int(self._first[group + 1]))
                sign += [1.0] * index.size + [-1.0] * self._costs.sizes[group]
                number += self._costs.sizes[group]
        right = np.zeros(number)
        right[:chosen] = 1.0
        matrix = coo_array((sign, (row, column)), shape=(number, self._variables)).tocsr()
        yield LinearConstraint(matrix, right, right)
        for name, most in self._budgets.items():
            unit = _unit(self._columns[name])
            yield LinearConstraint(self._columns[name] / unit, -np.inf, most / unit)


def _unit(vector: Floats) -> float:
    return (float(np.abs(vector).max()) or 1.0) / SCALE
