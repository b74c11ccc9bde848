"""Random draws that are the same on every machine and numpy version: raw generator bits only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_WORD_BITS = 64
_MANTISSA_BITS = 53


def generator(*entropy: int) -> np.random.Generator:
    """Returns a PCG64 generator seeded by one or more non-negative integers (seed, stream, index …)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(entropy))))


def below(rng: np.random.Generator, bound: int) -> int:
    """Draws an integer from 0 … bound − 1 (multiply-shift; bias below bound / 2⁶⁴).

    Raises:
        ValueError: If `bound` is not positive.
    """
    if bound <= 0:
        raise ValueError(f"bound (={bound}) must be positive")
    return (_raw(rng) * bound) >> _WORD_BITS


def uniform(rng: np.random.Generator) -> float:
    """Draws a float64 from [0, 1) with 53 random bits."""
    return (_raw(rng) >> (_WORD_BITS - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)


def permutation(rng: np.random.Generator, count: int) -> list[int]:
    """Draws a uniformly random ordering of 0 … count − 1 (Fisher–Yates)."""
    return sample(rng, range(count), count)


def sample(rng: np.random.Generator, items: Sequence[T], count: int) -> list[T]:
    """Draws `count` different items, in random order (partial Fisher–Yates).

    Raises:
        ValueError: If there are fewer than `count` items.
    """
    if count > len(items):
        raise ValueError(f"count (={count}) exceeds the number of items ({len(items)})")
    pool = list(items)
    for index in range(count):
        other = index + below(rng, len(pool) - index)
        pool[index], pool[other] = pool[other], pool[index]
    return pool[:count]


def _raw(rng: np.random.Generator) -> int:
    return int(rng.bit_generator.random_raw())
