"""Genome matrices: checks, draws, mutations, and never the same twice."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import ShapeError
from accelzoo.search import genomes


def test_all_genomes_are_the_product_in_order_from_anywhere() -> None:
    sizes = (2, 1, 3)
    product = list(itertools.product(range(2), range(1), range(3)))
    assert list(genomes.all_genomes(sizes)) == product
    for turn, first in enumerate(product):
        assert list(genomes.all_genomes(sizes, first)) == product[turn:] + product[:turn]
    assert genomes.genome_count(sizes) == len(product)


def test_a_mutation_changes_one_position_and_reaches_every_neighbour_equally() -> None:
    sizes = (3, 1, 4)
    parent = (1, 0, 2)
    rng = draw.generator(0)
    children = Counter(genomes.mutated(parent, sizes, rng) for _ in range(6000))
    by_first = {(choice, 0, 2): 6000 / 2 / 2 for choice in (0, 2)}
    by_last = {(1, 0, choice): 6000 / 2 / 3 for choice in (0, 1, 3)}
    expected = {**by_first, **by_last}
    assert children.keys() == expected.keys()
    chi_squared = sum((children[child] - count) ** 2 / count for child, count in expected.items())
    assert chi_squared < 18.47  # 4 degrees of freedom, p = 0.001


def test_a_single_point_has_no_mutation() -> None:
    assert genomes.mutated((0, 0), (1, 1), draw.generator(0)) == (0, 0)


def test_unseen_hands_out_each_genome_once_whatever_is_proposed() -> None:
    sizes = (3, 4, 2)
    unseen = genomes.Unseen(sizes, draw.generator(3), tries=2)
    unseen.add((2, 3, 1))
    handed_out = [unseen.next(lambda: (0, 0, 0)) for _ in range(23)]
    assert set(handed_out) | {(2, 3, 1)} == set(itertools.product(range(3), range(4), range(2)))
    assert unseen.next(lambda: (0, 0, 0)) is None


def test_a_batch_becomes_pairs() -> None:
    pairs = genomes.checked_batch(np.array([[0, 2], [1, 0]]), np.array([0.5, -np.inf]), (2, 3))
    assert pairs == [((0, 2), 0.5), ((1, 0), -np.inf)]
    assert genomes.checked_batch(genomes.to_matrix([], 2), [], (2, 3)) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[0, 3]], "choice 3 at position 1 of genome (0, 3) must be in 0 … 2"),
        ([[-1, 0]], "choice -1 at position 0"),
        ([[0, 0, 0]], "shape (1, 3)"),
        ([0, 0], "shape (2,)"),
        ([[0.0, 1.0]], "float64"),
    ],
)
def test_what_is_no_genome_is_refused(rows: list[object], said: str) -> None:
    with pytest.raises(ShapeError) as caught:
        genomes.checked_matrix(np.array(rows), (2, 3))
    assert said in str(caught.value)


def test_sizes_need_a_choice_everywhere() -> None:
    assert genomes.checked_sizes([2, 3]) == (2, 3)
    for sizes in ((), (2, 0)):
        with pytest.raises(ShapeError, match="at least one"):
            genomes.checked_sizes(sizes)
