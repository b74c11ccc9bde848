"""Architecture → cost on a target, as the search wants it: one by one, and for whole genome matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError
from accelzoo.hwmodel import Cost, Target, estimate
from accelzoo.hwmodel.table import CostTable
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.record import COST_FIELDS
from accelzoo.search.space import SearchSpace


@dataclass(frozen=True, slots=True)
class TargetCosts:
    """Prices what can be lowered on one target; the target's digest goes into the trace.

    Attributes:
        target: The accelerator.
    """

    target: Target

    def __call__(self, arch: Any) -> Cost:
        """Returns the cost of one inference; operators the target cannot run are in its `unpriced`."""
        return estimate(arch.lower(), self.target)

    def digest(self) -> str:
        """Returns the target's digest."""
        return self.target.digest()

    def prices(self, space: SearchSpace) -> TablePrices:
        """Returns the same prices for whole genome matrices, by look-up.

        Raises:
            CostTableError: If the space's prices cannot be tabulated.
        """
        return TablePrices(space, self.target)


class TablePrices:
    """Prices of genome matrices on one target, bit for bit those of `TargetCosts`.

    Attributes:
        table: Where they are looked up.

    Args:
        space: Decodes genomes.
        target: The accelerator.

    Raises:
        CostTableError: If the space's prices cannot be tabulated.
    """

    def __init__(self, space: SearchSpace, target: Target) -> None:
        self.table = CostTable(space, target)
        self._columns = [self.table.fields.index(name) for name in COST_FIELDS]

    def __call__(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Prices genomes.

        Args:
            genomes: Integers `(n, positions)`.

        Returns:
            float64 `(n, fields)` in the order of `COST_FIELDS`: seconds, joules, bytes, MACs. A row of +inf for a
            genome that makes no network, or one with an operator that the target cannot run.

        Raises:
            CostTableError: If the table grew too large.
            ShapeError: If the genomes are no integers of the space's positions and choices.
        """
        matrix = np.asarray(genomes)
        sizes = self.table.sizes
        fits = matrix.ndim == 2 and matrix.shape[1] == len(sizes) and np.issubdtype(matrix.dtype, np.integer)
        if not fits or ((matrix < 0) | (matrix >= np.array(sizes))).any():
            checked_matrix(matrix, sizes)  # says which choice of which genome
        return self._priced(matrix)

    def _priced(self, matrix: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Prices all at once; where one of them makes no network, the halves, until it stands alone."""
        try:
            values, unpriced = self.table.totals(matrix)
        except ShapeError:
            if len(matrix) == 1:
                return np.full((1, len(COST_FIELDS)), np.inf)
            half = len(matrix) // 2
            return np.concatenate([self._priced(matrix[:half]), self._priced(matrix[half:])])
        rows = values[:, self._columns]
        rows[unpriced > 0] = np.inf
        return rows
