"""Measurements as a table for regressors: a described subgraph a row, with the seconds that a tool told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.features import CLASSES, Matrix, class_of, describe
from accelzoo.hwmodel.measurement import Measurement
from accelzoo.hwmodel.subgraph import Subgraph
from accelzoo.hwmodel.target import Target

COMPONENTS = ("compute_s", "sram_s", "dram_s")
"""Names under which rows of measurements tell what a subgraph's time is made of, if the tool knows."""


class Table(NamedTuple):
    """Described subgraphs of many graphs with their measured times."""

    raw: Matrix  # (n, fields)
    seconds: Matrix  # (n, 1 + components): in all, and of each component; NaN where not measured
    sample: npt.NDArray[np.int64]  # (n,): which measurement


def free_kinds(samples: Sequence[Measurement], cuts: Sequence[list[Subgraph]]) -> frozenset[str]:
    """Returns the kinds of operators that hardly any row covers: the tool runs them as part of their neighbours."""
    seen: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    for sample, pieces in zip(samples, cuts, strict=True):
        if not sample.rows:
            continue
        covered = {index for row in sample.rows for index in row.ops}
        for piece in pieces:
            kind = sample.graph.ops[piece.anchor].kind
            seen[kind] += 1
            silent[kind] += not covered & set(piece.ops)
    return frozenset(kind for kind, count in seen.items() if silent[kind] > 0.9 * count)


def make_table(samples: Sequence[Measurement], cuts: Sequence[list[Subgraph]], free: frozenset[str]) -> Table:
    """Describes and labels every subgraph but those of `free` kinds."""
    raws, seconds, owners = [], [], []
    for number, (sample, pieces) in enumerate(zip(samples, cuts, strict=True)):
        timed = [place for place, piece in enumerate(pieces) if sample.graph.ops[piece.anchor].kind not in free]
        if not timed:
            continue
        raws.append(describe(sample.graph, pieces)[timed])
        seconds.append(_labels(sample, [pieces[place] for place in timed]))
        owners.append(np.full(len(timed), number))
    return Table(np.concatenate(raws), np.concatenate(seconds), np.concatenate(owners))


def _labels(sample: Measurement, pieces: Sequence[Subgraph]) -> Matrix:
    """Returns seconds in all and of each component; NaN for a subgraph that shares its row with another."""
    labels = np.full((len(pieces), 1 + len(COMPONENTS)), np.nan)
    if not sample.rows:
        if len(pieces) == 1:
            labels[0, 0] = sample.latency_s
        return labels
    place_of = {index: place for place, piece in enumerate(pieces) for index in piece.ops}
    shared: set[int] = set()
    for row in sample.rows:
        places = sorted({place_of[index] for index in row.ops if index in place_of})
        if len(places) > 1:
            shared.update(places)
        if not places:
            continue
        parts = dict(row.extra)
        values = [row.latency_s, *(parts.get(name, np.nan) for name in COMPONENTS)]
        labels[places[0]] = np.nan_to_num(labels[places[0]], nan=0.0) + np.array(values)
    labels[sorted(shared)] = np.nan
    return labels


def energy_factors(samples: Sequence[Measurement], cuts: Sequence[list[Subgraph]], prior: Target) -> Matrix | None:
    """Returns measured over analytic joules for each class of work; None if no row tells its energy.

    A class that no row tells of gets the factor of all together.
    """
    sums = np.zeros((len(CLASSES), 2))
    for sample, pieces in zip(samples, cuts, strict=True):
        told = [row for row in sample.rows if row.energy_j is not None]
        if not told:
            continue
        analytic = estimate(sample.graph, prior).by_op
        number_of = dict(zip([piece.anchor for piece in pieces], class_of(describe(sample.graph, pieces)), strict=True))
        for row in told:
            number = next((number_of[index] for index in row.ops if index in number_of), None)
            if number is not None:
                sums[number] += row.energy_j, sum(analytic[index].energy_j for index in row.ops)
    if not sums.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = sums[:, 0] / sums[:, 1]
    return np.where(np.isfinite(factors), factors, sums[:, 0].sum() / sums[:, 1].sum())
