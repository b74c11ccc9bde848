"""Which knobs matter, against functions whose shares are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ShapeError
from accelzoo.search.importance import MINIMUM, TooFewError, importance

Genomes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
SIZES = (4, 3, 5, 2, 6, 1)


def every(sizes: Sequence[int]) -> Genomes:
    return np.array(list(itertools.product(*map(range, sizes))))


def drawn(sizes: Sequence[int], count: int, seed: int) -> Genomes:
    return every(sizes)[draw.sample(draw.generator(seed), range(int(np.prod(sizes))), count)]


def true_shares(sizes: Sequence[int], function: Callable[[Genomes], Values]) -> Values:
    """By definition: the variance of the conditional mean over the variance, over all genomes."""
    genomes = every(sizes)
    values = function(genomes)
    alone = [
        np.var([values[genomes[:, position] == choice].mean() for choice in range(size)])
        for position, size in enumerate(sizes)
    ]
    return np.array(alone) / values.var()


def additive(genomes: Genomes) -> Values:
    """Uneven steps, one position without any effect: the variance of each term is what its position explains."""
    return 3.0 * genomes[:, 0] - 2.0 * (genomes[:, 1] == 1) + np.sqrt(genomes[:, 2]) + 1.5 * genomes[:, 3]


def test_shares_of_a_sum_are_the_variances_of_its_terms() -> None:
    genomes = drawn(SIZES, 150, seed=1)
    found = importance(genomes, additive(genomes), SIZES)
    # Var of k · uniform{0 … n − 1} is k² (n² − 1) / 12; of a · Bernoulli(1/3) it is a² · 2/9.
    roots = np.sqrt(np.arange(5))
    terms = np.array([9 * 15 / 12, 4 * 2 / 9, roots.var(), 2.25 * 3 / 12, 0.0])
    assert found.shares[:5] == pytest.approx(terms / terms.sum(), abs=0.01)
    assert np.isnan(found.shares[5])  # with one choice there is nothing to tell
    assert found.ranked()[:4] == [0, 1, 3, 2]
    assert 5 not in found.ranked()
    assert found.explained > 0.99
    assert found.candidates == 150
    assert (found.deviations[:5] < 0.01).all()


def test_what_positions_do_together_belongs_to_none() -> None:
    sizes = (4, 4, 3, 3, 3)

    def function(genomes: Genomes) -> Values:
        corner = (genomes[:, 0] > 1) & (genomes[:, 1] > 1)
        return 4.0 * corner + 0.7 * genomes[:, 2]

    genomes = drawn(sizes, 300, seed=2)
    expected = true_shares(sizes, function)
    found = importance(genomes, function(genomes), sizes)
    assert expected.sum() < 0.8
    assert found.shares == pytest.approx(expected, abs=0.06)
    assert found.shares.sum() < 0.9
    assert found.explained > 0.9


def test_a_search_that_looks_in_one_corner_is_about_the_whole_space() -> None:
    genomes = drawn(SIZES, 500, seed=3)
    rng = draw.generator(40)
    kept = genomes[[draw.uniform(rng) < (0.9 if row[0] == 3 else 0.25) for row in genomes]]
    found = importance(kept, additive(kept), SIZES)
    assert found.shares[:5] == pytest.approx(true_shares(SIZES, additive)[:5], abs=0.02)


def test_noise_explains_nothing_and_says_so() -> None:
    rng = draw.generator(50)
    genomes = drawn(SIZES, 120, seed=5)
    found = importance(genomes, [draw.uniform(rng) for _ in genomes], SIZES)
    assert found.explained < 0.2
    assert found.deviations[:5].max() > 0.05


def test_fewer_candidates_are_less_certain() -> None:
    rng = draw.generator(60)
    genomes = drawn(SIZES, 600, seed=6)
    values = additive(genomes) + [4 * draw.uniform(rng) for _ in genomes]
    few, many = (importance(genomes[:count], values[:count], SIZES) for count in (MINIMUM, 600))
    assert few.deviations[0] > 2 * many.deviations[0]
    assert many.shares[0] == pytest.approx(true_shares(SIZES, additive)[0], abs=0.1)


def test_equal_calls_give_equal_shares() -> None:
    genomes = drawn(SIZES, 60, seed=7)
    one, two, other = (importance(genomes, additive(genomes), SIZES, seed=seed).shares for seed in (0, 0, 1))
    assert np.array_equal(one, two, equal_nan=True)
    assert not np.array_equal(one, other, equal_nan=True)


def test_too_few_candidates_are_refused() -> None:
    genomes = drawn(SIZES, MINIMUM - 1, seed=8)
    with pytest.raises(TooFewError, match=r"29 candidates are too few .* 30 are needed"):
        importance(genomes, additive(genomes), SIZES)
    genomes = drawn(SIZES, 40, seed=8)
    with pytest.raises(TooFewError, match="all 40 candidates have the same value"):
        importance(genomes, np.ones(40), SIZES)
    with pytest.raises(TooFewError, match="0 candidates"):
        importance(np.empty((0, 6), np.int64), [], SIZES)


def test_shapes_that_do_not_fit_are_refused() -> None:
    genomes = drawn(SIZES, 40, seed=9)
    with pytest.raises(ShapeError, match=r"values of shape \(39,\)"):
        importance(genomes, np.ones(39), SIZES)
    with pytest.raises(ShapeError, match="choice 3 at position 0"):
        importance(genomes, np.ones(40), (3, *SIZES[1:]))
