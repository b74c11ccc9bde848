"""The cost table: equal bit for bit to the estimate of the decoded architecture, whatever the space."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import get_space
from accelzoo.errors import ShapeError
from accelzoo.hwmodel import Cost, Graph, Target, estimate, list_targets, load_target
from accelzoo.hwmodel.learned import register
from accelzoo.hwmodel.table import CostTable, CostTableError
from accelzoo.knobs import Space, choice
from tests.hwmodel.networks import TOY
from tests.hwmodel.table_spaces import (
    Cascading,
    FakeKnob,
    HandMade,
    Looking,
    chain,
    far_sighted,
    layered_space,
    neighbourly,
    random_space,
    small_space,
    stage_knobs,
)

Genomes = npt.NDArray[np.int64]


def every(sizes: Sequence[int]) -> Genomes:
    return np.array(list(itertools.product(*map(range, sizes))))


def some(sizes: Sequence[int], count: int, seed: int = 0) -> Genomes:
    return np.random.default_rng(seed).integers(0, sizes, (count, len(sizes)))


def by_estimate(space: Any, target: Target, genomes: Genomes, estimator: Any = estimate) -> tuple[bytes, list[int]]:
    costs = [estimator(space.decode(genome).lower(), target) for genome in genomes.tolist()]
    values = np.array([[getattr(cost, name) for name in Cost.fields()] for cost in costs], np.float64)
    return values.tobytes(), [len(cost.unpriced) for cost in costs]


def check(table: CostTable, genomes: Genomes, estimator: Any = estimate) -> None:
    """Prices in an order that mixes the space, and once more when everything is known."""
    values, unpriced = by_estimate(table.space, table.target, genomes, estimator)
    order = np.random.default_rng(1).permutation(len(genomes))
    shuffled = table.price(genomes[order])
    assert shuffled.dtype == np.float64
    assert shuffled.shape == (len(genomes), len(table.fields))
    assert shuffled[np.argsort(order)].tobytes() == values
    assert table.price(genomes).tobytes() == values
    assert table.unpriced(genomes).tolist() == unpriced


def looking(target: Target) -> Looking:
    return Looking(**{field.name: getattr(target, field.name) for field in dataclasses.fields(target)})


@pytest.mark.parametrize("name", list_targets())
def test_every_genome_of_a_small_space(name: str) -> None:
    space = small_space()
    table = CostTable(space, load_target(name))
    assert table.whole_because == ""
    assert table.fields == Cost.fields()
    check(table, every(space.sizes)[:: 1 if name == "edge-npu" else 5])


@pytest.mark.parametrize("name", list_targets())
def test_random_genomes_of_a_shipped_space(name: str) -> None:
    space = get_space("camera")
    check(CostTable(space, load_target(name)), some(space.sizes, 100))


@pytest.mark.parametrize("name", ["ibn_detection", "mobiledet_edgetpu", "mobilenetv4_conv_small", "ofa_mobilenetv3"])
def test_heads_that_read_several_maps_and_layers_with_knobs_of_their_own(name: str) -> None:
    space = get_space(name)
    table = CostTable(space, "camera-npu")
    assert table.whole_because == ""
    check(table, some(space.sizes, 40))


@pytest.mark.parametrize("name", ["camera-npu", "edge-npu", "ethos-u55-256"])
def test_layers_with_knobs_of_their_own(name: str) -> None:
    space = layered_space()
    table = CostTable(space, load_target(name))
    assert table.whole_because == ""
    assert table.entries < space.size()
    check(table, every(space.sizes)[::7])


def test_networks_whose_weights_do_not_all_fit() -> None:
    space = small_space()
    weights = [space.decode(genome).lower().weight_bytes for genome in every(space.sizes)[::31].tolist()]
    target = replace(load_target("edge-npu"), weight_sram_bytes=int(np.median(weights)))
    genomes = every(space.sizes)[::5]
    table = CostTable(space, target)
    check(table, genomes)
    fits = table.price(genomes)[:, table.fields.index("weight_bytes")] <= np.median(weights)
    assert 0 < fits.sum() < len(fits)
    assert table.tabulated(genomes).tolist() == fits.tolist()
    check(CostTable(space, replace(target, weight_sram_bytes=1)), genomes[::9])


def test_maps_that_spill() -> None:
    space = small_space()
    check(CostTable(space, replace(load_target("camera-npu"), sram_bytes=4_000)), every(space.sizes)[::11])


def test_operators_without_a_price_are_counted() -> None:
    space = small_space(activation=choice("relu", "gelu", "silu"))
    table = CostTable(space, "edge-npu")
    genomes = some(space.sizes, 200)
    check(table, genomes)
    assert set(table.unpriced(genomes).tolist()) >= {0, 1, 6}


@pytest.mark.parametrize("context_radius", [1, 2])
def test_an_estimator_that_looks_at_neighbours(context_radius: int) -> None:
    space = small_space()
    target = replace(looking(load_target("edge-npu")), context_radius=context_radius)
    table = CostTable(space, target, estimate=neighbourly)
    assert table.whole_because == ""
    check(table, every(space.sizes)[::7], neighbourly)
    spilling = replace(target, sram_bytes=4_000, weight_sram_bytes=6_000)
    check(CostTable(space, spilling, estimate=neighbourly), every(space.sizes)[::23], neighbourly)


@pytest.mark.parametrize("seed", range(12))
def test_random_spaces_of_unlike_blocks(seed: int) -> None:
    space = random_space(seed)
    memories = {"sram_bytes": (1_000, 5_000, 1 << 30)[seed % 3], "fused_activations": ("relu",)}
    target = replace(load_target("camera-npu"), **memories)  # type: ignore[arg-type]
    if seed % 4:
        target = replace(looking(target), context_radius=seed % 4)
    estimator = far_sighted if seed % 4 else estimate
    table = CostTable(space, target, estimate=estimator)
    if seed % 5 == 0:
        table.build()
    check(table, some(space.sizes, 60), estimator)


@pytest.mark.parametrize("seed", [None, 0, 3, 6, 9])
def test_a_learned_target(seed: int | None) -> None:
    space = small_space() if seed is None else random_space(seed)
    target = replace(load_target("camera-npu"), learned=register(Cascading()), sram_bytes=5_000)
    assert target.context_radius == 1
    table = CostTable(space, target)
    assert table.whole_because == ""
    check(table, some(space.sizes, 200))


def test_an_estimator_that_looks_further_than_its_target_says_is_refused() -> None:
    with pytest.raises(CostTableError, match="looks further than"):
        CostTable(small_space(), load_target("edge-npu"), estimate=neighbourly)
    whole = CostTable(small_space(), load_target("edge-npu"), estimate=neighbourly, whole=True)
    check(whole, every(whole.sizes)[::97], neighbourly)


def test_totals_that_are_no_sums_are_priced_whole() -> None:
    def with_start(graph: Graph, target: Target) -> Cost:
        cost = estimate(graph, target)
        return replace(cost, latency_s=cost.latency_s + 1e-3)

    table = CostTable(small_space(), TOY, estimate=with_start)
    assert "latency_s is" in table.whole_because
    check(table, some(table.sizes, 30), with_start)


@pytest.mark.parametrize("activation_first", [False, True])
@pytest.mark.parametrize("context_radius", [0, 1])
def test_empty_stages(activation_first: bool, context_radius: int) -> None:
    def draw(genome: Sequence[int]) -> Graph:
        builder = chain(genome[:3], [(8, 12)[genome[3]], 16, (8, 16, 24)[genome[4]]], activation_first)
        x = builder.global_pool("pool", list(builder._shapes)[-1])
        builder.linear("classifier", x, (5, 10)[genome[5]])
        return builder.graph()

    knobs = (*stage_knobs(0, 1, 2, 0, 2), FakeKnob(("head",)))
    space = HandMade(knobs, (3, 3, 3, 2, 3, 2), draw)
    estimator, plain = (neighbourly, looking(TOY)) if context_radius else (estimate, TOY)
    target = replace(plain, fused_activations=("relu",), sram_bytes=3_000)
    table = CostTable(space, target, estimate=estimator)
    assert table.whole_because == ""
    check(table, every(space.sizes), estimator)


def test_a_head_that_reads_an_early_stage() -> None:
    def draw(genome: Sequence[int]) -> Graph:
        widths = (8, 16, 24)
        builder = chain([1, 2, 1], [widths[choice] for choice in genome[:3]])
        early = builder.global_pool("head.early", ("blocks.0.0.act", "blocks.1.1.act")[genome[3]])
        late = builder.global_pool("head.late", "blocks.2.0.act")
        for index, x in enumerate((early, late)):
            builder.linear(f"head.{index}", x, 4)
        return builder.graph()

    space = HandMade((*stage_knobs(0, 1, 2), FakeKnob(("head",))), (3, 3, 3, 2), draw)
    table = CostTable(space, replace(TOY, sram_bytes=5_000))
    assert table.whole_because == ""
    assert table._lookup.shared == [(3, 2)]  # the head's knob decides which maps stay alive
    check(table, every(space.sizes))


def test_a_knob_that_acts_elsewhere_concerns_the_whole_network() -> None:
    def draw(genome: Sequence[int]) -> Graph:
        return chain([1, 1, 1 + genome[0]], [8, 8, (8, 16)[genome[1]]]).graph()

    space = HandMade(stage_knobs(0, 2), (3, 2), draw)
    table = CostTable(space, TOY)
    assert table._lookup.shared == [(0, 3)]
    check(table, every(space.sizes))


def test_knobs_that_act_together_are_noticed_not_mispriced() -> None:
    sizes = (12, 12, 12)

    def draw(genome: Sequence[int]) -> Graph:
        return chain([1, 1, 2 if genome[0] == genome[1] == 11 else 1], [8, 8, 8 + genome[2]]).graph()

    space = HandMade(stage_knobs(0, 1, 2), sizes, draw)
    table = CostTable(space, TOY)
    table.build()
    with pytest.raises(CostTableError, match=r"genome \(.*\): equal choices made different operators.*whole=True"):
        table._lookup.learn((11, 11, 0))
    check(CostTable(space, TOY, whole=True), every(sizes)[::20])


def test_a_space_that_does_not_say_where_its_knobs_stand_is_priced_whole() -> None:
    def draw(genome: Sequence[int]) -> Graph:
        return chain([1, 1 + genome[0]], [8, 8 + 8 * genome[1]]).graph()

    table = CostTable(HandMade(None, (3, 2), draw), TOY)
    assert "no knobs" in table.whole_because
    assert "as a whole" in repr(table)
    check(table, every((3, 2)).repeat(2, axis=0))
    many = CostTable(HandMade((FakeKnob(("input_size",)),) * 7, (8,) * 7, lambda _: chain([1], [8]).graph()), TOY)
    assert "2,097,152 settings" in many.whole_because


def test_a_space_with_a_choice_of_all_its_stages() -> None:
    stage = {"kind": "ibn", "out_channels": choice(8, 16)}
    space = Space("stages", {"stem": {"out_channels": 8}, "stages": [stage, {**stage, "repeats": choice(1, 2)}]})
    check(CostTable(space, TOY), every(space.sizes))
    plain = [{"kind": "ibn", "out_channels": 8}]
    shared = Space("depth", {"stem": {"out_channels": choice(8, 16)}, "stages": choice(plain, plain * 3)})
    check(CostTable(shared, TOY), every(shared.sizes))


def test_building_ahead_learns_everything_and_reports() -> None:
    space = small_space()
    for target, estimator in ((load_target("camera-npu"), estimate), (looking(load_target("edge-npu")), neighbourly)):
        table = CostTable(space, target, estimate=estimator)
        steps: list[tuple[int, int]] = []
        table.build(lambda done, known, steps=steps: steps.append((done, known)))  # type: ignore[misc]
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert steps[-1][0] == steps[-1][1]
        assert all(done <= known for done, known in steps)
        learnt = table.entries
        table.price(every(space.sizes))
        assert table.entries == learnt


def test_too_large_a_table_is_refused_with_its_numbers() -> None:
    space = small_space()
    with pytest.raises(CostTableError, match=r"the table has 5\d entries \(.*in its parts\), max_entries is 50"):
        CostTable(space, TOY, max_entries=50).build()
    huge = HandMade(stage_knobs(*[0] * 27), (2,) * 27, lambda _: chain([1], [8]).graph())
    with pytest.raises(CostTableError, match=r"134,217,728 choices of its own, .* the limit is 33,554,432"):
        CostTable(huge, TOY)


def test_bad_genomes() -> None:
    table = CostTable(small_space(), TOY)
    good = every(table.sizes)[:3]
    for wrong in (good[0], good[:, :-1], good.astype(float), [[[0]]], [["a"] * len(table.sizes)]):
        with pytest.raises(ShapeError, match=r"must be integers of shape \(n, 9\)"):
            table.price(wrong)
    for choice_index in (-1, 3):
        bad = good.copy()
        bad[1, 0] = choice_index
        with pytest.raises(
            ShapeError, match=rf"row 1: choice {choice_index} at position 0 \(input_size\) must be in 0"
        ):
            table.price(bad)
    assert table.price(np.empty((0, 9), int)).shape == (0, 6)
    assert table.price(good.astype(np.uint8)).tobytes() == table.price(good.tolist()).tobytes()


def test_a_genome_that_makes_no_network_is_named() -> None:
    def draw(genome: Sequence[int]) -> Graph:
        if genome[0] == genome[1] == 2:
            raise ShapeError("too narrow")
        return chain([1, 1], [8 + genome[0], 8]).graph()

    table = CostTable(HandMade((FakeKnob(("input_size",)), *stage_knobs(1)), (3, 3), draw), TOY)
    with pytest.raises(ShapeError, match=r"genome \(2, 2\) makes no network: too narrow"):
        table.price([[0, 0], [2, 2]])
    with pytest.raises(CostTableError, match="none of 32 random genomes"):
        CostTable(HandMade(stage_knobs(0), (2,), lambda _: draw((2, 2))), TOY)
