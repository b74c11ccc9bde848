"""How an accelerator with a small local buffer cuts a layer into blocks, and what that costs: the physics prior.

The array computes one output block at a time: a rectangle of positions times a run of channels, whose 32-bit sums and
whose inputs lie in a double-buffered local memory. Every block reads its inputs and its weights anew, so a layer moves
its inputs once per run of output channels and its weights once per rectangle. Of the blocks that fit, a compiler takes
the one that moves the fewest bytes (the trade-off of loop tiling: Chen et al., Eyeriss, ISCA 2016, §V; Parashar et al.,
Timeloop, ISPASS 2019). Within a block the array works in whole microblocks of positions × channels and in whole steps
along the terms of a sum, so that part-filled ones take as long as full ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.target import Target

Column = npt.NDArray[np.float64]

ACCUMULATOR_BYTES = 4
LARGEST_BLOCK = 64
WINDOW_LIMIT = 8  # kernels wider than this are walked in pieces of this size
SPLITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 20)  # into how many columns of blocks a map may fall
DEPTHS = (16, 32, 48, 64, 80, 96, 128, 192, 256)
_MISFIT = 1e9  # makes a block that does not fit lose against any that does


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """The numbers that decide how a layer is cut.

    Attributes:
        buffer_bytes: Local memory that sums and inputs of a block share, both buffered twice; for inputs alone if there
            are `accumulators`.
        microblocks: Rows × columns of output positions × channels that the array computes at once; of several, each
            layer takes the one that it fills best.
        terms_per_step: Terms of one output's sum that a step adds, for layers with many input channels.
        taps_per_step: Kernel positions that a step adds in a layer with few, or in a depthwise convolution.
        least_microblocks: Steps over fewer microblocks take as long as over this many: weights arrive no faster.
        outputs_per_cycle: Finished elements that leave the array in a cycle.
        accumulators: Sums that a memory of their own holds; 0 if they share the buffer.
        restreamed: Whether weights come from off-chip memory anew for every rectangle of positions.
        input_off_chip: Whether the network's input is read from off-chip memory, however much room there is.
        channel_bytes: Off-chip bytes moved for every output channel of a block: scales, biases and waiting for them.
    """

    buffer_bytes: int
    microblocks: tuple[tuple[int, int, int], ...]
    terms_per_step: int
    outputs_per_cycle: float
    taps_per_step: int = 4
    least_microblocks: int = 8
    accumulators: int = 0
    restreamed: bool = False
    channel_bytes: float = 0.0
    input_off_chip: bool = False

    @classmethod
    def of(cls, target: Target) -> Self:
        """Returns a tiling for a target's array, whose weights stay for four cycles."""
        return cls(
            buffer_bytes=44 << 10,
            microblocks=shapes_of(target)[:1],
            terms_per_step=4 * target.input_channels_per_tile,
            outputs_per_cycle=8 * target.elementwise_per_cycle,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; `from_json` is the inverse."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "microblocks": list(map(list, self.microblocks))
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds a tiling from `to_json`'s data."""
        return cls(**{**data, "microblocks": tuple((rows, cols, out) for rows, cols, out in data["microblocks"])})


def shapes_of(target: Target) -> tuple[tuple[int, int, int], ...]:
    """Returns the forms that an array of the target's size could take: square, flat, and with fewer channels."""
    pixels, channels = target.pixels_per_tile, target.output_channels_per_tile
    columns = 1 << (int(math.log2(pixels)) // 2)
    return (
        (max(1, pixels // columns), columns, channels),
        (1, pixels, channels),
        (max(1, pixels // columns), 2 * columns, max(1, channels // 2)),
    )


class Blocks(NamedTuple):
    """What cutting does to each of n layers; arrays of shape (n,)."""

    padded_macs: Column  # MAC slots that the array spends, idle ones included
    outputs: Column  # elements that leave the array, those of clipped blocks included
    first_block: Column  # MAC slots of one block
    input_reads: Column  # input elements moved
    weight_reads: Column  # times that all weights are moved
    blocks: Column
    height: Column
    width: Column
    depth: Column
    by_kernel: Column  # 1 where steps run along the kernel rather than along the input channels


class Layers(NamedTuple):
    """The layers to cut; arrays of shape (n,). A depthwise convolution or a pooling has `groups` equal to channels."""

    in_channels: Column
    height: Column
    width: Column
    out_channels: Column
    out_height: Column
    out_width: Column
    kernel_height: Column
    kernel_width: Column
    stride: Column
    groups: Column
    depthwise: npt.NDArray[np.bool_]


class _Terms(NamedTuple):
    """What is known before blocks are chosen; arrays of shape (n, 1)."""

    inputs: Column  # input channels of one group
    outputs: Column
    by_kernel: npt.NDArray[np.bool_]
    step_channels: Column  # input channels of one step
    unit: tuple[Column, Column, Column]  # rows, columns and channels of the microblock


def cut(layers: Layers, tiling: Tiling) -> Blocks:
    """Cuts every layer into blocks."""
    x = Layers._make([column[:, None] for column in layers])
    outputs = np.where(x.depthwise, x.out_channels, x.out_channels / x.groups)
    inputs = np.where(x.depthwise, 1.0, x.in_channels / x.groups)
    by_kernel = _steps_along_kernel(inputs, x.kernel_height * x.kernel_width, tiling) & ~x.depthwise
    step_channels = np.minimum(_up(inputs, 8), np.where(by_kernel, 16, tiling.terms_per_step))
    terms = _Terms(inputs, outputs, by_kernel, step_channels, _microblock(x, outputs, tiling))
    return _work(layers, tiling, terms, _least_traffic(x, terms, tiling))


def _least_traffic(x: Layers, terms: _Terms, tiling: Tiling) -> tuple[Column, Column, Column]:
    """Returns height, width and depth of the blocks that fit and move the fewest bytes."""
    inputs, outputs, many = terms.inputs, terms.outputs, x.depthwise
    unit_rows, unit_columns, _ = terms.unit
    splits, depths = _candidates()
    depth = np.minimum(depths, _up(outputs, 16))
    width = np.minimum(_up(np.ceil(x.out_width / splits), unit_columns), LARGEST_BLOCK)
    block_inputs = np.where(many, depth, terms.step_channels)
    window_h, window_w = np.minimum(x.kernel_height, WINDOW_LIMIT), np.minimum(x.kernel_width, WINDOW_LIMIT)
    reach = width * x.stride + window_w - x.stride
    # What fills the memory is of first degree in the block's height: sums and inputs in half of it, or each in its own.
    overlap = (window_h - x.stride) * reach * block_inputs
    row_of_inputs = x.stride * reach * block_inputs
    if tiling.accumulators:
        height = np.minimum(
            tiling.accumulators / (width * depth), (tiling.buffer_bytes - overlap) / np.maximum(row_of_inputs, 1)
        )
    else:
        height = (tiling.buffer_bytes / 2 - overlap) / (ACCUMULATOR_BYTES * width * depth + row_of_inputs)
    fits = height >= unit_rows
    most = np.minimum(_up(x.out_height, unit_rows), LARGEST_BLOCK)
    height = np.clip(np.floor(height / unit_rows) * unit_rows, unit_rows, most)
    area = (height * x.stride + window_h - x.stride) * reach
    channels = np.where(many, outputs, inputs)
    deep = np.where(many, 1.0, np.ceil(outputs / depth))
    reads = area * channels * (x.out_height / height) * (x.out_width / width) * deep
    rectangles = np.ceil(x.out_height / height) * np.ceil(x.out_width / width)
    moved = reads + x.kernel_height * x.kernel_width * inputs * outputs * rectangles
    # Inputs that fit into both buffers at once are read but once.
    moved = np.where(x.height * x.width * channels < 2 * area * block_inputs, moved / 2, moved)
    best = np.argmin(np.where(fits, moved, moved * _MISFIT), axis=1)[:, None]
    return _take(height, best), _take(width, best), _take(depth, best)


def _take(values: Column, best: npt.NDArray[np.int64]) -> Column:
    columns = max(values.shape[1], int(best.max(initial=0)) + 1)
    return np.take_along_axis(np.broadcast_to(values, (len(values), columns)), best, axis=1)[:, 0]


def _microblock(x: Layers, outputs: Column, tiling: Tiling) -> tuple[Column, Column, Column]:
    """Returns rows, columns and channels of each layer's microblock: the first of those with the least padding."""
    shapes = np.array(tiling.microblocks, float)
    padded = _up(x.out_height, shapes[:, 0]) * _up(x.out_width, shapes[:, 1]) * _up(outputs, shapes[:, 2])
    chosen = shapes[np.argmin(padded, axis=1)]
    return chosen[:, :1], chosen[:, 1:2], chosen[:, 2:]


def _work(layers: Layers, tiling: Tiling, terms: _Terms, block: tuple[Column, Column, Column]) -> Blocks:
    """Counts the work of the chosen blocks."""
    height, width, depth = block
    unit_rows, unit_columns, unit_channels = [column[:, 0] for column in terms.unit]
    inputs, outputs, step_channels = terms.inputs[:, 0], terms.outputs[:, 0], terms.step_channels[:, 0]
    many = layers.depthwise
    groups = np.where(many, 1.0, layers.groups)
    taps = layers.kernel_height * layers.kernel_width
    rows, columns = np.minimum(height, layers.out_height), np.minimum(width, layers.out_width)
    run = np.minimum(depth, outputs)
    positions = np.ceil(rows / unit_rows) * np.ceil(columns / unit_columns)
    kernel_steps = np.ceil(taps / tiling.taps_per_step)
    along_kernel = kernel_steps * np.ceil(np.minimum(step_channels, inputs) / 8) * np.ceil(inputs / step_channels)
    along_channels = taps * np.ceil(inputs / tiling.terms_per_step)
    steps = np.where(many, kernel_steps, np.where(terms.by_kernel[:, 0], along_kernel, along_channels))
    slots = unit_rows * unit_columns * unit_channels * tiling.terms_per_step
    # A single microblock has no other to hide the array's own delay behind: half a step, as a rule.
    work = np.maximum(positions, tiling.least_microblocks) + np.where(positions == 1, 0.5, 0.0)
    first = work * np.ceil(run / unit_channels) * steps * slots
    high, wide = np.ceil(layers.out_height / height), np.ceil(layers.out_width / width)
    deep = np.ceil(outputs / depth)
    reach_h = height * layers.stride + np.minimum(layers.kernel_height, WINDOW_LIMIT) - layers.stride
    reach_w = width * layers.stride + np.minimum(layers.kernel_width, WINDOW_LIMIT) - layers.stride
    parts = (layers.out_height / height) * (layers.out_width / width)
    reads = reach_h * reach_w * parts * np.where(many, outputs, inputs * deep)
    count = high * wide * deep * groups
    return Blocks(
        padded_macs=first * count,
        outputs=rows * columns * run * count,
        first_block=first,
        input_reads=reads * groups,
        weight_reads=high * wide,
        blocks=count,
        height=height,
        width=width,
        depth=depth,
        by_kernel=terms.by_kernel[:, 0].astype(float),
    )


def _steps_along_kernel(inputs: Column, taps: Column, tiling: Tiling) -> npt.NDArray[np.bool_]:
    """Whether steps of kernel positions waste fewer MACs than steps of input channels."""
    along_channels = inputs / _up(inputs, tiling.terms_per_step)
    along_kernel = (inputs / _up(inputs, 8)) * (taps / _up(taps, tiling.taps_per_step))
    return (inputs <= 8) | (along_kernel >= along_channels)


def _candidates() -> tuple[Column, Column]:
    splits, depths = np.meshgrid(np.array(SPLITS, float), np.array(DEPTHS, float))
    return splits.ravel()[None, :], depths.ravel()[None, :]


def _up(values: Any, unit: Any) -> Column:
    return np.ceil(values / unit) * unit
