"""Softmax that is the same to the last bit on every machine: additions, products and powers of two only."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_LN2_HIGH = float.fromhex("0x1.62e42ffp-1")  # ln 2 to 32 bits, so that small multiples of it are exact
_LN2_LOW = -4.2009150726810846e-11  # and the rest
_TERMS = [1 / math.factorial(power) for power in range(14, -1, -1)]


def exponential(exponents: Matrix) -> Matrix:
    """Returns e to the power of numbers that are not positive; 0 below −700.

    The C library's and numpy's own differ in the last bit between machines, and a search that draws from
    probabilities would go another way there. Reduced to |r| ≤ ln 2 / 2, where 14 terms of the series leave 10⁻¹⁹.
    """
    bounded = np.maximum(exponents, -700.0)
    twos = np.rint(bounded * (1 / (_LN2_HIGH + _LN2_LOW)))
    rest = (bounded - twos * _LN2_HIGH) - twos * _LN2_LOW
    series = np.full_like(rest, _TERMS[0])
    for term in _TERMS[1:]:
        series = series * rest + term
    return np.where(exponents < -700.0, 0.0, np.ldexp(series, twos.astype(np.int32)))


def softmax(logits: Matrix) -> Matrix:
    """Returns the probabilities of each row's logits; a logit of −inf has none. Float64 `(rows, columns)`."""
    powers = exponential(logits - logits.max(axis=1, keepdims=True))
    return powers / row_sums(powers)[:, None]


def row_sums(matrix: Matrix) -> Matrix:
    """Adds each row from left to right, the order that `sum` does not promise: float64 `(rows,)`."""
    return np.cumsum(matrix, axis=1)[:, -1]
