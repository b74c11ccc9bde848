"""Combining scores without a common unit: by the mean of their ranks within a population."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError

DEFAULT_COMBINATION = ("trainability", "linear_regions")
"""The scores of the default combination: capacity to be trained and to express; how chosen: benchmarks/zero_cost.md."""


def rank_combination(values: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Combines the scores of a population.

    Args:
        values: Score's name → float `(n,)`, one value per network, higher is better. NaN and infinities, the mark of
            failed candidates, rank below everything.

    Returns:
        float64 `(n,)`: the mean over the scores of the network's rank, from 0 (worst) to 1 (best); equal values share
        the mean of their ranks.

    Raises:
        ShapeError: If there is no score, or the columns have different lengths.
    """
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in values.items()}
    shapes = {name: column.shape for name, column in columns.items()}
    if not columns or len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ShapeError(f"a combination needs one or more columns of one length, got {shapes}")
    ranks = [_ranks(column) for column in columns.values()]
    combined: npt.NDArray[np.float64] = np.mean(ranks, axis=0)
    return combined


def _ranks(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = np.where(np.isfinite(column), column, -np.inf)
    _, groups, counts = np.unique(known, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts + 1) / 2
    ranks: npt.NDArray[np.float64] = mean_rank[groups] / max(1, len(column) - 1)
    return ranks
