"""Trials and picks, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.recipes.product.choosing import Contender, choose, trial_candidates
from tests.recipes.product.tiny_detector import baseline


def contenders(*milliseconds: float) -> list[Contender]:
    arch: Arch = baseline()
    return [
        Contender(arch=arch, signal=0.0, latency_s=latency * 1e-3, genome=(index,), index=index)
        for index, latency in enumerate(milliseconds)
    ]


def milliseconds(chosen: Sequence[Contender]) -> list[float]:
    return [round(one.latency_s * 1e3, 6) for one in chosen]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [1]),
        (2, [9, 1]),
        (3, [9, 6, 1]),  # 5 is wanted in the middle, and 6 and 3 are there
        (4, [9, 6, 3, 1]),  # wanted: 1, 3.67, 6.33, 9
        (5, [9, 8.5, 6, 3, 1]),
        (20, [9, 8.8, 8.5, 6, 3, 1]),
    ],
)
def test_trials_are_spread_over_latency_with_the_fastest_among_them(count: int, expected: list[float]) -> None:
    front = contenders(6, 1, 8.8, 3, 9, 8.5)
    assert milliseconds(trial_candidates(front, count)) == expected


def test_trials_of_equally_fast_networks_are_different_ones() -> None:
    chosen = trial_candidates(contenders(2, 2, 2, 2), 3)
    assert [one.index for one in chosen] == [0, 1, 2]
    assert trial_candidates([], 3) == ()


def test_one_name_stands_for_the_fastest_that_qualifies() -> None:
    tried = contenders(4, 3, 2, 1)
    picks = choose(tried, [0.52, 0.50, 0.475, 0.46], 0.5, 0.05, ["lean"])
    assert picks.named == {"lean": tried[2]}  # 0.475 = 0.95 × 0.5 is just enough
    assert picks.facts == {"least_trial": 0.475, "reached_by": 3, "filled_up": []}


def test_several_names_are_spread_over_those_that_qualify_the_fastest_last() -> None:
    tried = contenders(8, 7.5, 5, 2, 1)
    picks = choose(tried, [0.5, 0.6, 0.5, 0.5, 0.1], 0.5, 0.0, ["best", "middle", "fast"])
    assert list(picks.named) == ["best", "middle", "fast"]
    assert milliseconds(list(picks.named.values())) == [8, 5, 2]
    assert picks.facts["filled_up"] == []


def test_the_most_accurate_others_fill_up_and_are_named() -> None:
    tried = contenders(4, 3, 2, 1)
    picks = choose(tried, [0.30, 0.5, math.nan, 0.35], 0.5, 0.05, ["best", "middle", "fast"])
    assert milliseconds(list(picks.named.values())) == [4, 3, 1]
    assert picks.facts == {"least_trial": 0.475, "reached_by": 1, "filled_up": ["best", "fast"]}
    picks = choose(tried, [math.nan, 0.1, 0.2, 0.2], 0.5, 0.05, ["fast"])
    assert milliseconds(list(picks.named.values())) == [1]  # of equally accurate ones the faster
    assert picks.facts["filled_up"] == ["fast"]


def test_a_failed_training_never_qualifies() -> None:
    picks = choose(contenders(2, 1), [0.0, math.nan], 0.0, 0.05, ["fast"])
    assert milliseconds(list(picks.named.values())) == [2]


def test_more_picks_than_networks_are_refused() -> None:
    with pytest.raises(AccelzooError, match=r"2 picks \(best, fast\) from 1 networks"):
        choose(contenders(1), [0.5], 0.5, 0.05, ["best", "fast"])
