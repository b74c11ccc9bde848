"""The price of whole graphs: sums, fusing, spilling, and what cannot be priced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder, UnsupportedOperatorError, estimate, load_target, price_op
from accelzoo.hwmodel.estimate import live_bytes
from accelzoo.hwmodel.learned import learned_part, register
from accelzoo.hwmodel.peak import PeakModel
from accelzoo.hwmodel.regressor import Regressor
from tests.checkout import ROOT
from tests.hwmodel.networks import TOY, bottleneck, mobilenet_v2
from tests.hwmodel.planted import PRIOR, chain, fitted

FUSES_RELU = replace(TOY, fused_activations=("relu",))


def bounds(graph: Graph, **changes: object) -> dict[str, str]:
    target = replace(FUSES_RELU, **changes)  # type: ignore[arg-type]
    return {row.name: row.bound for row in estimate(graph, target).by_op}


def test_totals_of_a_known_network() -> None:
    graph = mobilenet_v2()
    cost = estimate(graph, TOY)
    assert cost.macs == 300_774_272  # counted by torch's flop counter
    assert cost.weight_bytes == 3_469_760 + 4 * 18_056  # weights of the published network; folded biases at 4 bytes
    assert (
        cost.peak_activation_bytes == 112 * 112 * (96 + 24) or cost.peak_activation_bytes == graph.peak_activation_bytes
    )
    assert cost.latency_s == sum_in_order([row.latency_s for row in cost.by_op])


def sum_in_order(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def test_a_graph_costs_what_its_operators_cost() -> None:
    graph = bottleneck(16, 28, 4, fused=False)
    target = replace(load_target("camera-npu"), sram_bytes=30_000)
    rows = [
        price_op(op, target, live_bytes=live, fused=op.name.endswith(".act"))
        for op, live in zip(graph.ops, graph.live_bytes(), strict=True)
    ]
    assert estimate(graph, target).by_op == tuple(rows)
    assert any(row.dram_bytes > row.weight_bytes for row in rows)


def test_an_activation_is_fused_into_what_makes_its_input() -> None:
    builder = GraphBuilder((8, 4, 4))
    x = builder.activation("after input", builder.input, "relu")
    x = builder.activation("after conv", builder.conv2d("conv", x, 8), "relu")
    x = builder.activation("after depthwise", builder.conv2d("depthwise", x, 8, groups=8), "relu")
    x = builder.activation("after add", builder.add("add", x, x), "relu")
    x = builder.activation("after activation", x, "relu")
    x = builder.activation("after mul", builder.mul("mul", x, x), "relu")
    x = builder.activation("after pool", builder.global_pool("pool", x), "relu")
    builder.activation("after linear", builder.linear("linear", x, 8), "relu")
    fused = {name for name, bound in bounds(builder.graph()).items() if bound == "fused"}
    assert fused == {"after conv", "after depthwise", "after add", "after linear"}


def test_an_activation_is_not_fused_when_its_input_is_needed_as_well() -> None:
    builder = GraphBuilder((8, 4, 4))
    x = builder.conv2d("conv", builder.input, 8)
    builder.mul("mul", x, builder.activation("act", x, "relu"))
    assert bounds(builder.graph())["act"] == "compute"


def test_an_activation_is_not_fused_when_the_target_cannot() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.activation("act", builder.conv2d("conv", builder.input, 8), "silu")
    assert bounds(builder.graph())["act"] == "compute"
    assert bounds(builder.graph(), fused_activations=("silu",))["act"] == "fused"


def test_weights_beyond_their_memory_are_streamed_in_proportion() -> None:
    graph = bottleneck(16, 7, 4, fused=False)
    target = replace(TOY, weights_in="sram", weight_sram_bytes=graph.weight_bytes)
    assert estimate(graph, target).dram_bytes == 0
    half = replace(target, weight_sram_bytes=graph.weight_bytes // 2)
    by_hand = [
        -(-op.weight_bytes * (graph.weight_bytes - graph.weight_bytes // 2) // graph.weight_bytes) for op in graph.ops
    ]
    assert estimate(graph, half).dram_bytes == sum(by_hand)


def test_the_input_and_the_output_start_and_end_on_chip() -> None:
    graph = bottleneck(16, 7, 4, fused=False)
    resident = replace(TOY, weights_in="sram", weight_sram_bytes=1 << 30, sram_bytes=graph.peak_activation_bytes)
    assert estimate(graph, resident).dram_bytes == 0


def test_what_cannot_run_is_named_and_not_counted() -> None:
    builder = GraphBuilder((8, 4, 4))
    x = builder.conv2d("conv", builder.input, 8)
    x = builder.activation("block.act", x, "silu")
    builder.linear("fc", builder.global_pool("pool", x), 4)
    graph = builder.graph()
    cost = estimate(graph, replace(TOY, unsupported=("activation:silu", "linear")))
    assert cost.unpriced == ("block.act (activation:silu)", "fc (linear)")
    rows = {row.name: row for row in cost.by_op}
    assert rows["block.act"].bound == rows["fc"].bound == "unpriced"
    whole = estimate(graph, TOY)
    left_out = [row.latency_s for row in whole.by_op if row.name in ("block.act", "fc")]
    assert cost.latency_s == pytest.approx(whole.latency_s - sum(left_out), rel=1e-12)
    assert (cost.macs, cost.weight_bytes) == (whole.macs, whole.weight_bytes)


def test_strict_refuses_what_cannot_run() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.activation("act", builder.conv2d("conv", builder.input, 8), "gelu")
    with pytest.raises(UnsupportedOperatorError, match=r"'edge-npu' cannot run act \(activation:gelu\)"):
        estimate(builder.graph(), load_target("edge-npu"), strict=True)
    assert estimate(builder.graph(), load_target("camera-npu"), strict=True).unpriced == ()


def test_the_same_bits_under_any_hash_seed() -> None:
    code = (
        "import json\n"
        "from accelzoo.hwmodel import estimate, load_target\n"
        "from tests.hwmodel.networks import mobilenet_v2\n"
        "print(json.dumps(estimate(mobilenet_v2(), load_target('camera-npu')).to_json()))"
    )
    expected = json.loads(json.dumps(estimate(mobilenet_v2(), load_target("camera-npu")).to_json()))
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == expected


def test_a_learned_part_has_the_last_word() -> None:
    graph = chain()
    analytic = estimate(graph, PRIOR)
    correction = learned_part(fitted()).price(graph, fitted(), analytic.by_op)
    cost = estimate(graph, fitted())
    assert cost.by_op == tuple(correction.rows) != analytic.by_op
    assert cost.extrapolated == correction.extrapolated
    assert cost.latency_s == sum_in_order([row.latency_s for row in cost.by_op])
    assert (cost.macs, cost.weight_bytes, cost.dram_bytes) == (
        analytic.macs,
        analytic.weight_bytes,
        analytic.dram_bytes,
    )
    assert analytic.extrapolated == ()


def test_strict_refuses_with_a_learned_part_too() -> None:
    target = replace(fitted(), unsupported=("pool",))
    with pytest.raises(UnsupportedOperatorError, match=r"'planted' cannot run pool \(pool:avg\)"):
        estimate(chain(), target, strict=True)
    assert estimate(chain(), fitted(), strict=True) == estimate(chain(), fitted())


def test_live_bytes_are_those_the_tool_places() -> None:
    graph = chain()
    assert live_bytes(graph, TOY) == graph.live_bytes()
    part = learned_part(fitted())
    assert isinstance(part, Regressor)
    # A tool that never writes over an input: the addition has three maps of 32 channels, not two.
    spread = replace(fitted(), learned=register(replace(part, peak=PeakModel(in_place=frozenset()))))
    add = [op.name for op in graph.ops].index("add")
    assert (live_bytes(graph, fitted())[add], live_bytes(graph, spread)[add]) == (2 * 32 * 28 * 28, 3 * 32 * 28 * 28)
    for target in (fitted(), spread):
        assert estimate(graph, target).peak_activation_bytes == max(live_bytes(graph, target))
