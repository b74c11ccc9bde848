"""The learned estimator: exact where nothing changed, physical everywhere, and honest about what it never saw."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from accelzoo.hwmodel import Cost, Graph, GraphBuilder, Target, estimate
from accelzoo.hwmodel.conformance import TargetContract, every_kind, small_network
from accelzoo.hwmodel.features import CLASSES, FIELDS, Matrix, class_of, derive, describe
from accelzoo.hwmodel.learned import learned_part, register
from accelzoo.hwmodel.peak import PeakModel
from accelzoo.hwmodel.regressor import (
    FADE,
    MARGIN,
    RANGED,
    Regressor,
    from_parts,
)
from accelzoo.hwmodel.sampling import draw_sample
from accelzoo.hwmodel.subgraph import split
from tests.hwmodel.networks import conv
from tests.hwmodel.planted import HELD_OUT, chain, fitted, graphs, joining, row_of, sum_of


def part() -> Regressor:
    found = learned_part(fitted())
    assert isinstance(found, Regressor)
    return found


def networks(count: int = 4) -> list[Graph]:
    return [graph for graph, _ in graphs("network", count, HELD_OUT)]


def raw_of(graph: Graph) -> Matrix:
    return describe(graph, split(graph, part().fusions))


def without_cache() -> Target:
    """The same target under another name of its part, which remembers nothing."""
    fresh = dataclasses.replace(part(), facts={**part().facts, "copy": 1}, _cache={})
    return dataclasses.replace(fitted(), learned=register(fresh))


class TestFittedTarget(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return fitted()


class TestFittedTargetWithLessToRunAndOtherPlacement(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        peak = PeakModel(in_place=frozenset(), channel_unit=16, staged=0.5)
        return dataclasses.replace(
            fitted(),
            learned=register(dataclasses.replace(part(), peak=peak)),
            fused_activations=("relu",),
            unsupported=("activation:relu6", "pool:max", "matmul"),
        )


def test_rows_follow_the_operators_and_add_up_from_left_to_right() -> None:
    for graph in (*networks(), every_kind()):
        cost = estimate(graph, fitted())
        assert [row.name for row in cost.by_op] == [op.name for op in graph.ops]
        assert cost.latency_s == sum_of([row.latency_s for row in cost.by_op])
        assert cost.energy_j == sum_of([row.energy_j for row in cost.by_op])
        assert cost.dram_bytes == sum(row.dram_bytes for row in cost.by_op)
        assert (cost.macs, cost.weight_bytes) == (graph.macs, graph.weight_bytes)


def test_what_is_fused_takes_no_time_and_keeps_its_work() -> None:
    builder = GraphBuilder((16, 14, 14))
    x = builder.conv2d("conv", builder.input, 32)
    builder.activation("act", x, "relu6")
    graph = builder.graph()
    conv_row, act = estimate(graph, fitted()).by_op
    assert (conv_row.bound in ("compute", "sram", "dram"), act.bound) == (True, "fused")
    assert (act.latency_s, act.compute_s, act.memory_s, act.overhead_s, act.utilization) == (0, 0, 0, 0, 0)
    # A target that does not fuse by itself moves the activation's bytes; they are not lost.
    plain = dataclasses.replace(fitted(), fused_activations=())
    row = row_of(plain, graph, "act")
    analytic = row_of(dataclasses.replace(plain, learned=None), graph, "act")
    assert analytic.sram_bytes == 2 * 32 * 14 * 14
    assert (row.bound, row.latency_s, row.sram_bytes, row.dram_bytes) == ("fused", 0, analytic.sram_bytes, 0)
    assert row.energy_j == pytest.approx(analytic.energy_j - analytic.latency_s * plain.static_power_w, rel=1e-12)


def test_a_kind_that_takes_no_time_of_its_own_vanishes_with_notice() -> None:
    graph = joining(20)
    assert part().free == {"concat"}
    row = row_of(fitted(), graph, "cat")
    assert (row.bound, row.latency_s, row.sram_bytes) == ("fused", 0.0, 2 * 32 * 400)
    assert estimate(graph, fitted()).unpriced == ()


def test_what_the_target_cannot_run_stays_unpriced_and_listed() -> None:
    target = dataclasses.replace(fitted(), unsupported=("pool:avg", "activation:relu", "conv2d"), fused_activations=())
    for graph in (small_network(), every_kind(), chain()):
        cost = estimate(graph, target)
        analytic = estimate(graph, dataclasses.replace(target, learned=None))
        assert cost.unpriced == analytic.unpriced != ()
        for row, before in zip(cost.by_op, analytic.by_op, strict=True):
            assert (row.bound == "unpriced") == (before.bound == "unpriced")
            assert row.bound != "unpriced" or row == before
    assert any("aten.native_layer_norm" in name for name in estimate(every_kind(), fitted()).unpriced)


def test_a_fused_activation_that_cannot_run_is_not_hidden_by_what_it_is_fused_into() -> None:
    assert ("conv2d", "activation:relu") in part().fusions
    target = dataclasses.replace(fitted(), unsupported=("activation:relu",), fused_activations=("relu6",))
    assert estimate(chain(), target).unpriced == ("a.act (activation:relu)", "b.act (activation:relu)")


def test_nothing_runs_faster_than_the_fastest_measured() -> None:
    for graph in (*networks(), conv(2048, 2048, 64, 3), conv(2048, 2048, 64, 1)):
        for row in estimate(graph, fitted()).by_op:
            if row.bound not in ("fused", "unpriced"):
                assert row.latency_s >= row.macs / part().macs_per_s * (1 - 1e-12)
                assert row.latency_s >= max(row.compute_s, row.memory_s) > 0
                assert 0 <= row.utilization <= 1
    assert part().macs_per_s <= fitted().peak_macs_per_s * 1.01


def test_equal_operators_in_equal_company_cost_the_same_bits() -> None:
    builder = GraphBuilder((32, 14, 14))
    x = builder.input
    for index in range(8):
        x = builder.conv2d(f"conv{index}", x, 32, 3)
    rows = estimate(builder.graph(), fitted()).by_op
    assert len({row[2:] for row in rows[1:-1]}) == 1


def test_prices_do_not_depend_on_what_was_priced_before() -> None:
    expected = {graph: estimate(graph, fitted()) for graph in (*networks(), chain(), every_kind())}
    fresh = without_cache()
    for graph in reversed(expected):
        assert estimate(graph, fresh) == expected[graph]
    for graph in expected:
        alone = without_cache()
        assert estimate(graph, alone) == estimate(graph, alone) == expected[graph]


def test_an_equal_graph_costs_the_same() -> None:
    graph = networks(1)[0]
    again = Graph.from_json(graph.to_json())
    assert again is not graph
    assert estimate(again, fitted()) == estimate(graph, without_cache())


def test_a_row_is_predicted_alike_alone_and_among_others() -> None:
    raw = np.concatenate([raw_of(graph) for graph in networks(3)])
    together = part()._compute(raw, fitted())
    assert [part()._compute(row[None], fitted())[0] for row in raw[:40]] == together[:40]
    assert part()._compute(raw[::-1].copy(), fitted()) == together[::-1]


def test_a_full_cache_is_emptied_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [estimate(graph, fitted()) for graph in networks()]
    monkeypatch.setattr("accelzoo.hwmodel.regressor.CACHED_ROWS", 40)
    fresh = without_cache()
    for _ in range(2):
        # Parts of each network are remembered from the one before: what is emptied must not be needed.
        assert [estimate(graph, fresh) for graph in networks()] == expected
        assert estimate(chain(), fresh) == estimate(chain(), fitted())


def test_targets_that_share_a_part_do_not_share_prices() -> None:
    fast = dataclasses.replace(fitted(), clock_hz=2 * fitted().clock_hz, dram_bytes_per_s=2 * fitted().dram_bytes_per_s)
    before = estimate(chain(), fitted())
    assert estimate(chain(), fast).latency_s < before.latency_s
    assert estimate(chain(), fitted()) == before


def test_inside_of_what_was_measured_nothing_is_named() -> None:
    assert estimate(chain(), fitted()).extrapolated == ()
    for graph, _ in graphs("network", 6):
        assert estimate(graph, fitted()).extrapolated == ()


def wide(channels: int) -> Graph:
    return conv(channels, 64, 14)


def distance(graph: Graph) -> float:
    """E-folds outside of what was measured, worked out from the stored ranges field by field."""
    (raw,), found = raw_of(graph), 0.0
    values = dict(zip(RANGED, raw[[FIELDS.index(name) for name in RANGED]].tolist(), strict=True))
    (number,) = class_of(raw[None]).tolist()
    for index, name in enumerate(RANGED):
        low, high = part().low[number, index] + 1, part().high[number, index] + 1
        found = max(found, math.log((values[name] + 1) / high), math.log(low / (values[name] + 1)))
    return found - MARGIN


def typical_s(graph: Graph) -> float:
    """The prior times the typical correction of its kind of work."""
    raw = raw_of(graph)
    (number,) = class_of(raw).tolist()
    derived = derive(raw, fitted(), part().tiling)
    prior = max(derived.compute_s[0], derived.sram_s[0], derived.dram_s[0])
    return float(prior * math.exp(part().typical[number]))


def test_far_outside_an_operator_is_named_and_its_price_fades_into_the_typical_correction() -> None:
    # No sum of leaves is further from the typical correction than all of the largest leaves.
    reach = _largest_sum(part())
    gaps = []
    for power in range(2, 26, 4):
        graph = wide(2048 << power)
        cost = estimate(graph, fitted())
        assert cost.extrapolated == ("conv",)
        gap = abs(math.log(cost.latency_s / typical_s(graph)))
        assert distance(graph) > 0
        assert gap <= reach * math.exp(-FADE * distance(graph)) + 1e-9
        gaps.append(gap)
    assert gaps[-1] < 0.01
    assert gaps[-1] <= gaps[0]


def _largest_sum(regressor: Regressor) -> float:
    forest = regressor.forest
    trees = forest.roots.shape[1]
    return float(np.abs(forest.base).max() + trees * np.abs(forest.value).max() + np.abs(regressor.typical).max())


def test_an_operator_is_named_exactly_when_it_is_outside() -> None:
    for size in (1, 8, 64, 512, 2048, 8192, 1 << 15):
        graph = wide(size)
        assert bool(estimate(graph, fitted()).extrapolated) == (distance(graph) > 0), size


def test_named_operators_come_in_the_order_of_the_graph() -> None:
    builder = GraphBuilder((16, 14, 14))
    x = builder.conv2d("huge", builder.input, 1 << 17)
    x = builder.conv2d("back", x, 16)
    x = builder.conv2d("usual", x, 16)
    builder.conv2d("again", x, 1 << 17)
    assert estimate(builder.graph(), fitted()).extrapolated == ("huge", "back", "again")


def test_a_kind_that_was_never_measured_is_named() -> None:
    builder = GraphBuilder((2, 14, 14))
    builder.softmax("softmax", builder.resize("resize", builder.input, (28, 28)))
    cost = estimate(builder.graph(), fitted())
    assert cost.extrapolated == ("resize", "softmax")
    assert cost.unpriced == ()
    raw = raw_of(builder.graph())
    prior = derive(raw, fitted(), part().tiling).whole_s
    assert [row.latency_s for row in cost.by_op] == pytest.approx(prior.tolist(), rel=1e-12)


def test_the_parts_make_an_equal_regressor() -> None:
    assert part().forest.roots.shape[0] == len(CLASSES)
    copy = from_parts(*part().parts())
    target = dataclasses.replace(fitted(), learned=register(copy))
    assert target.learned == fitted().learned
    for graph in networks(2):
        expected = part().price(graph, fitted(), estimate(graph, dataclasses.replace(fitted(), learned=None)).by_op)
        assert (
            copy.price(graph, fitted(), estimate(graph, dataclasses.replace(fitted(), learned=None)).by_op) == expected
        )


def test_other_features_are_refused() -> None:
    facts, arrays = part().parts()
    with pytest.raises(ValueError, match="features of version 0"):
        from_parts({**facts, "features": 0}, arrays)


def test_energy_follows_the_time_at_static_power() -> None:
    powered = dataclasses.replace(fitted(), static_power_w=2.0)
    for graph in networks(2):
        for row, dark in zip(estimate(graph, powered).by_op, estimate(graph, without_power()).by_op, strict=True):
            assert row.energy_j == pytest.approx(dark.energy_j + 2.0 * row.latency_s, rel=1e-9)


def without_power() -> Target:
    return dataclasses.replace(fitted(), static_power_w=0.0)


def test_costs_of_pieces_are_costs() -> None:
    costs = [estimate(graph, fitted()) for graph in (wide(1 << 18), chain())]
    assert sum(costs, Cost.zero()).extrapolated == ("conv",)
    for first, second in itertools.permutations(costs, 2):
        assert (first + second).latency_s == first.latency_s + second.latency_s


def test_random_blocks_and_operators_all_have_a_price() -> None:
    for kind, index in itertools.product(("op", "block"), range(25)):
        cost = estimate(draw_sample(kind, 77, index).graph, fitted())
        assert cost.latency_s > 0 or all(row.kind == "concat" for row in cost.by_op)
        assert math.isfinite(cost.latency_s)
