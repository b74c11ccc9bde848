"""What is known of genomes before training: their features, which are one architecture, and what fits a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError
from accelzoo.search.genomes import to_matrix
from accelzoo.search.space import Genome, GenomeMatrix

Array = npt.NDArray[np.float64]


class Knowledge:
    """Remembers what the callables said, so that each genome is asked about once.

    Args:
        positions: Length of a genome.

    Attributes:
        features: Genomes `(n, positions)` → `(n, k)`; None if there are none.
        canonical: Genome → the one that stands for its architecture; None if each is its own.
        violation: Genomes `(n, positions)` → how far they are over budget `(n,)`, 0 within; None if that is not known.
    """

    def __init__(self, positions: int) -> None:
        self.features: Callable[[GenomeMatrix], npt.ArrayLike] | None = None
        self.canonical: Callable[[Genome], Genome] | None = None
        self.violation: Callable[[GenomeMatrix], npt.ArrayLike] | None = None
        self._positions = positions
        self._rows: dict[Genome, int] = {}
        self._table: Array | None = None
        self._canonical: dict[Genome, Genome] = {}
        self._violations: dict[Genome, float] = {}

    def named(self, genome: Genome) -> Genome:
        """Returns the genome that stands for its architecture."""
        if self.canonical is None:
            return genome
        if genome not in self._canonical:
            self._canonical[genome] = tuple(int(choice) for choice in self.canonical(genome))
        return self._canonical[genome]

    def features_of(self, genomes: Sequence[Genome]) -> Array:
        """Returns the features `(n, k)`; k is 0 if there are none.

        Raises:
            ShapeError: If the callable does not return one row for each genome, always of one length.
        """
        if self.features is None:
            return np.zeros((len(genomes), 0))
        missing = [genome for genome in dict.fromkeys(genomes) if genome not in self._rows]
        if missing or self._table is None:
            rows = np.array(self.features(to_matrix(missing, self._positions)), dtype=np.float64)
            table = rows[:0] if self._table is None else self._table
            if rows.ndim != 2 or len(rows) != len(missing) or rows.shape[1] != table.shape[1]:
                columns = "k" if self._table is None else table.shape[1]
                raise ShapeError(f"features of shape {rows.shape} must have shape ({len(missing)}, {columns})")
            self._rows.update({genome: len(table) + index for index, genome in enumerate(missing)})
            self._table = np.concatenate([table, rows])
        return self._table[[self._rows[genome] for genome in genomes]]

    def violations_of(self, genomes: Sequence[Genome]) -> Array:
        """Returns how far genomes are over budget, `(n,)`; 0 for all if that is not known, +inf for NaN.

        Raises:
            ShapeError: If the callable does not return one number for each genome.
        """
        if self.violation is None:
            return np.zeros(len(genomes))
        missing = [genome for genome in dict.fromkeys(genomes) if genome not in self._violations]
        if missing:
            found = np.array(self.violation(to_matrix(missing, self._positions)), dtype=np.float64)
            if found.shape != (len(missing),):
                raise ShapeError(f"violations of shape {found.shape} must have shape ({len(missing)},)")
            self._violations.update(zip(missing, np.where(np.isnan(found), np.inf, found).tolist(), strict=True))
        return np.array([self._violations[genome] for genome in genomes])
