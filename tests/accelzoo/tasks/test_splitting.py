"""Splits drawn from train: exact shares per class, whole groups, equal for equal seeds."""

from __future__ import annotations

import numpy as np
import pytest

from accelzoo.draw import below, generator
from accelzoo.tasks.splitting import carve


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_every_class_gives_its_share(fraction: float) -> None:
    labels = np.repeat(np.arange(4), [40, 8, 100, 2])
    kept, taken = carve(labels, fraction, generator(1))
    assert sorted([*kept, *taken]) == list(range(150))
    assert np.bincount(labels[taken], minlength=4).tolist() == [
        max(1, round(fraction * count)) for count in (40, 8, 100, 2)
    ]
    assert kept.tolist() == sorted(kept)
    assert taken.tolist() == sorted(taken)


def test_single_images_are_those_with_the_smallest_random_words() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0, 1] * 4)
    words = [int(generator(5).bit_generator.random_raw(40)[index]) for index in range(40)]
    expected = []
    for label in (0, 1):
        members = sorted((words[index], index) for index in range(40) if labels[index] == label)
        expected += [index for _, index in members[:6]]
    assert carve(labels, 0.3, generator(5))[1].tolist() == sorted(expected)


def test_a_class_with_one_image_stays_whole() -> None:
    kept, taken = carve(np.array([0, 0, 0, 0, 1]), 0.5, generator(0))
    assert 4 in kept
    assert len(taken) == 2


def test_extremes_take_nothing_or_all() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    assert carve(labels, 0.0, generator(0))[1].tolist() == []
    assert carve(labels, 1.0, generator(0))[0].tolist() == []
    assert carve(labels[:0], 0.5, generator(0))[1].tolist() == []


def test_groups_stay_whole_and_quotas_hold() -> None:
    rng = generator(9)
    for trial in range(30):
        labels = np.array([below(rng, 3) for _ in range(90)])
        groups = [below(rng, 25) for _ in range(90)]
        kept, taken = carve(labels, 0.3, generator(trial), groups)
        assert sorted([*kept, *taken]) == list(range(90))
        assert not {groups[index] for index in kept} & {groups[index] for index in taken}
        quota = [max(1, round(0.3 * count)) for count in np.bincount(labels, minlength=3)]
        counts = np.bincount(labels[taken], minlength=3)
        assert (counts >= 1).all()
        assert counts.sum() >= 0.5 * sum(quota)
        assert (counts <= np.array(quota) + 6).all()  # only the rescue of an empty class may exceed


def test_a_class_of_large_groups_gets_its_smallest_one() -> None:
    labels = np.array([0] * 20 + [1] * 20)
    groups = [0] * 8 + [1] * 7 + [2] * 5 + list(range(10, 30))
    kept, taken = carve(labels, 0.1, generator(0), groups)
    assert {groups[index] for index in taken if labels[index] == 0} == {2}
    assert (labels[taken] == 1).sum() == 2
    assert len(kept) == 40 - 5 - 2


def test_the_only_group_of_a_class_stays() -> None:
    kept, taken = carve(np.array([0] * 6 + [1] * 6), 0.3, generator(0), [*range(6), *["one"] * 6])
    assert set(range(6, 12)) <= set(kept.tolist())
    assert len(taken) == 2


def test_equal_seeds_draw_equal_splits() -> None:
    labels = np.arange(60) % 3
    groups = (np.arange(60) // 2).tolist()
    for keys in (None, groups):
        draws = [carve(labels, 0.3, generator(seed), keys)[1].tolist() for seed in (4, 4, 5)]
        assert draws[0] == draws[1] != draws[2]
