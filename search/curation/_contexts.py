"""Every value of a knob in many contexts: the other knobs drawn at random, the knob set to each of its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.knobs import Space
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.space import Genome, GenomeMatrix

Floats = npt.NDArray[np.float64]
Pricer = Callable[[GenomeMatrix], Floats]
"""Genomes `(n, positions)` → what each costs `(n,)`, inf where the target cannot run it."""

TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contexts:
    """One knob's values in many contexts.

    Attributes:
        genomes: `(contexts, values, positions)`.
        costs: `(contexts, values)`.
    """

    genomes: GenomeMatrix
    costs: Floats


class Drawer:
    """Draws genomes among the values that are kept.

    Args:
        space: The space.
        rng: The only source of randomness.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space = space
        self._rng = rng

    def genomes(self, kept: Kept, count: int) -> list[Genome]:
        """Draws genomes, every knob uniform among what is kept of it."""
        return [tuple(left[draw.below(self._rng, len(left))] for left in kept) for _ in range(count)]

    def active(self, kept: Kept, position: int, count: int) -> list[Genome]:
        """Draws genomes in which a knob makes a difference; fewer than `count` if that is rare."""
        name = self._space.knobs[position].name
        found: list[Genome] = []
        for _ in range(TRIES):
            drawn = self.genomes(kept, count - len(found))
            found += [genome for genome in drawn if name in self._space.values(genome)]
            if len(found) >= count:
                break
        return found

    def contexts(self, kept: Kept, position: int, values: Sequence[int], count: int, price: Pricer) -> Contexts:
        """Sets a knob to each of some values in up to `count` contexts; those where none can be run are left out."""
        drawn = self.active(kept, position, count)
        genomes = np.repeat(np.array(drawn, np.int64).reshape(len(drawn), 1, len(kept)), len(values), axis=1)
        genomes[:, :, position] = values
        costs = price(genomes.reshape(-1, len(kept))).reshape(len(drawn), len(values))
        runs = np.isfinite(costs).any(axis=1)
        return Contexts(genomes=genomes[runs], costs=costs[runs])
