"""The zero-cost filter: what it sees, what it keeps, that it is within budget, and what it says when nothing is."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import BudgetError, ConfigError, DataError, ShapeError
from accelzoo.hwmodel import load_target
from accelzoo.knobs import Space, choice
from accelzoo.registry import get_space
from accelzoo.search import COST_FIELDS, TargetCosts
from accelzoo.search.canonical import CanonicalTable, first_of_each, packed
from accelzoo.search.genomes import random_genome
from accelzoo.search.scores import linear_regions, rank_combination, trainability
from accelzoo.search.shortlist import Shortlist, select, settings_of, shortlist
from accelzoo.search.shortlist_progress import ShortlistLine
from tests.search.toy import ToySpace

COSTS = TargetCosts(load_target("camera-npu"))
SPACE = Space(
    "small",
    {
        "input_size": choice([3, 12, 12], [3, 16, 16]),
        "stem": {"out_channels": choice(8, 16), "stride": 2},
        "stages": [
            {
                "kind": choice("ibn", "conv_bn_act"),
                "kernel_size": choice(3, 5),
                "expansion_ratio": choice(1, 2, 4),
                "out_channels": choice(8, 16, 24),
                "repeats": choice(1, 2),
            },
            {"kind": "ibn", "stride": 2, "expansion_ratio": choice(2, 6), "out_channels": choice(16, 32)},
        ],
        "head": {"kind": "classification", "num_classes": 5, "hidden_channels": choice(None, 32)},
    },
)


def everything() -> dict[str, tuple[tuple[int, ...], Any, Any]]:
    """Digest → the canonical genome, the architecture, its cost: one by one."""
    found = {}
    for genome in itertools.product(*(range(size) for size in SPACE.sizes)):
        if SPACE.canonical(genome) == genome:
            arch = SPACE.decode(genome)
            found[arch.digest()] = (genome, arch, COSTS(arch))
    return found


ALL = everything()
LATENCIES = sorted(cost.latency_s for _, _, cost in ALL.values())
MIDDLE = {"latency_s": LATENCIES[len(LATENCIES) // 2], "weight_bytes": 6000}


def test_a_small_space_is_looked_at_as_a_whole() -> None:
    made = shortlist(SPACE, costs=COSTS, budgets=MIDDLE, keep=10**6)
    expected = [
        (genome, arch, cost)
        for genome, arch, cost in ALL.values()
        if all(getattr(cost, name) <= maximum for name, maximum in MIDDLE.items())
    ]
    assert 10 < len(expected) < len(ALL)
    assert made.seen == math.prod(SPACE.sizes)
    assert made.feasible == len(made) == len(expected)
    assert sorted(map(tuple, made.genomes.tolist())) == sorted(genome for genome, _, _ in expected)
    # Scores and prices are those of the architectures, worked out one by one.
    names = {"trainability": trainability, "linear_regions": linear_regions}
    combined = rank_combination({name: [score(arch) for _, arch, _ in expected] for name, score in names.items()})
    wanted = {genome: value for (genome, _, _), value in zip(expected, combined.tolist(), strict=True)}
    costs = {genome: [getattr(cost, name) for name in COST_FIELDS] for genome, _, cost in expected}
    for genome, score, price in zip(made.genomes.tolist(), made.scores.tolist(), made.prices.tolist(), strict=True):
        # Sums in another order differ in the last bit, which parts a few equal scores: by a rank or two.
        assert score == pytest.approx(wanted[tuple(genome)], abs=4 / len(expected))
        assert price == costs[tuple(genome)]
    assert (np.diff(made.scores) <= 0).all()


def test_what_is_drawn_is_feasible_distinct_and_seeded() -> None:
    settings: dict[str, Any] = {"costs": COSTS, "budgets": MIDDLE, "draw": 300, "keep": 24}
    one, again, other = (shortlist(SPACE, seed=seed, **settings) for seed in (3, 3, 4))
    assert one.digest() == again.digest() != other.digest()
    assert (one.seen, len(one)) == (300, 24)
    archs = [SPACE.decode(genome) for genome in one.genomes.tolist()]
    assert len({arch.digest() for arch in archs}) == 24
    assert [SPACE.canonical(genome) for genome in one.genomes.tolist()] == list(map(tuple, one.genomes.tolist()))
    for arch, price in zip(archs, one.prices.tolist(), strict=True):
        cost = COSTS(arch)
        assert price == [getattr(cost, name) for name in COST_FIELDS]
        assert all(getattr(cost, name) <= maximum for name, maximum in MIDDLE.items())
    # It spans the front: from the cheapest to the best score of all that were within budget.
    full = shortlist(SPACE, seed=3, **{**settings, "keep": one.feasible})
    assert len(full) == full.feasible == one.feasible > 24
    latency = COST_FIELDS.index("latency_s")
    assert one.prices[:, latency].min() == full.prices[:, latency].min()
    assert one.genomes[0].tolist() == full.genomes[0].tolist()


def test_a_rare_feasible_region_is_grown_into() -> None:
    """Of thousands, hardly any random genome is as small as this; their neighbours are."""
    space = get_space("camera")
    budgets = {"weight_bytes": 7000.0}
    made = shortlist(space, costs=COSTS, budgets=budgets, draw=300, keep=40)
    assert len(made) == 40
    assert (made.prices[:, COST_FIELDS.index("weight_bytes")] <= 7000).all()


def test_when_nothing_is_within_budget_the_least_is_named() -> None:
    least = min(cost.weight_bytes for _, _, cost in ALL.values())
    with pytest.raises(BudgetError, match=rf"weight_bytes: budget 100, smallest {least:.1f}"):
        shortlist(SPACE, costs=COSTS, budgets={"weight_bytes": 100})
    assert LATENCIES[0] not in {cost.latency_s for _, _, cost in ALL.values() if cost.weight_bytes == least}
    slim = {"latency_s": LATENCIES[0] * (1 + 1e-9), "weight_bytes": least * (1 + 1e-9)}
    with pytest.raises(BudgetError, match="each budget can be met alone, but not together"):
        shortlist(SPACE, costs=COSTS, budgets=slim)


def test_in_a_sampled_space_the_least_is_exact_too() -> None:
    least = min(cost.weight_bytes for _, _, cost in ALL.values())
    with pytest.raises(BudgetError, match=rf"smallest {least}"):
        shortlist(SPACE, costs=COSTS, budgets={"weight_bytes": 100}, draw=5)


def test_without_costs_only_scores_count() -> None:
    made = shortlist(SPACE, keep=7, scores=("linear_regions",))
    best = sorted((linear_regions(arch) for _, arch, _ in ALL.values()), reverse=True)[:7]
    found = [linear_regions(SPACE.decode(genome)) for genome in made.genomes.tolist()]
    assert found == pytest.approx(best)
    assert made.prices.shape == (7, 0)


def test_select_takes_fronts_then_the_lonely() -> None:
    #                   front 0 ─────────────────  front 1 ─────  dominated by both
    points = np.array([[1.0, 9], [0.6, 4], [0.2, 1], [0.9, 9], [0.1, 4], [0.05, 9]])
    scores, prices = points[:, 0], points[:, 1:]
    assert select(scores, prices, 3).tolist() == [0, 1, 2]
    assert select(scores, prices, 5).tolist() == [0, 3, 1, 2, 4]
    # Of one front, the ends and then whoever has the widest gap around.
    front = np.array([[0.0, 0], [1.0, 1], [1.5, 1.5], [2.0, 2], [5.0, 5], [10.0, 10]])
    assert select(front[:, 0], front[:, 1:], 3).tolist() == [5, 4, 0]
    assert select(np.array([0.5, 0.7, 0.7]), np.empty((3, 0)), 2).tolist() == [1, 2]


def test_it_is_kept_as_json_and_a_change_shows() -> None:
    made = shortlist(SPACE, costs=COSTS, keep=5)
    data = json.loads(json.dumps(made.to_json()))
    read = Shortlist.from_json(data)
    assert read.digest() == made.digest() == data["digest"]
    assert read.prices.tolist() == made.prices.tolist()
    assert read.settings == settings_of(SPACE, costs=COSTS, keep=5)
    assert made.summary().endswith("different architectures within budget, 5 kept")
    data["genomes"][0][0] ^= 1
    with pytest.raises(DataError, match="the shortlist was changed"):
        Shortlist.from_json(data)
    with pytest.raises(DataError, match="not a shortlist"):
        Shortlist.from_json({"genomes": []})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"draw": 0}, r"draw \(=0\)"),
        ({"keep": 0}, r"keep \(=0\)"),
        ({"minimise": ("latency",)}, "did you mean 'latency_s'"),
        ({"costs": None, "budgets": MIDDLE}, "need costs"),
        ({"scores": ("synflow",)}, "no sum over operators"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        shortlist(SPACE, **{"costs": COSTS, **settings})


def test_a_space_that_cannot_be_looked_up_says_so() -> None:
    with pytest.raises(ShapeError, match="knobs"):
        shortlist(ToySpace())


def test_the_line_shows_what_happens() -> None:
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), width=120, force_terminal=True)
    with ShortlistLine(1000, True, console) as line:
        line.update(seen=1000, feasible=71, kept=32, final=True)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1000/1000" in shown
    assert "71 within budget" in shown
    assert "32 kept" in shown


@pytest.mark.parametrize("name", ["camera", "mobiledet_cpu", "mobilenetv4_conv_small", "ofa_mobilenetv3"])
def test_canonical_genomes_at_once_are_those_one_by_one(name: str) -> None:
    space = get_space(name)
    rng = draw.generator(5)
    genomes = np.array([random_genome(space.sizes, rng) for _ in range(150)])
    table = CanonicalTable(space)
    assert table(genomes).tolist() == [list(space.canonical(genome)) for genome in genomes.tolist()]
    assert table.by_parts


def test_a_space_without_paths_is_asked_for_each_genome() -> None:
    space = ToySpace(alias=True)
    genomes = np.array(list(space.all()))
    table = CanonicalTable(space)
    assert table(genomes).tolist() == [list(space.canonical(tuple(genome))) for genome in genomes.tolist()]


@pytest.mark.parametrize("sizes", [(3, 1, 4), (300, 2, 70_000), (256,) * 20])
def test_packed_genomes_are_equal_only_if_the_genomes_are(sizes: tuple[int, ...]) -> None:
    rng = draw.generator(1)
    drawn = [random_genome(sizes, rng) for _ in range(40)]
    genomes = [*drawn, *drawn[::-1], tuple(size - 1 for size in sizes), (0,) * len(sizes)]
    first = first_of_each(packed(np.array(genomes), sizes)).tolist()
    expected = sorted(genomes.index(genome) for genome in set(genomes))
    assert first == expected
