"""Seconds of networks from whatever tells them: an oracle, a target, or any function of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from accelzoo.arch import Arch
from accelzoo.errors import DataError
from accelzoo.hwmodel import Target, estimate
from accelzoo.hwmodel.oracles import BatchOracle, Oracle, OracleError
from accelzoo.search.width.space import WidthSpace


@runtime_checkable
class GenomeTimer(Protocol):
    """Tells the seconds of one space's networks as it likes, such as from what it measured before."""

    def measured_s(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the seconds of one inference at batch 1 of each network, `(n,)`."""


Timer = Oracle | Target | GenomeTimer | Callable[[Arch], float]
"""An oracle, a target (its estimate), what knows genomes, or a function from an architecture to seconds."""


def time_genomes(space: WidthSpace, genomes: npt.ArrayLike, timer: Timer) -> npt.NDArray[np.float64]:
    """Times networks of a space.

    Args:
        space: The widths.
        genomes: int64 `(n, groups)`.
        timer: What tells the seconds.

    Returns:
        Seconds of one inference at batch 1, `(n,)`.

    Raises:
        OracleError: If the oracle fails on a network.
        UnsupportedOperatorError: If the target cannot run an operator.
        DataError: If a function's answer is no positive finite number.
    """
    if isinstance(timer, GenomeTimer):
        return np.array([_seconds(value) for value in timer.measured_s(genomes)])
    archs = [space.decode(tuple(genome)) for genome in np.asarray(genomes).tolist()]
    if isinstance(timer, Target):
        return np.array([estimate(arch.lower(), timer, strict=True).latency_s for arch in archs])
    if isinstance(timer, BatchOracle):
        return np.array(_batches(timer, archs))
    if isinstance(timer, Oracle):
        return np.array([timer.measure(arch.lower()).latency_s for arch in archs])
    return np.array([_seconds(timer(arch)) for arch in archs])


def _batches(oracle: BatchOracle, archs: Sequence[Arch]) -> list[float]:
    seconds = []
    size = max(1, oracle.batch_size)
    for start in range(0, len(archs), size):
        for found in oracle.measure_many([arch.lower() for arch in archs[start : start + size]]):
            if isinstance(found, OracleError):
                raise found
            seconds.append(found.latency_s)
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 < value < np.inf:
        raise DataError(f"a timing of {value!r} s: it must be a positive finite number")
    return float(value)
