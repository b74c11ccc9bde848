"""What genomes cost before anything is trained, for many of them at once: what an algorithm may be told ahead."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.table import CostTable, CostTableError
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.record import COST_FIELDS
from accelzoo.search.space import GenomeMatrix

_LOG = logging.getLogger("accelzoo.search")

Array = npt.NDArray[np.float64]


class Prices:
    """Prices of genome matrices: from the costs' `prices(space)` where they have it, else genome by genome.

    Args:
        evaluator: Genome → price, with costs.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    @cached_property
    def _bulk(self) -> Callable[[GenomeMatrix], Array] | None:
        make = getattr(self._evaluator.costs, "prices", None)
        if make is None:
            return None
        try:
            bulk: Callable[[GenomeMatrix], Array] = make(self._evaluator.space)
        except CostTableError as error:
            _LOG.warning(f"candidates are priced one by one: {error}")
            return None
        return bulk

    @property
    def table(self) -> CostTable | None:
        """The cost table behind the prices, if there is one that is made of parts."""
        table = getattr(self._bulk, "table", None)
        return table if isinstance(table, CostTable) and not table.whole_because else None

    def rows(self, genomes: GenomeMatrix) -> Array:
        """Returns prices.

        Args:
            genomes: int64 `(n, positions)`.

        Returns:
            float64 `(n, fields)` in the order of `COST_FIELDS`; a row of +inf where there is no price.
        """
        if self._bulk is not None:
            try:
                found = np.asarray(self._bulk(genomes), np.float64)
            except CostTableError as error:
                _LOG.warning(f"candidates are priced one by one from here on: {error}")
                self.__dict__["_bulk"] = None
            else:
                found = found.copy()
                found[~((found >= 0) & np.isfinite(found)).all(axis=1)] = np.inf
                return found
        return self._quoted(genomes)

    def violation(self, genomes: GenomeMatrix) -> Array:
        """Returns how far genomes are over budget, `(n,)`: `Budgets.violation`; +inf where there is no price."""
        rows = self.rows(genomes)
        total = np.zeros(len(rows))
        for name, maximum in self._evaluator.budgets:
            column = rows[:, COST_FIELDS.index(name)]
            total += np.where(column > maximum, (column - maximum) / maximum, 0.0)
        return np.where(np.isfinite(rows).all(axis=1), total, np.inf)

    def objectives(self, genomes: GenomeMatrix) -> Array:
        """Returns the objectives after the first, `(n, len(minimise))`: minus the costs; −inf where there is none."""
        columns = [COST_FIELDS.index(name) for name in self._evaluator.objective.minimise]
        negative: Array = -self.rows(genomes)[:, columns]
        return negative

    def _quoted(self, genomes: GenomeMatrix) -> Array:
        rows = np.full((len(genomes), len(COST_FIELDS)), np.inf)
        for row, genome in zip(rows, checked_matrix(genomes, self._evaluator.sizes), strict=True):
            cost = self._evaluator.quote_ahead(genome).cost
            if cost is not None:
                row[:] = [getattr(cost, name) for name in COST_FIELDS]
        return rows
