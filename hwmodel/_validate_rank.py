"""Correlations of ranks, ties counted exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Returns the product-moment correlation of the ranks, tied values sharing the mean of theirs.

    Source: Kendall, "Rank Correlation Methods", 4th ed., 1970, §1.8 and §3.8.

    Returns:
        −1 … 1; None for fewer than two pairs, or where all of either side are equal.
    """
    if len(x) < 2:
        return None
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return _bounded(float(a @ b) / spread) if spread else None


def kendall(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Returns tau-b: concordant less discordant pairs, over the geometric mean of the pairs untied on either side.

    Source: Kendall, "Rank Correlation Methods", 4th ed., 1970, §3.4.

    Returns:
        −1 … 1; None for fewer than two pairs, or where all of either side are equal.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    balance = untied_a = untied_b = 0
    for place in range(1, len(a)):
        first = np.sign(a[place] - a[:place]).astype(np.int64)
        second = np.sign(b[place] - b[:place]).astype(np.int64)
        balance += int(first @ second)
        untied_a += int(first @ first)
        untied_b += int(second @ second)
    if not untied_a or not untied_b:
        return None
    return _bounded(balance / (math.sqrt(untied_a) * math.sqrt(untied_b)))


def _ranks(values: Sequence[float]) -> Array:
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1) / 2)[place]
    return ranks


def _bounded(value: float) -> float:
    return max(-1.0, min(1.0, value))  # rounding must not make a correlation of more than one
