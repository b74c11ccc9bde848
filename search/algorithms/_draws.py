"""Many draws at once, from raw generator bits only: the same on every machine and numpy version."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_HALF_BITS = 32
_QUARTER_BITS = 16


def halves(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint32]:
    """Draws `count` uniform 32-bit integers, two from each raw word, the lower half first: uint32 `(count,)`."""
    return _words(rng, (count + 1) // 2).view("<u4")[:count]


def below(rng: np.random.Generator, bounds: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Draws integers from 0 … bound − 1 (multiply-shift; bias below bound / 2³²): int64 `(count,)`.

    Args:
        rng: The source of randomness.
        bounds: One bound for all, or `(count,)`; each from 1 to 2³¹.
        count: How many.
    """
    return (halves(rng, count) * np.asarray(bounds, np.int64)) >> _HALF_BITS


def hits(rng: np.random.Generator, probability: float, count: int) -> npt.NDArray[np.bool_]:
    """Draws `count` events, four from each raw word: a probability counts in steps of 2⁻¹⁶, and for at least one."""
    threshold = max(1, round(probability * (1 << _QUARTER_BITS)))
    if threshold >> _QUARTER_BITS:
        return np.ones(count, np.bool_)
    return _words(rng, (count + 3) // 4).view("<u2")[:count] < np.uint16(threshold)


def uniforms(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Draws `count` numbers from [0, 1) with 53 random bits each: float64 `(count,)`."""
    return (_words(rng, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def coins(rng: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Tosses fair coins, 64 from each raw word: zeros and ones, uint8 `(rows, columns)`."""
    words = -(-columns // 64)
    tossed = _words(rng, rows * words).view(np.uint8).reshape(rows, 8 * words)
    return np.unpackbits(tossed, axis=1, count=columns, bitorder="little")


def _words(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    return np.asarray(rng.bit_generator.random_raw(count), "<u8")
