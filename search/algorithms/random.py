"""Random search: the baseline that any other algorithm has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.candidates import Given
from accelzoo.search.genomes import Unseen, checked_sizes, random_genome, to_matrix
from accelzoo.search.space import GenomeMatrix


class RandomSearch:
    """Draws genomes uniformly, each at most once; for any number of objectives."""

    several_objectives = True

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        self._sizes = checked_sizes(sizes)
        self._rng = rng
        self._unseen: Unseen | Given = Unseen(self._sizes, rng)

    def use_pool(self, genomes: npt.ArrayLike) -> None:
        """Limits the search to these genomes, in random order.

        Args:
            genomes: Integers `(n, positions)`.

        Raises:
            ConfigError: If there are none.
            ShapeError: If they do not fit the space.
        """
        self._unseen = Given(genomes, self._sizes, self._rng)

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        drawn = (self._unseen.next(lambda: random_genome(self._sizes, self._rng)) for _ in range(count))
        return to_matrix([genome for genome in drawn if genome is not None], len(self._sizes))

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Checks the values and never asks for these genomes again; nothing else is learnt.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space.
            ValueError: If a value is NaN or +inf, or −inf beside a number.
        """
        matrix, _ = checked_told(genomes, values, self._sizes)
        for row in matrix.tolist():
            self._unseen.add(tuple(row))


ALGORITHM = RandomSearch
