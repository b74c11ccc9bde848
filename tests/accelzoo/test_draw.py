"""Draws come from raw generator bits alone and are what they were on every other machine."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from accelzoo import draw


def test_draws_by_hand_from_raw_bits() -> None:
    raw = np.random.PCG64(np.random.SeedSequence([3, 1])).random_raw(2)
    rng = draw.generator(3, 1)
    assert draw.below(rng, 10) == int(raw[0]) * 10 // 2**64
    assert draw.uniform(rng) == (int(raw[1]) // 2**11) / 2**53


def test_draws_are_uniform() -> None:
    rng = draw.generator(0)
    counts = Counter(draw.below(rng, 6) for _ in range(6000))
    assert sorted(counts) == list(range(6))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # χ², 5 degrees of freedom, p = 0.001
    orders = Counter(tuple(draw.permutation(rng, 3)) for _ in range(6000))
    assert set(orders) == set(permutations(range(3)))
    assert sum((count - 1000) ** 2 / 1000 for count in orders.values()) < 20.5
    assert 0.48 < np.mean([draw.uniform(rng) for _ in range(2000)]) < 0.52


def test_samples_do_not_repeat() -> None:
    rng = draw.generator(5)
    for count in range(5):
        drawn = draw.sample(rng, "abcd", count)
        assert len(set(drawn)) == count
        assert set(drawn) <= set("abcd")


def test_streams_differ_and_repeat() -> None:
    streams = [[draw.below(draw.generator(*entropy), 1 << 60)] for entropy in ((0,), (1,), (0, 1), (0,))]
    assert streams[0] == streams[3]
    assert len({stream[0] for stream in streams}) == 3


def test_impossible_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bound \(=0\) must be positive"):
        draw.below(draw.generator(0), 0)
    with pytest.raises(ValueError, match=r"count \(=3\) exceeds"):
        draw.sample(draw.generator(0), [1, 2], 3)
