"""What a search uses unless told otherwise: model-based while values are few, then evolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError
from accelzoo.search.algorithms import Algorithm
from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.algorithms.bayesian import BayesianOptimisation
from accelzoo.search.algorithms.evolution import AgingEvolution
from accelzoo.search.algorithms.nsga2 import NSGA2
from accelzoo.search.genomes import checked_sizes, to_matrix
from accelzoo.search.space import Genome, GenomeMatrix


class DefaultSearch:
    """`bayesian` for the first values, then regularised evolution or, of several objectives, steady-state NSGA-II.

    A Gaussian process needs fewer trained networks than anything else here, but its time per candidate grows with the
    square of their number; evolution proposes as fast as ever. What comes second is told everything so far as a head
    start. A search that is limited to a pool stays with `bayesian`: a pool comes to an end.

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        modelled: Values told until evolution takes over.
        initial: Random candidates before the first fit of `bayesian`.
        candidates: Random candidates of `bayesian` in a space too large to be scored whole.
        order: How much nearer neighbouring choices of a knob are to `bayesian`, from 0 to 1.
        population: Members of evolution's or NSGA-II's population.

    Raises:
        ConfigError: If an option is out of range.
    """

    several_objectives = True

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        modelled: int = 500,
        initial: int = 10,
        candidates: int = 1000,
        order: float = 0.5,
        population: int = 25,
    ) -> None:
        least = {"modelled": (modelled, 1), "population": (population, 8)}  # evolution draws 8 members
        faults = [
            f"{name} (={count}) must be at least {bound}" for name, (count, bound) in least.items() if count < bound
        ]
        if faults:
            raise ConfigError(faults)
        self._sizes = checked_sizes(sizes)
        self._rng = rng
        self._modelled = modelled
        self._population = population
        self._first = BayesianOptimisation(self._sizes, rng, initial=initial, candidates=candidates, order=order)
        self._second: Algorithm | None = None
        self._limited = False
        self._told: list[tuple[GenomeMatrix, npt.NDArray[np.float64]]] = []
        self._pending: dict[Genome, None] = {}  # in the order asked for

    def use_features(self, features: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Hands features to `bayesian`."""
        self._first.use_features(features)

    def use_canonical(self, canonical: Callable[[Genome], Genome]) -> None:
        """Hands to `bayesian` which genomes are one architecture."""
        self._first.use_canonical(canonical)

    def use_violation(self, violation: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Hands to `bayesian` how far genomes are over budget."""
        self._first.use_violation(violation)

    def use_costs(self, costs: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Hands the known objectives to `bayesian`."""
        self._first.use_costs(costs)

    def use_pool(self, genomes: npt.ArrayLike) -> None:
        """Limits the search to these genomes.

        Raises:
            ConfigError: If there are none.
            ShapeError: If they do not fit the space.
        """
        self._first.use_pool(genomes)
        self._limited = True

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        asked = self._first.ask(count) if self._second is None else self._evolved(self._second, count)
        self._pending.update(dict.fromkeys(map(tuple, asked.tolist())))
        return asked

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Hands values on.

        Args:
            genomes: Integers `(n, positions)`.
            values: float64 `(n,)` or `(n, objectives)`, higher is better, a candidate without values has −inf in all.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space, or the number of objectives has changed.
            ValueError: If a value is NaN or +inf, or −inf beside a number.
        """
        matrix, table = checked_told(genomes, values, self._sizes)
        if not len(matrix):
            return
        (self._first if self._second is None else self._second).tell(matrix, _plain(table))
        for row in matrix.tolist():
            self._pending.pop(tuple(row), None)
        if self._second is None:
            self._told.append((matrix.copy(), table.copy()))
            if not self._limited and sum(len(rows) for rows, _ in self._told) >= self._modelled:
                self._second = self._evolution(table.shape[1])

    def _evolution(self, objectives: int) -> Algorithm:
        """Returns what takes over, told everything so far."""
        options: dict[str, Any] = {"population": self._population}
        several = objectives > 1
        second = NSGA2(self._sizes, self._rng, offspring=1, **options) if several else None
        algorithm: Algorithm = second or AgingEvolution(self._sizes, self._rng, **options)
        for rows, table in self._told:
            algorithm.tell(rows, _plain(table))
        self._told = []
        return algorithm

    def _evolved(self, second: Algorithm, count: int) -> GenomeMatrix:
        """Asks for new genomes, without those that `bayesian` asked for and that are not told yet."""
        found: list[Genome] = []
        while len(found) < count:  # it asks for no genome twice, so this passes over each pending one at most once
            rows = second.ask(count - len(found)).tolist()
            if not rows:
                break
            found += [genome for genome in map(tuple, rows) if genome not in self._pending]
        return to_matrix(found, len(self._sizes))


def _plain(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return table[:, 0] if table.shape[1] == 1 else table


ALGORITHM = DefaultSearch
"""What `accelzoo.search.run` takes."""
