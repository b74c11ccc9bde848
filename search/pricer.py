"""Which of many genomes meet the budgets, and if none does, what would be achievable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import BudgetError
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.feasible import feasible_genome
from accelzoo.search.objective import Budgets, Objective
from accelzoo.search.prices import Prices
from accelzoo.search.record import COST_FIELDS
from accelzoo.search.space import Genome, GenomeMatrix, SearchSpace

Matrix = npt.NDArray[np.float64]
_WEIGHTS = COST_FIELDS.index("weight_bytes")


class Pricer:
    """Prices genomes, by look-up where the costs can (`TargetCosts`), else one by one.

    Args:
        space: Decodes genomes.
        costs: Architecture → cost; None: there are no prices, and everything meets the budgets.
        budgets: Cost field → the most it may be.

    Attributes:
        priced: Whether there are prices.

    Raises:
        ConfigError: If there are budgets but no costs.
    """

    def __init__(self, space: SearchSpace, costs: Callable[[Any], Any] | None, budgets: Budgets) -> None:
        self.priced = costs is not None
        self._budgets = budgets
        self._evaluator = Evaluator(space, _no_signal, costs, budgets, Objective())
        self._prices = Prices(self._evaluator)
        self._most = np.full(len(COST_FIELDS), math.inf)
        for name, maximum in budgets:
            self._most[COST_FIELDS.index(name)] = maximum
        self._least = np.full(len(COST_FIELDS), math.inf)

    def judge(self, genomes: GenomeMatrix) -> tuple[Matrix, npt.NDArray[np.bool_]]:
        """Prices genomes.

        Those whose weights do not fit on chip and therefore break a budget are told apart without being priced, which
        would take long (see `CostTable.tabulated`); their prices are infinite, as of one that makes no network.

        Returns:
            float64 `(n, len(COST_FIELDS))`, without columns where there are no costs; who meets the budgets, `(n,)`.
        """
        if not self.priced:
            return np.empty((len(genomes), 0)), np.ones(len(genomes), np.bool_)
        prices = np.full((len(genomes), len(COST_FIELDS)), math.inf)
        rows = self._worth_pricing(genomes)
        if rows.size:
            prices[rows] = self._prices.rows(genomes[rows])
        self._least = np.minimum(self._least, prices.min(axis=0, initial=math.inf))
        return prices, (prices <= self._most).all(axis=1) & np.isfinite(prices).all(axis=1)

    def feasible_genome(self, *, exhausted: bool, seed: int) -> Genome:
        """Returns a genome that meets the budgets though none of those priced so far does.

        Args:
            exhausted: Whether the whole space was priced: then there is none.
            seed: Draws where to look.

        Raises:
            BudgetError: If there is none; it names what is achievable.
        """
        if exhausted:
            raise BudgetError(self._report())
        evaluator = self._evaluator
        return feasible_genome(
            evaluator.sizes, evaluator.quote, self._budgets, draw.generator(seed), lambda: self._prices.table
        )

    def _worth_pricing(self, genomes: GenomeMatrix) -> npt.NDArray[np.int64]:
        table = self._prices.table
        capacity = None if table is None else table.target.weight_sram_bytes
        if table is None or capacity is None or self._most[_WEIGHTS] > capacity:
            return np.arange(len(genomes))
        return np.flatnonzero(table.tabulated(genomes))

    def _report(self) -> str:
        if not np.isfinite(self._least).any():
            return "no architecture of the space can be priced"
        least = dict(zip(COST_FIELDS, self._least.tolist(), strict=True))
        lines = ["no architecture of the space meets the budgets"]
        lines += [f"{name}: budget {maximum:.12g}, smallest {least[name]!r}" for name, maximum in self._budgets]
        if all(least[name] <= maximum for name, maximum in self._budgets):
            lines.append("each budget can be met alone, but not together")
        return "\n  ".join(lines)


def _no_signal(arch: Any) -> float:
    raise AssertionError("nothing is evaluated here")
