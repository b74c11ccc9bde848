"""Aging evolution (Real et al. 2019): mutate the best of a sample; the oldest dies."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.genomes import Unseen, checked_batch, checked_sizes, mutated, random_genome, to_matrix
from accelzoo.search.space import Genome, GenomeMatrix


class AgingEvolution:
    """Regularised evolution: "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, algorithm 1.

    The first `population` candidates are random. Then each child is the best of `sample_size` different members with
    one random knob changed; it joins the population and the oldest member leaves, however good it is.

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        population: Members alive. The paper takes 100 for 20,000 evaluations; 25 suits a few hundred.
        sample_size: Members that compete to be the parent. The paper takes 25 of 100.
        avoid_duplicates: Ask for each genome only once (not in the paper; never worse on NAS-Bench-Macro). When
            32 mutations in a row are repeats, a random new genome takes their place.

    Raises:
        ConfigError: If an option is out of range.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        population: int = 25,
        sample_size: int = 8,
        avoid_duplicates: bool = True,
    ) -> None:
        if not 1 <= sample_size <= population:
            raise ConfigError([f"sample_size (={sample_size}) must be from 1 to population (={population})"])
        self._sizes = checked_sizes(sizes)
        self._rng = rng
        self._population_size = population
        self._sample_size = sample_size
        self._unseen = Unseen(self._sizes, rng) if avoid_duplicates else None
        self._members: deque[tuple[Genome, float]] = deque(maxlen=population)

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        if self._unseen is None:
            genomes = [self._propose() for _ in range(count)]
        else:
            drawn = (self._unseen.next(self._propose) for _ in range(count))
            genomes = [genome for genome in drawn if genome is not None]
        return to_matrix(genomes, len(self._sizes))

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Adds members in the order given; the oldest make room.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space.
            ValueError: If a value is NaN or +inf.
        """
        for member in checked_batch(genomes, values, self._sizes):
            self._members.append(member)
            if self._unseen is not None:
                self._unseen.add(member[0])

    def _propose(self) -> Genome:
        if len(self._members) < self._population_size:
            return random_genome(self._sizes, self._rng)
        sample = draw.sample(self._rng, self._members, self._sample_size)
        # `max` keeps the first of equals, and the sample is in random order: ties are broken at random.
        parent, _ = max(sample, key=lambda member: member[1])
        return mutated(parent, self._sizes, self._rng)


ALGORITHM = AgingEvolution
