"""The genomes among which a search chooses: given ones, all of a small space, a changing sample of a large one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.genomes import all_genomes, checked_matrix, genome_count, random_genome
from accelzoo.search.knowledge import Knowledge
from accelzoo.search.space import Genome
from accelzoo.search.surrogate import FeatureScale

ENUMERATED = 10_000


class Given:
    """Hands out given genomes, each once: `accelzoo.search.genomes.Unseen` for a search that is limited to some.

    Args:
        genomes: Integers `(n, positions)`; repeats count once.
        sizes: The number of choices of each position.
        rng: Decides the order in which they are handed out where nothing else does.

    Raises:
        ConfigError: If there are none.
        ShapeError: If they do not fit the space.
    """

    def __init__(self, genomes: npt.ArrayLike, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        self.genomes = list(dict.fromkeys(checked_matrix(genomes, sizes)))
        if not self.genomes:
            raise ConfigError(["a pool must have at least one genome"])
        self._left = dict.fromkeys(self.genomes[index] for index in draw.permutation(rng, len(self.genomes)))

    def add(self, genome: Genome) -> None:
        """Marks a genome as handed out."""
        self._left.pop(genome, None)

    def next(self, propose: Callable[[], Genome]) -> Genome | None:
        """Returns the proposed genome, or one in random order if that is not left; None when none is left."""
        if not self._left:
            return None
        genome = propose()
        if genome not in self._left:
            genome = next(iter(self._left))
        del self._left[genome]
        return genome


class CandidatePool:
    """Candidates, each by the genome that stands for its architecture.

    Those of `Knowledge.pool` if there is one, else all of a space with at most 10,000 genomes. Of a larger one `count`
    random genomes, which stay until they are used (so that their features are worked out once), and the neighbours of
    parents.

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        count: Random candidates in a large space.
        knowledge: Names the genomes.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator, count: int, knowledge: Knowledge) -> None:
        self._sizes = sizes
        self._rng = rng
        self._count = count
        self._knowledge = knowledge
        self._small = genome_count(sizes) <= ENUMERATED
        self._genomes: list[Genome] = []
        self._scale: FeatureScale | None = None

    @property
    def _whole(self) -> bool:
        return self._small or self._knowledge.pool is not None

    @property
    def feature_scale(self) -> FeatureScale:
        """Of the candidates as they were at first."""
        if self._scale is None:
            self._fill(())
            self._scale = FeatureScale.of(self._knowledge.features_of(self._genomes))
        return self._scale

    def unused(self, used: Collection[Genome], parents: Sequence[Genome]) -> list[Genome]:
        """Returns the candidates that are not in `used`, each once, in an order that only the seed decides.

        Args:
            used: Genomes that are out of question.
            parents: Good genomes, whose neighbours are candidates as well.
        """
        self._fill(used)
        unused = [genome for genome in self._genomes if genome not in used]
        if self._whole:
            return unused
        return list(dict.fromkeys([*unused, *self.neighbours(parents, used)]))

    def neighbours(self, genomes: Sequence[Genome], used: Collection[Genome]) -> list[Genome]:
        """Returns what is one knob away from any of the genomes, without the used; nothing in a small space."""
        if self._whole:
            return []
        found: dict[Genome, None] = {}
        for genome in genomes:
            for position, size in enumerate(self._sizes):
                for choice in range(size):
                    near = self._knowledge.named((*genome[:position], choice, *genome[position + 1 :]))
                    if near not in used:
                        found[near] = None
        return list(found)

    def _fill(self, used: Collection[Genome]) -> None:
        if self._whole:
            if not self._genomes:
                given = self._knowledge.pool
                genomes = all_genomes(self._sizes) if given is None else given
                self._genomes = list(dict.fromkeys(map(self._knowledge.named, genomes)))
            return
        kept = dict.fromkeys(genome for genome in self._genomes if genome not in used)
        for _ in range(2 * (self._count - len(kept))):  # canonical genomes may repeat: no loop waits for luck
            genome = self._knowledge.named(random_genome(self._sizes, self._rng))
            if genome not in used and len(kept) < self._count:
                kept[genome] = None
        self._genomes = list(kept)
