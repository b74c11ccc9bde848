"""What a search needs of a space: positions with choices, and the way from a genome to an architecture."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Genome: TypeAlias = tuple[int, ...]
GenomeMatrix: TypeAlias = npt.NDArray[np.int64]


class SearchSpace(Protocol):
    """A finite set of architectures, each written as one choice per position (`accelzoo.knobs.Space` is one)."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of choices of each position."""

    def decode(self, genome: Genome) -> Any:
        """Returns the architecture of a genome; it has `digest() -> str`."""

    def canonical(self, genome: Genome) -> Genome:
        """Returns the one genome that stands for all that decode to the same architecture."""

    def digest(self) -> str:
        """Returns `sha256:…` over everything that gives genomes their meaning."""
