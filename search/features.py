"""What is known of a space's genomes before any training: log weights, log MACs, and the default zero-cost scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.hwmodel.ir import Op
from accelzoo.search.genomes import checked_matrix, random_genome
from accelzoo.search.scores._flow import Flow
from accelzoo.search.scores._score import GraphScore
from accelzoo.search.scores._table import ScoreTable
from accelzoo.search.scores.linear_regions import linear_regions
from accelzoo.search.scores.macs import macs
from accelzoo.search.scores.trainability import trainability
from accelzoo.search.space import Genome, GenomeMatrix, SearchSpace

Array = npt.NDArray[np.float64]

_PROBES = 16


def _terms(ops: Sequence[Op], flow: Flow) -> float:
    return float(sum(op.weight_count for op in ops))


_SCORES = (GraphScore(name="weights", terms=_terms), macs, trainability, linear_regions)
_LOGARITHMS = slice(0, 3)  # linear_regions is a sum of logarithms already


class SpaceFeatures:
    """Maps genomes to features, each oriented so that a larger one is expected to mean a better network.

    By look-up where a `ScoreTable` knows the space, else architecture by architecture.

    Args:
        space: Its genomes decode to `accelzoo.arch.Arch`.

    Attributes:
        names: What the columns are: the logarithms of the number of weights (of all operators; neither biases nor
            normalisations) and of MACs; then the default zero-cost scores, trainability as its logarithm.
    """

    names: ClassVar[tuple[str, ...]] = ("log_weights", "log_macs", "log_trainability", "linear_regions")

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        try:
            self._table: ScoreTable | None = ScoreTable(space, _SCORES)
        except (ConfigError, ShapeError):  # its terms do not add up part by part, or not every genome makes a network
            self._table = None

    def __call__(self, genomes: GenomeMatrix) -> Array:
        """Returns the features of genomes.

        Args:
            genomes: Integers `(n, positions)`.

        Returns:
            float64 `(n, len(names))`; a row of NaN for a genome that makes no network.

        Raises:
            ShapeError: If the genomes do not fit the space.
        """
        rows = checked_matrix(genomes, tuple(self.space.sizes))
        values = self._looked_up(np.asarray(genomes))
        if values is None:
            values = np.array([self._scored(row) for row in rows]).reshape(len(rows), len(_SCORES))
        with np.errstate(divide="ignore", invalid="ignore"):
            values[:, _LOGARITHMS] = np.log(values[:, _LOGARITHMS])
        return np.where(np.isfinite(values), values, np.nan)

    def _looked_up(self, genomes: GenomeMatrix) -> Array | None:
        if self._table is None:
            return None
        try:
            return self._table.values(genomes)
        except ShapeError:  # one of them makes no network
            return None

    def _scored(self, genome: Genome) -> list[float]:
        try:
            graph = self.space.decode(genome).lower()
            return [score(graph) for score in _SCORES]
        except AccelzooError:
            return [np.nan] * len(_SCORES)


def space_features(space: SearchSpace) -> SpaceFeatures | None:
    """Returns the features of a space's genomes, or None if its genomes do not decode to `accelzoo.arch.Arch`."""
    sizes, rng = tuple(space.sizes), draw.generator(0)
    for attempt in range(_PROBES):
        genome = random_genome(sizes, rng) if attempt else (0,) * len(sizes)
        try:
            return SpaceFeatures(space) if isinstance(space.decode(genome), Arch) else None
        except AccelzooError:
            continue
    return None
