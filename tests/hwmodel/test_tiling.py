"""Tiling: the cut of a slow search in exact fractions, closed forms of layers that fit at once, and what must hold."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.hwmodel.tiling import (
    ACCUMULATOR_BYTES,
    DEPTHS,
    LARGEST_BLOCK,
    SPLITS,
    WINDOW_LIMIT,
    Blocks,
    Layers,
    Tiling,
    cut,
    shapes_of,
)
from tests.hwmodel.networks import TOY

SQUARE, FLAT, NARROW = (2, 2, 8), (1, 4, 8), (2, 4, 4)
BASE = Tiling(buffer_bytes=32 << 10, microblocks=(SQUARE,), terms_per_step=32, outputs_per_cycle=8)
TILINGS = {
    "shared": BASE,
    "small": dataclasses.replace(BASE, buffer_bytes=6 << 10, microblocks=(SQUARE, FLAT, NARROW)),
    "accumulators": dataclasses.replace(BASE, accumulators=1 << 11, microblocks=(FLAT, NARROW)),
    "long steps": dataclasses.replace(BASE, terms_per_step=128, taps_per_step=5, least_microblocks=1),
}


class Layer(NamedTuple):
    """One layer, as whole numbers."""

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    stride: int = 1
    groups: int = 1
    depthwise: bool = False

    @property
    def out_size(self) -> tuple[int, int]:
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def macs(self) -> int:
        terms = 1 if self.depthwise else self.in_channels // self.groups
        return math.prod(self.out_size) * self.out_channels * terms * math.prod(self.kernel)


def layers_of(items: list[Layer]) -> Layers:
    columns = [
        (x.in_channels, x.height, x.width, x.out_channels, *x.out_size, *x.kernel, x.stride, x.groups, x.depthwise)
        for x in items
    ]
    values = [np.array(column, float) for column in zip(*columns, strict=True)]
    return Layers(**dict(zip(Layers._fields[:-1], values, strict=False)), depthwise=values[-1] == 1)


def random_layers(count: int, seed: int = 0) -> list[Layer]:
    rng = draw.generator(seed)
    found = []
    for _ in range(count):
        height, width = 1 + draw.below(rng, 100), 1 + draw.below(rng, 100)
        kernel = (1 + draw.below(rng, 11), 1 + draw.below(rng, 11)) if draw.below(rng, 2) else (3, 3)
        kernel = (1, 1) if draw.below(rng, 3) == 0 else kernel
        stride = 1 + draw.below(rng, 2)
        kind = draw.below(rng, 4)
        width_of = [1 + draw.below(rng, 40), 8 * (1 + draw.below(rng, 40)), 1 + draw.below(rng, 700)]
        inputs, outputs = width_of[draw.below(rng, 3)], width_of[draw.below(rng, 3)]
        groups = 1
        if kind == 0:
            outputs = groups = inputs
        elif kind == 1:
            groups = 1 + draw.below(rng, 4)
            inputs, outputs = groups * inputs, groups * outputs
        found.append(Layer(inputs, height, width, outputs, kernel, stride, groups, kind == 0))
    return found


class Choice(NamedTuple):
    """A block, whether it fits, and what it moves."""

    height: int
    width: int
    depth: int
    fits: bool
    moved: Fraction


class Slow:
    """One layer's tiling by plain search, in whole numbers and fractions."""

    def __init__(self, layer: Layer, tiling: Tiling) -> None:
        self.layer, self.tiling = layer, tiling
        self.out_height, self.out_width = layer.out_size
        self.inputs = 1 if layer.depthwise else layer.in_channels // layer.groups
        self.outputs = layer.out_channels if layer.depthwise else layer.out_channels // layer.groups
        self.taps = math.prod(layer.kernel)
        padding = [
            up(self.out_height, rows) * up(self.out_width, columns) * up(self.outputs, channels)
            for rows, columns, channels in tiling.microblocks
        ]
        self.unit = tiling.microblocks[padding.index(min(padding))]
        busy_along_channels = Fraction(self.inputs, up(self.inputs, tiling.terms_per_step))
        busy_along_kernel = Fraction(self.inputs * self.taps, up(self.inputs, 8) * up(self.taps, tiling.taps_per_step))
        wins = self.inputs <= 8 or busy_along_kernel >= busy_along_channels
        self.by_kernel = wins and not layer.depthwise
        self.step_channels = min(up(self.inputs, 8), 16 if self.by_kernel else tiling.terms_per_step)

    def choices(self) -> list[Choice]:
        return [self.choice(depth, split) for depth in DEPTHS for split in SPLITS]

    def choice(self, most_channels: int, split: int) -> Choice:
        depth = min(most_channels, up(self.outputs, 16))
        width = min(up(-(-self.out_width // split), self.unit[1]), LARGEST_BLOCK)
        rows = self.unit[0]
        heights = range(rows, min(up(self.out_height, rows), up(LARGEST_BLOCK, rows)) + 1, rows)
        fitting = [height for height in heights if self.fits(height, width, depth)]
        height = min(max(fitting, default=rows), LARGEST_BLOCK)
        return Choice(height, width, depth, bool(fitting), self.moved(height, width, depth))

    def patch(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the input that a block reads."""
        (high, wide), stride = self.layer.kernel, self.layer.stride
        return (height - 1) * stride + min(high, WINDOW_LIMIT), (width - 1) * stride + min(wide, WINDOW_LIMIT)

    def block_inputs(self, height: int, width: int, depth: int) -> int:
        return math.prod(self.patch(height, width)) * (depth if self.layer.depthwise else self.step_channels)

    def fits(self, height: int, width: int, depth: int) -> bool:
        sums, inputs = height * width * depth, self.block_inputs(height, width, depth)
        if self.tiling.accumulators:
            return sums <= self.tiling.accumulators and inputs <= self.tiling.buffer_bytes
        return 2 * (ACCUMULATOR_BYTES * sums + inputs) <= self.tiling.buffer_bytes

    def reads(self, height: int, width: int, depth: int) -> Fraction:
        """Input elements of one group."""
        parts = Fraction(self.out_height, height) * Fraction(self.out_width, width)
        channels = self.outputs if self.layer.depthwise else self.inputs * -(-self.outputs // depth)
        return math.prod(self.patch(height, width)) * parts * channels

    def moved(self, height: int, width: int, depth: int) -> Fraction:
        rectangles = -(-self.out_height // height) * -(-self.out_width // width)
        moved = self.reads(height, width, depth) + self.taps * self.inputs * self.outputs * rectangles
        whole = self.layer.height * self.layer.width * (self.outputs if self.layer.depthwise else self.inputs)
        return moved / 2 if whole < 2 * self.block_inputs(height, width, depth) else moved

    def work(self, height: int, width: int, depth: int) -> dict[str, float]:
        rows, columns, channels = self.unit
        tiling, groups = self.tiling, 1 if self.layer.depthwise else self.layer.groups
        high, wide, deep = -(-self.out_height // height), -(-self.out_width // width), -(-self.outputs // depth)
        used = min(height, self.out_height), min(width, self.out_width), min(depth, self.outputs)
        positions = -(-used[0] // rows) * -(-used[1] // columns)
        kernel_steps = -(-self.taps // tiling.taps_per_step)
        if self.layer.depthwise:
            steps = kernel_steps
        elif self.by_kernel:
            in_step = -(-min(self.step_channels, self.inputs) // 8)
            steps = kernel_steps * in_step * -(-self.inputs // self.step_channels)
        else:
            steps = self.taps * -(-self.inputs // tiling.terms_per_step)
        delay = Fraction(1, 2) if positions == 1 else 0
        first = (max(positions, tiling.least_microblocks) + delay) * -(-used[2] // channels) * steps
        first *= rows * columns * channels * tiling.terms_per_step
        count = high * wide * deep * groups
        reads = self.reads(height, width, depth) * groups
        numbers = (first * count, math.prod(used) * count, first, reads, high * wide, count, height, width, depth)
        return dict(zip(Blocks._fields, map(float, (*numbers, self.by_kernel)), strict=True))


def up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@pytest.mark.parametrize("name", TILINGS)
def test_the_cut_is_that_of_a_slow_search(name: str) -> None:
    items = random_layers(120, seed=len(name))
    found = cut(layers_of(items), TILINGS[name])
    misfits = 0
    for index, layer in enumerate(items):
        slow = Slow(layer, TILINGS[name])
        taken = int(found.height[index]), int(found.width[index]), int(found.depth[index])
        choices = slow.choices()
        same = [choice for choice in choices if choice[:3] == taken]
        assert same, (layer, taken)
        fitting = [choice for choice in choices if choice.fits]
        least = min(choice.moved for choice in fitting or choices)
        assert same[0].fits == bool(fitting), (layer, taken)
        assert same[0].moved <= least * (1 + Fraction(1, 10**12)), (layer, taken)  # ties may fall either way
        misfits += not fitting
        expected = slow.work(*taken)
        for field in Blocks._fields:
            value = getattr(found, field)[index]
            assert value == pytest.approx(expected[field], rel=1e-12), (layer, taken, field)
    assert misfits < len(items) / 2


def test_a_layer_of_one_block() -> None:
    blocks = cut(layers_of([Layer(16, 8, 8, 16, (1, 1))]), BASE)
    # 4 × 4 microblocks of 2 × 2 positions and 8 of the 16 channels, one step of which 16 of 32 terms are idle.
    slots = 16 * 2 * 2 * 2 * 8 * 32
    assert [float(column[0]) for column in blocks] == [slots, 1024, slots, 1024, 1, 1, 8, 8, 16, 0]


def test_few_input_channels_step_along_the_kernel() -> None:
    blocks = cut(layers_of([Layer(3, 8, 8, 8, (3, 3))]), BASE)
    # 9 taps in steps of 4: three steps; all three channels in each.
    assert blocks.padded_macs.tolist() == [16 * 3 * 2 * 2 * 8 * 32]
    assert blocks.by_kernel.tolist() == [1]
    assert blocks.input_reads.tolist() == [10 * 10 * 3]


def test_a_depthwise_layer_of_one_block() -> None:
    blocks = cut(layers_of([Layer(16, 8, 8, 16, (3, 3), groups=16, depthwise=True)]), BASE)
    assert blocks.padded_macs.tolist() == [16 * 2 * 3 * 2 * 2 * 8 * 32]
    assert (blocks.input_reads.tolist(), blocks.blocks.tolist()) == ([10 * 10 * 16], [1])


def test_one_position_takes_as_long_as_the_least_microblocks_and_half_a_step() -> None:
    blocks = cut(layers_of([Layer(64, 1, 1, 8, (1, 1))]), BASE)
    assert blocks.padded_macs.tolist() == [8.5 * 2 * 2 * 2 * 8 * 32]
    eager = dataclasses.replace(BASE, least_microblocks=1)
    assert cut(layers_of([Layer(64, 1, 1, 8, (1, 1))]), eager).padded_macs.tolist() == [1.5 * 2 * 2 * 2 * 8 * 32]


def test_the_microblock_with_the_least_padding_is_taken() -> None:
    shapes = dataclasses.replace(BASE, microblocks=(SQUARE, FLAT))
    row = Layer(16, 1, 8, 16, (1, 1))
    only_square, best = [cut(layers_of([row]), tiling).padded_macs[0] for tiling in (BASE, shapes)]
    assert (only_square, best) == (8 * 2 * 2 * 2 * 8 * 32, 8 * 2 * 4 * 8 * 32)  # both of at least eight microblocks
    (height,) = cut(layers_of([row]), shapes).height
    assert height == 1


def test_every_mac_has_a_slot_where_a_step_has_one_for_each_tap() -> None:
    items = [layer for layer in random_layers(400, seed=3) if not layer.depthwise]
    for name, tiling in TILINGS.items():
        assert tiling.terms_per_step >= 4 * 8, name
        if tiling.taps_per_step * 8 <= tiling.terms_per_step:
            slots = cut(layers_of(items), tiling).padded_macs
            assert (slots >= np.array([layer.macs for layer in items])).all(), name


@pytest.mark.parametrize("name", TILINGS)
def test_everything_used_is_read_and_everything_made_leaves(name: str) -> None:
    items = [layer for layer in random_layers(400, seed=4) if min(layer.kernel) >= layer.stride]
    blocks = cut(layers_of(items), TILINGS[name])
    used = np.array([layer.in_channels * layer.height * layer.width for layer in items])
    made = np.array([layer.out_channels * math.prod(layer.out_size) for layer in items])
    assert (blocks.input_reads >= used * (1 - 1e-12)).all()
    assert (blocks.outputs >= made).all()
    assert (blocks.weight_reads >= 1).all()
    assert (blocks.blocks >= blocks.weight_reads).all()
    assert (blocks.first_block * blocks.blocks == blocks.padded_macs).all()
    assert all(np.isfinite(column).all() for column in blocks)


def test_more_memory_never_moves_more() -> None:
    items = [layer for layer in random_layers(300, seed=5) if min(layer.kernel) >= layer.stride]
    for tiling in (TILINGS["shared"], TILINGS["accumulators"]):
        before = [math.inf] * len(items)
        for size in (8 << 10, 24 << 10, 64 << 10, 1 << 20):
            wider = dataclasses.replace(tiling, buffer_bytes=size)
            blocks = cut(layers_of(items), wider)
            for index, layer in enumerate(items):
                taken = int(blocks.height[index]), int(blocks.width[index]), int(blocks.depth[index])
                slow = Slow(layer, wider)
                moved = float(slow.moved(*taken)) if slow.fits(*taken) else math.inf
                assert moved <= before[index] * (1 + 1e-12), (layer, size)
                before[index] = moved


def test_a_layer_is_cut_alike_wherever_it_stands() -> None:
    items = random_layers(200, seed=6)
    order = draw.permutation(draw.generator(1), len(items))
    for tiling in TILINGS.values():
        whole = cut(layers_of(items), tiling)
        shuffled = cut(layers_of([items[index] for index in order]), tiling)
        alone = [cut(layers_of([layer]), tiling) for layer in items[:20]]
        for field in Blocks._fields:
            values = getattr(whole, field)
            assert (getattr(shuffled, field) == values[order]).all()
            assert [getattr(blocks, field)[0] for blocks in alone] == values[:20].tolist()


def test_tilings_survive_json() -> None:
    for tiling in TILINGS.values():
        restored = Tiling.from_json(json.loads(json.dumps(tiling.to_json())))
        assert restored == tiling
        assert hash(restored) == hash(tiling)


def test_the_forms_of_an_array_have_its_size() -> None:
    for pixels in (1, 2, 4, 8, 16):
        target = dataclasses.replace(TOY, pixels_per_tile=pixels, output_channels_per_tile=8)
        assert [math.prod(shape) for shape in shapes_of(target)] == [8 * pixels] * 3
    first = Tiling.of(dataclasses.replace(TOY, pixels_per_tile=4))
    assert (first.microblocks, first.terms_per_step) == (((2, 2, 8),), 32)
