"""The price of single operators, against numbers worked out by hand and against counting tiles one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.hwmodel import GraphBuilder, Op, Target, estimate, price_op
from tests.hwmodel.networks import TOY, conv

WINDOW = replace(TOY, rows_hold="window")
FOUR_PIXELS = replace(TOY, pixels_per_tile=4)


def cycles(op: Op, target: Target) -> float:
    return price_op(op, target).compute_s * target.clock_hz


# TOY: 64 MACs a cycle in tiles of 8 x 8 channels, 8 in depthwise convolutions, 4 elements a cycle elsewhere.
@pytest.mark.parametrize(
    ("target", "graph", "expected"),
    [
        (TOY, conv(12, 20, 6, 3), 9 * 16 * 24 * 36 / 64),
        (WINDOW, conv(12, 20, 6, 3), 112 * 24 * 36 / 64),  # 9 · 12 = 108 terms
        (TOY, conv(12, 20, 12, 3, stride=2), 9 * 16 * 24 * 36 / 64),
        (TOY, conv(12, 20, 6, 3, dilation=2), 9 * 16 * 24 * 36 / 64),
        (TOY, conv(12, 20, 6, 3, groups=2), 2 * 9 * 8 * 16 * 36 / 64),
        (WINDOW, conv(12, 20, 6, 3, groups=2), 2 * 56 * 16 * 36 / 64),  # 9 · 6 = 54 terms
        (FOUR_PIXELS, conv(8, 8, 7, 1), 8 * 8 * 52 / 64),  # 49 positions
        (TOY, conv(20, 20, 6, 5, groups=20), 24 * 25 * 36 / 8),
        (WINDOW, conv(20, 20, 6, 5, groups=20), 24 * 25 * 36 / 8),
        (FOUR_PIXELS, conv(20, 20, 7, 5, groups=20), 24 * 25 * 52 / 8),
        (replace(TOY, depthwise_macs_per_cycle=64), conv(20, 20, 6, 5, groups=20), 24 * 25 * 36 / 64),
    ],
)
def test_convolutions(target: Target, graph: object, expected: float) -> None:
    (op,) = graph.ops  # type: ignore[attr-defined]
    assert cycles(op, target) == pytest.approx(expected, rel=1e-12)


def test_other_kinds() -> None:
    builder = GraphBuilder((20, 6, 6))
    x = builder.add("add", builder.activation("relu", builder.input, "relu"), builder.input)
    x = builder.global_pool("pool", x)
    builder.mul("mul", "add", x)
    builder.linear("linear", x, 10)
    expected = {"relu": 720 / 4, "add": 720 / 4, "pool": 720 / 4, "mul": 720 / 4, "linear": 24 * 16 / 64}
    assert {op.name: cycles(op, TOY) for op in builder.graph().ops} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (TOY, 5 * 16 * 24 * 9 / 64),  # 12 terms fill two tiles of 8 rows, 20 columns three of 8
        (FOUR_PIXELS, 5 * 16 * 24 * 12 / 64),  # 9 rows of the product fill three tiles of 4 positions
        (WINDOW, 5 * 16 * 24 * 9 / 64),
    ],
)
def test_a_product_of_activations_works_in_tiles(target: Target, expected: float) -> None:
    op = Op("m", "matmul", ("input", "input"), ((5, 9, 12), (5, 12, 20)), (5, 9, 20))
    assert cycles(op, target) == pytest.approx(expected, rel=1e-12)
    row = price_op(op, target)
    assert row.utilization == pytest.approx(5 * 9 * 12 * 20 / (expected * 64))
    assert (row.macs, row.weight_bytes, row.sram_bytes) == (5 * 9 * 12 * 20, 0, 5 * 9 * 12 + 5 * 12 * 20 + 5 * 9 * 20)
    assert cycles(op._replace(activation_bits=16), target) == pytest.approx(4 * expected)  # both operands are wide


def test_kinds_without_macs() -> None:
    builder = GraphBuilder((20, 6, 6))
    builder.resize("nearest", builder.input, (12, 12), "nearest")
    builder.resize("bilinear", builder.input, (12, 12), "bilinear")
    builder.concat("concat", [builder.input, builder.input, builder.input])
    builder.softmax("softmax", builder.input)
    # out: 20 · 144 elements read once or four times; 3 · 720 copied; 720 in three passes
    expected = {"nearest": 2880 / 4, "bilinear": 4 * 2880 / 4, "concat": 2160 / 4, "softmax": 3 * 720 / 4}
    assert {op.name: cycles(op, TOY) for op in builder.graph().ops} == pytest.approx(expected, rel=1e-12)


def test_an_opaque_operator_has_no_price() -> None:
    builder = GraphBuilder((20, 6, 6))
    builder.opaque("norm", [builder.input], "aten.native_layer_norm", (20, 6, 6))
    cost = estimate(builder.graph(), TOY)
    assert (cost.unpriced, cost.latency_s) == (("norm (opaque:aten.native_layer_norm)",), 0)


def test_a_pooling_reads_its_windows() -> None:
    op = Op("pool", "pool", ("input",), ((20, 6, 6),), (20, 3, 3), kernel_size=(3, 3), stride=(2, 2), function="max")
    assert cycles(op, TOY) == pytest.approx(20 * 9 * 9 / 4, rel=1e-12)


def test_wide_operands_take_several_passes_and_narrow_ones_save_none() -> None:
    def one(weight_bits: int, activation_bits: int) -> float:
        builder = GraphBuilder((8, 4, 4), weight_bits=weight_bits, activation_bits=activation_bits)
        builder.conv2d("conv", builder.input, 8)
        return cycles(builder.graph().ops[0], TOY)

    assert [one(8, 8), one(8, 16), one(16, 16), one(4, 8), one(4, 4)] == [16, 32, 64, 16, 16]


def tiles_one_by_one(op: Op, target: Target) -> Fraction:
    """Walks over every tile of the loop nest and counts its MAC slots, filled or not."""
    height, width = op.kernel_size
    pixels = range(0, op.out_shape[1] * op.out_shape[2], target.pixels_per_tile)
    outputs = range(0, op.out_shape[0] // op.groups, target.output_channels_per_tile)
    channels = op.in_shape[0] // op.groups
    walked, spread = (1, channels * height * width) if target.rows_hold == "window" else (height * width, channels)
    rows = range(0, spread, target.input_channels_per_tile)
    slots = target.input_channels_per_tile * target.output_channels_per_tile * target.pixels_per_tile
    tiles = sum(1 for _ in range(op.groups) for _ in range(walked) for _ in rows for _ in outputs for _ in pixels)
    return Fraction(tiles * slots) / Fraction(target.macs_per_cycle)


def test_random_convolutions_against_walking_over_the_tiles() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    for _ in range(60):
        groups, kernel_size = 1 + draw.below(rng, 3), 1 + 2 * draw.below(rng, 2)
        channels = [groups * (2 + draw.below(rng, 20)) for _ in range(2)]
        options = {"stride": 1 + draw.below(rng, 2), "groups": groups}
        (op,) = conv(channels[0], channels[1], 1 + draw.below(rng, 9), kernel_size, **options).ops
        target = replace(
            TOY,
            input_channels_per_tile=1 + draw.below(rng, 16),
            output_channels_per_tile=1 + draw.below(rng, 16),
            pixels_per_tile=1 + draw.below(rng, 5),
            rows_hold="window" if draw.below(rng, 2) else "channels",
        )
        assert cycles(op, target) == pytest.approx(float(tiles_one_by_one(op, target)), rel=1e-12)


def test_utilization_is_macs_over_slots() -> None:
    full, ragged, depthwise = (conv(16, 16, 4).ops[0], conv(12, 20, 4).ops[0], conv(16, 16, 4, 3, groups=16).ops[0])
    assert price_op(full, TOY).utilization == 1
    assert price_op(ragged, TOY).utilization == pytest.approx(12 * 20 / (16 * 24))
    assert price_op(depthwise, TOY).utilization == pytest.approx(1 / 8)


# One convolution of 8 to 8 channels on 4 x 4 positions: 16 cycles; inputs 128, outputs 128, weights 64 + 32 bytes.
(OP,) = conv(8, 8, 4).ops
MEMORIES = replace(TOY, clock_hz=16.0, sram_bytes_per_s=352.0, dram_bytes_per_s=96.0)
"""Computing, on-chip and off-chip transfers of OP each take one second."""


@pytest.mark.parametrize(
    ("change", "latency_s", "bound"),
    [
        ({}, 1.0, "compute"),
        ({"clock_hz": 8.0}, 2.0, "compute"),
        ({"sram_bytes_per_s": 88.0}, 4.0, "sram"),
        ({"dram_bytes_per_s": 12.0}, 8.0, "dram"),
        ({"dram_bytes_per_s": 12.0, "op_overhead_s": 0.5}, 8.5, "dram"),
        ({"op_overhead_s": 1.5}, 2.5, "overhead"),
        ({"dram_bytes_per_s": 12.0, "weights_in": "sram", "weight_sram_bytes": 96}, 1.0, "compute"),
    ],
)
def test_the_slowest_of_three_decides(change: dict[str, float], latency_s: float, bound: str) -> None:
    row = price_op(OP, replace(MEMORIES, **change))  # type: ignore[arg-type]
    assert row.latency_s == pytest.approx(latency_s, rel=1e-12)
    assert row.bound == bound
    assert row.latency_s == max(row.compute_s, row.memory_s) + row.overhead_s


def test_traffic() -> None:
    assert price_op(OP, TOY)[8:11] == (96, 352, 96)
    resident = replace(TOY, weights_in="sram", weight_sram_bytes=96)
    assert price_op(OP, resident)[8:11] == (96, 352, 0)


@pytest.mark.parametrize(("sram_bytes", "live_bytes"), [(1000, 1000), (1000, 1001), (600, 1000), (1, 999), (255, 256)])
def test_what_exceeds_the_memory_spills(sram_bytes: int, live_bytes: int) -> None:
    row = price_op(OP, replace(TOY, sram_bytes=sram_bytes), live_bytes=live_bytes)
    spilled = math.ceil(256 * (1 - Fraction(sram_bytes, live_bytes)))
    assert (row.sram_bytes, row.dram_bytes) == (352 - spilled, 96 + spilled)


@pytest.mark.parametrize(("network_bytes", "streamed"), [(0, 0), (1000, 0), (1001, 1), (2000, 48), (10**9, 96)])
def test_weights_that_exceed_their_memory_are_streamed(network_bytes: int, streamed: int) -> None:
    target = replace(TOY, weights_in="sram", weight_sram_bytes=1000)
    assert price_op(OP, target, network_weight_bytes=network_bytes).dram_bytes == streamed


def test_energy_adds_up() -> None:
    target = replace(
        MEMORIES,
        energy_per_mac_j=3.0,
        energy_per_sram_byte_j=5.0,
        energy_per_dram_byte_j=7.0,
        static_power_w=11.0,
        op_overhead_s=1.0,
    )
    assert price_op(OP, target).energy_j == pytest.approx(1024 * 3 + 352 * 5 + 96 * 7 + 2 * 11, rel=1e-12)


def test_a_fused_operator_is_free_and_says_so() -> None:
    builder = GraphBuilder((8, 4, 4))
    builder.activation("relu", builder.input, "relu")
    row = price_op(builder.graph().ops[0], TOY, fused=True)
    assert (row.name, row.bound, row.latency_s, row.energy_j, row.sram_bytes) == ("relu", "fused", 0, 0, 0)
