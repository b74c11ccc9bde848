"""What stands in a TensorFlow Lite model beside its operators: weights, biases, and the scales of activations.

Random values are for measuring, where only their distribution counts. Real ones are quantised as LiteRT's integer
kernels ask for (Jacob et al. 2018, §2; LiteRT's 8-bit specification): weights of −127 … 127 with a scale per output
channel and zero point 0, activations of −128 … 127 with a scale and a zero point, biases of 32 bits at the product of
the scales of input and weight.
"""

from __future__ import annotations

import copy
import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.hwmodel.oracles.tflite_model import Precision, Quantization

WEIGHT_SIGMA = 32.0  # of int8 weights: an all-zero or a uniform tensor compresses unlike a trained one
WEIGHT_POOL = 1 << 20
ACTIVATION_SCALE = 0.05
WEIGHT_SCALE = 0.002
FLOAT_BIAS = 0.01
LEVELS = 255  # steps between the lowest and the highest integer of 8 bits
LARGEST_WEIGHT = 127
LARGEST_BIAS = 1 << 30
SMALLEST_SCALE = 1e-10
FIXED_RANGE = ("sigmoid", "tanh")  # activations whose scale the kernels prescribe
WEIGHTED = ("conv2d", "depthwise_conv2d", "linear")


class OpValues(NamedTuple):
    """The trained values of a convolution or a linear layer, and how it pads.

    Attributes:
        weights: `(out_channels, in_channels / groups, height, width)`; of a linear layer `(out, in)`.
        bias: `(out_channels,)`, or None.
        padding: Rows above and columns left of the input that are zeros; None pads as TensorFlow's SAME does.
    """

    weights: npt.NDArray[np.floating[Any]] | None = None
    bias: npt.NDArray[np.floating[Any]] | None = None
    padding: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkValues:
    """What makes a graph a certain network.

    Attributes:
        ops: By operator name, of all that have weights and of pools that pad.
        ranges: By operator name, and of the input by its: the lowest and the highest value of its output. Quantised
            models need all of them.
    """

    ops: Mapping[str, OpValues]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Constants(NamedTuple):
    """Weights and bias as they are stored, with what they stand for."""

    weights: npt.NDArray[Any]
    weight_quantization: Quantization | None
    bias: npt.NDArray[Any]
    bias_quantization: Quantization | None


class Values(Protocol):
    """Where a translation takes values from."""

    def constants(self, op: Op, shape: tuple[int, ...], axis: int, x: Quantization | None) -> Constants:
        """Weights of that shape with output channels along `axis`, for an input so quantised."""

    def quantization(self, name: str, part: str = "") -> Quantization | None:
        """Of what an operator makes, or of a part of its computation; None in floating point."""

    def padding(self, op: Op) -> tuple[int, int] | None:
        """What the operator pads above and to the left; None: as SAME."""


class RandomValues:
    """Normally distributed weights (σ 32 as int8, 0.064 as float), one scale for all activations."""

    def __init__(self, precision: Precision, seed: int) -> None:
        self._precision = precision
        # One pool of draws, read from random places: drawing every weight anew takes longer than compiling it.
        self._pool, rng = _pool_of_draws(seed)
        self._rng = copy.deepcopy(rng)

    def constants(self, op: Op, shape: tuple[int, ...], axis: int, x: Quantization | None) -> Constants:
        """Draws weights; biases are equal."""
        count, channels = math.prod(shape), shape[axis]
        start = draw.below(self._rng, WEIGHT_POOL)
        values = np.take(self._pool, np.arange(start, start + count), mode="wrap").reshape(shape)
        if self._precision == "float32":
            # Not zero: in a deep network of random weights the activations would shrink to denormals, which are slow.
            bias = np.full(channels, FLOAT_BIAS, np.float32)
            return Constants(values * np.float32(WEIGHT_SIGMA * WEIGHT_SCALE), None, bias, None)
        stored = np.clip(np.rint(values * WEIGHT_SIGMA), -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8)
        of_weights = Quantization(WEIGHT_SCALE, channels=channels, axis=axis)
        of_bias = Quantization(ACTIVATION_SCALE * WEIGHT_SCALE, channels=channels)
        return Constants(stored, of_weights, np.zeros(channels, np.int32), of_bias)

    def quantization(self, name: str, part: str = "") -> Quantization | None:
        """The same for everything."""
        return Quantization(ACTIVATION_SCALE) if self._precision == "int8" else None

    def padding(self, op: Op) -> tuple[int, int] | None:
        """SAME: where the zeros stand costs nothing."""
        return None


class TrainedValues:
    """The values of a network; see `NetworkValues`.

    Args:
        graph: Its operators.
        precision: How to store them.
        values: Weights by operator, and with int8 the range of every tensor.
    """

    def __init__(self, graph: Graph, precision: Precision, values: NetworkValues) -> None:
        self._ops = values.ops
        self._ranges = shared_ranges(graph, values.ranges) if precision == "int8" else None

    def constants(self, op: Op, shape: tuple[int, ...], axis: int, x: Quantization | None) -> Constants:
        """The operator's own values, quantised if its input is."""
        own = self._ops[op.name]
        assert own.weights is not None
        weights = _stored_order(op, own.weights.astype(np.float32), shape)
        bias = np.zeros(shape[axis], np.float32) if own.bias is None else own.bias.astype(np.float32)
        if x is None:
            return Constants(weights, None, bias, None)
        others = tuple([index for index in range(weights.ndim) if index != axis])
        assert isinstance(x.scale, float)
        scales = _weight_scales(np.abs(weights).max(others), bias, x.scale)
        spread = scales.reshape([-1 if index == axis else 1 for index in range(weights.ndim)])
        stored = np.clip(np.rint(weights / spread), -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8)
        of_weights = Quantization(tuple(scales.tolist()), channels=shape[axis], axis=axis)
        of_bias = Quantization(tuple((scales * x.scale).tolist()), channels=shape[axis])
        return Constants(stored, of_weights, np.rint(bias / (scales * x.scale)).astype(np.int32), of_bias)

    def quantization(self, name: str, part: str = "") -> Quantization | None:
        """Of the range that was seen; a shifted input is clipped to 0 … 6 as the operator prescribes."""
        if self._ranges is None:
            return None
        return affine(0.0, 6.0) if part == ".shifted" else affine(*self._ranges[name])

    def padding(self, op: Op) -> tuple[int, int] | None:
        """The network's own."""
        return self._ops[op.name].padding if op.name in self._ops else None


def affine(low: float, high: float) -> Quantization:
    """The scale and zero point of −128 … 127 that cover `low` … `high` and hold 0 exactly (Jacob et al. 2018, §3)."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / LEVELS, SMALLEST_SCALE)
    return Quantization(float(np.float32(scale)), int(np.clip(round(-128 - low / scale), -128, 127)))


def shared_ranges(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Gives maps that are concatenated, and what is read by nothing else, one range: joining them then costs nothing.

    What another operator reads too keeps its own, and is brought to the other scale where it is joined.
    """
    found = dict(ranges)
    readers = Counter(name for op in graph.ops for name in op.inputs)
    makers = {op.name: op for op in graph.ops}
    for op in reversed(graph.ops):
        if op.kind != "concat":
            continue
        parts = [found[name] for name in op.inputs]
        found[op.name] = min(low for low, _ in parts), max(high for _, high in parts)
        for name in op.inputs:
            while name in makers and readers[name] == 1 and makers[name].function not in FIXED_RANGE:
                found[name] = found[op.name]
                maker = makers[name]
                if not keeps_scale(maker):
                    break
                name = maker.inputs[0]
    return found


def keeps_scale(op: Op) -> bool:
    """Whether LiteRT's kernel wants one scale for what the operator reads and makes: windowed pools, and resizing."""
    return op.kind == "resize" or (op.kind == "pool" and not is_global(op))


def is_global(op: Op) -> bool:
    """Whether a pool averages the whole map."""
    return op.function == "avg" and op.kernel_size == op.in_shape[1:] and op.out_shape[1:] == (1, 1)


def space_to_depth_block(op: Op, made: tuple[int, int, int]) -> int:
    """Side of the squares of a map of shape `made` whose pixels an operator reads as channels; 1 if it does not."""
    channels, height, width = op.in_shape
    block = made[1] // height if height else 1
    folded = (made[0] * block**2, made[1] // max(block, 1), made[2] // max(block, 1))
    return block if block > 1 and folded == (channels, height, width) else 1


def averages_columns(op: Op, made: tuple[int, int, int]) -> bool:
    """Whether a pool averages each column of a map of shape `made`: sequence heads do so over the frequencies."""
    channels, height, width = made
    return op.kind == "pool" and is_global(op) and width > 1 and op.in_shape == (channels * width, height, 1)


@functools.lru_cache(maxsize=2)
def _pool_of_draws(seed: int) -> tuple[npt.NDArray[np.float32], np.random.Generator]:
    """Returns the pool, and the generator as it is after drawing it."""
    rng = draw.generator(seed)
    return rng.standard_normal(WEIGHT_POOL).astype(np.float32), rng


def _stored_order(op: Op, weights: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """From channels first, as torch has them, to channels last."""
    if op.kind == "linear":
        return weights.reshape(shape)
    order = (1, 2, 3, 0) if op.kind == "depthwise_conv2d" else (0, 2, 3, 1)
    return np.ascontiguousarray(weights.transpose(order)).reshape(shape)


def _weight_scales(
    largest: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], x_scale: float
) -> npt.NDArray[np.float32]:
    """Scales by output channel, large enough that the bias, stored at a multiple of them, fits into 32 bits."""
    least = np.maximum(np.abs(bias) / (LARGEST_BIAS * x_scale), SMALLEST_SCALE)
    return np.maximum(largest / LARGEST_WEIGHT, least).astype(np.float32)
