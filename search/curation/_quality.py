"""How good a genome is meant to be, and the sum over parts that comes closest to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError
from accelzoo.knobs import Space
from accelzoo.search.curation._contexts import Drawer
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.exact import AdditiveTable, Layer
from accelzoo.search.scores import ScoreTable
from accelzoo.search.space import GenomeMatrix

Floats = npt.NDArray[np.float64]
Judge = Callable[[GenomeMatrix], Floats]
"""Genomes `(n, positions)` → how good each is `(n,)`, higher is better."""
Quality: TypeAlias = str | Judge
COLUMN = "quality"
DEFAULT = "trainability"
BASES = 4
CHECKED = 256
LEVELS = 4096


def judge(space: Space, quality: Quality) -> Judge:
    """Returns what judges genomes: a closed-form score by its name, or what was given.

    Raises:
        ConfigError: If the score is unknown or has no closed form.
        ShapeError: If the space's architectures cannot be scored by look-up (detectors and the like).
    """
    if not isinstance(quality, str):
        return quality
    table = ScoreTable(space, (quality,))
    return lambda genomes: np.ascontiguousarray(table.values(genomes)[:, 0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """An additive problem with a quality column.

    Attributes:
        table: The problem.
        explained: Share of the variance of the quality among random genomes that the sum over parts explains (R²).
    """

    table: AdditiveTable
    explained: float


def with_quality(table: AdditiveTable, of: Judge, drawer: Drawer, wishes: Kept) -> Fitted:
    """Adds a quality column: for each setting of a part the mean change it makes in a few random genomes.

    These main effects are the least-squares sum over parts if parts do not interact, and exact for a quality that is
    such a sum. They are rounded to 1/4096 of the range of their sums, which bounds the number of points of a front.

    Args:
        table: The problem.
        of: Judges genomes.
        drawer: Draws genomes.
        wishes: The values to draw among.
    """
    bases = np.array(drawer.genomes(wishes, BASES), np.int64)
    found = [_effects(layer, of, bases) for layer in table.layers]
    span = sum(float(np.ptp(effects)) for effects in found)
    step = span / LEVELS if span else 1.0
    layers = [
        replace(layer, values=np.column_stack([layer.values, np.round(effects / step) * step]))
        for layer, effects in zip(table.layers, found, strict=True)
    ]
    better = table.higher_is_better | {COLUMN}
    made = replace(table, columns=(*table.columns, COLUMN), layers=tuple(layers), higher_is_better=better)
    return Fitted(table=made, explained=_explained(made, of, np.array(drawer.genomes(wishes, CHECKED), np.int64)))


def _effects(layer: Layer, of: Judge, bases: GenomeMatrix) -> Floats:
    """Mean change that each arc's setting of the layer's positions makes, `(arcs,)`."""
    settings, places = np.unique(layer.choices, axis=0, return_inverse=True)
    total = np.zeros(len(settings))
    for base in bases:
        genomes = np.repeat(base[None], len(settings), axis=0)
        genomes[:, list(layer.positions)] = settings
        total += of(genomes) - of(base[None])[0]
    return total[places.reshape(-1)] / len(bases)


def _explained(table: AdditiveTable, of: Judge, genomes: GenomeMatrix) -> float:
    try:
        sums = table.totals(genomes)[:, table.columns.index(COLUMN)]
    except ShapeError:
        return math.nan  # some of them cannot be run
    true = of(genomes)
    variance = float(true.var())
    return 1.0 if not variance else 1 - float((true - sums).var()) / variance
