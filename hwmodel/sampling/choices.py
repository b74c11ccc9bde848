"""Draws that sampling is made of; whole numbers only, so that equal seeds give equal graphs on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from accelzoo import draw

T = TypeVar("T")
Rng = np.random.Generator


def choose(rng: Rng, items: Sequence[T]) -> T:
    """Draws one of `items`, all alike."""
    return items[draw.below(rng, len(items))]


def weighted(rng: Rng, weights: Mapping[T, int]) -> T:
    """Draws a key with a chance in proportion to its weight."""
    left = draw.below(rng, sum(weights.values()))
    for item, weight in weights.items():
        left -= weight
        if left < 0:
            return item
    raise AssertionError("unreachable: the draw is below the sum of the weights")


def chance(rng: Rng, percent: int) -> bool:
    """Draws true in `percent` of 100 cases."""
    return draw.below(rng, 100) < percent


def between(rng: Rng, low: int, high: int) -> int:
    """Draws from low … high, all alike."""
    return low + draw.below(rng, high - low + 1)


def log_between(rng: Rng, low: int, high: int) -> int:
    """Draws from low … high, each octave alike and all numbers of an octave alike; a cut last octave weighs less."""
    octaves = [(low << shift, min(high, (low << (shift + 1)) - 1)) for shift in range((high // low).bit_length())]
    # The weight of an octave is the part of it that is left, in thousandths; only the last may be cut.
    weights = {octave: max(1, 1000 * (octave[1] - octave[0] + 1) // octave[0]) for octave in octaves}
    return between(rng, *weighted(rng, weights))


def aligned(count: int, divisor: int) -> int:
    """Returns the multiple of `divisor` nearest to `count`, at least one."""
    return max(1, (count + divisor // 2) // divisor) * divisor


DIVISORS = {1: 20, 4: 5, 8: 35, 16: 20, 32: 20}
"""What widths are multiples of, with weights: a fifth of them ragged."""


def channels(rng: Rng, low: int, high: int) -> int:
    """Draws a number of channels, log-uniform, aligned or ragged."""
    return aligned(log_between(rng, low, high), weighted(rng, DIVISORS))


KERNELS = {3: 60, 5: 28, 7: 12}
ACTIVATIONS = {"relu": 30, "relu6": 25, "hard_swish": 25, "silu": 20}
EXPANSIONS = {1: 8, 2: 14, 3: 16, 4: 24, 5: 6, 6: 24, 8: 8}
