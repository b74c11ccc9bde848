"""What is known of genomes before training: features, costs, which are one architecture, and what fits a budget."""

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
        costs: Genomes `(n, positions)` → the values of the objectives after the first, `(n, objectives − 1)`, −inf for
            what cannot be priced; None if they are not known.
        pool: The only genomes that may be asked for; None for all. The first of each architecture stands for it.
    """

    def __init__(self, positions: int) -> None:
        self.features: Callable[[GenomeMatrix], npt.ArrayLike] | None = None
        self.canonical: Callable[[Genome], Genome] | None = None
        self.violation: Callable[[GenomeMatrix], npt.ArrayLike] | None = None
        self.costs: Callable[[GenomeMatrix], npt.ArrayLike] | None = None
        self.pool: Sequence[Genome] | None = None
        self._positions = positions
        self._rows: dict[Genome, int] = {}
        self._table: Array | None = None
        self._canonical: dict[Genome, Genome] = {}
        self._stand_ins: dict[Genome, Genome] | None = None
        self._violations: dict[Genome, float] = {}
        self._costs: dict[Genome, tuple[float, ...]] = {}

    @property
    def refuses(self) -> bool:
        """Whether any genome may be known not to be worth asking for."""
        return self.violation is not None or self.costs is not None

    def named(self, genome: Genome) -> Genome:
        """Returns the genome that stands for its architecture."""
        found = self._canonical_of(genome)
        if self.pool is None:
            return found
        if self._stand_ins is None:
            self._stand_ins = {self._canonical_of(given): given for given in reversed(self.pool)}
        return self._stand_ins.get(found, found)

    def _canonical_of(self, genome: Genome) -> Genome:
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

    def costs_of(self, genomes: Sequence[Genome]) -> Array:
        """Returns the known values of the objectives after the first, `(n, objectives − 1)`; −inf for NaN.

        Raises:
            ShapeError: If the callable does not return one row for each genome.
        """
        assert self.costs is not None
        missing = [genome for genome in dict.fromkeys(genomes) if genome not in self._costs]
        if missing:
            found = np.array(self.costs(to_matrix(missing, self._positions)), dtype=np.float64)
            if found.ndim != 2 or len(found) != len(missing):
                raise ShapeError(f"costs of shape {found.shape} must have shape ({len(missing)}, objectives - 1)")
            rows = np.where(np.isnan(found), -np.inf, found).tolist()
            self._costs.update(zip(missing, map(tuple, rows), strict=True))
        return np.array([self._costs[genome] for genome in genomes]).reshape(len(genomes), -1)

    def refusals_of(self, genomes: Sequence[Genome]) -> Array:
        """Returns `violations_of`, +inf also for genomes that cannot be priced: `(n,)`."""
        violations = self.violations_of(genomes)
        if self.costs is None or not genomes:
            return violations
        return np.where(np.isneginf(self.costs_of(genomes)).any(axis=1), np.inf, violations)
