"""Single operators, and the few that need others to feed them."""

from __future__ import annotations

import math
from collections.abc import Callable

from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.hwmodel.sampling.choices import (
    KERNELS,
    Rng,
    chance,
    channels,
    choose,
    log_between,
    weighted,
)

LARGEST_MAP = 1_500_000
LARGEST_WORK = 1_000_000_000
OPERATOR_KINDS = {
    "conv2d": 24,
    "pointwise": 16,
    "depthwise_conv2d": 18,
    "group_conv2d": 3,
    "linear": 7,
    "add": 6,
    "mul": 5,
    "activation": 9,
    "pool": 4,
    "global_pool": 4,
    "resize": 2,
    "concat": 2,
}
"""Every kind, with the weight at which it is drawn."""
FUNCTIONS = {"relu": 2, "relu6": 1, "silu": 3, "sigmoid": 3, "hard_swish": 4, "hard_sigmoid": 3, "tanh": 1, "gelu": 1}


def draw_operator(rng: Rng, kind: str) -> Graph:
    """Draws one operator; additions, products and concatenations come with the convolutions that feed them."""
    size = weighted(rng, {7: 10, 14: 10, 28: 8, 56: 7, 112: 5, 1: 3, 0: 57}) or log_between(rng, 1, 320)
    width = channels(rng, 3, 1280)
    while width > 8 and width * size * size > LARGEST_MAP:
        width //= 2
    while kind in ("add", "group_conv2d", "concat") and width > 8 and _work(width * width, width, size, 1):
        width //= 2
    if kind == "linear":
        width, size = channels(rng, 16, 2048), 1
    if kind == "global_pool":
        size = min(size, 64)
    builder = GraphBuilder((width, size, size))
    DRAWS[kind](rng, builder)
    return builder.graph()


def _draw_stride(rng: Rng) -> int:
    return weighted(rng, {1: 66, 2: 34})


def _conv2d(rng: Rng, builder: GraphBuilder) -> None:
    kernel_size = weighted(rng, KERNELS)
    _convolution(rng, builder, kernel_size)


def _pointwise(rng: Rng, builder: GraphBuilder) -> None:
    _convolution(rng, builder, 1)


def _convolution(rng: Rng, builder: GraphBuilder, kernel_size: int) -> None:
    width, size, _ = builder.shape(builder.input)
    stride = _draw_stride(rng)
    out = channels(rng, 4, 1280)
    while out > 8 and _work(width * out * kernel_size**2, out, size, stride):
        out //= 2
    y = builder.conv2d("conv", builder.input, out, kernel_size, stride)
    _maybe_activate(rng, builder, y)


def _work(weights: int, out_channels: int, size: int, stride: int) -> bool:
    """Tells whether an operator is larger than any that networks have."""
    pixels = math.ceil(size / stride) ** 2
    return weights * pixels > LARGEST_WORK or out_channels * pixels > LARGEST_MAP


def _depthwise_conv2d(rng: Rng, builder: GraphBuilder) -> None:
    width = builder.shape(builder.input)[0]
    y = builder.conv2d("conv", builder.input, width, weighted(rng, KERNELS), _draw_stride(rng), groups=width)
    _maybe_activate(rng, builder, y)


def _group_conv2d(rng: Rng, builder: GraphBuilder) -> None:
    width = builder.shape(builder.input)[0]
    groups = next(count for count in (choose(rng, (2, 4, 8, 16)), 4, 2, 1) if width % count == 0)
    out = width * weighted(rng, {1: 60, 2: 40})
    while out > width and _work(width * out * 9 // groups, out, builder.shape(builder.input)[1], 1):
        out //= 2
    y = builder.conv2d("conv", builder.input, out, 3, _draw_stride(rng), groups=groups)
    _maybe_activate(rng, builder, y)


def _linear(rng: Rng, builder: GraphBuilder) -> None:
    builder.linear("linear", builder.input, 1000 if chance(rng, 25) else log_between(rng, 10, 2000))


def _add(rng: Rng, builder: GraphBuilder) -> None:
    y = builder.conv2d("conv", builder.input, builder.shape(builder.input)[0], 1)
    y = builder.add("add", y, builder.input)
    _maybe_activate(rng, builder, y)


def _mul(rng: Rng, builder: GraphBuilder) -> None:
    gate = builder.global_pool("pool", builder.input)
    gate = builder.activation("gate", gate, choose(rng, ("sigmoid", "hard_sigmoid")))
    builder.mul("mul", builder.input, gate)


def _activation(rng: Rng, builder: GraphBuilder) -> None:
    builder.activation("act", builder.input, weighted(rng, FUNCTIONS))


def _pool(rng: Rng, builder: GraphBuilder) -> None:
    kernel_size = weighted(rng, {2: 30, 3: 60, 5: 10})
    stride = choose(rng, (1, 2, 2))
    builder.pool("pool", builder.input, kernel_size, stride, choose(rng, ("max", "avg")))


def _global_pool(rng: Rng, builder: GraphBuilder) -> None:
    builder.global_pool("pool", builder.input)


def _resize(rng: Rng, builder: GraphBuilder) -> None:
    _, height, width = builder.shape(builder.input)
    factor = weighted(rng, {2: 80, 4: 20}) if height <= 80 else 2
    builder.resize("resize", builder.input, (factor * height, factor * width), choose(rng, ("nearest", "bilinear")))


def _concat(rng: Rng, builder: GraphBuilder) -> None:
    y = builder.conv2d("conv", builder.input, channels(rng, 8, 128), 1)
    builder.concat("concat", [y, builder.input])


def _maybe_activate(rng: Rng, builder: GraphBuilder, y: str) -> None:
    if chance(rng, 60):
        builder.activation("act", y, weighted(rng, FUNCTIONS))


DRAWS: dict[str, Callable[[Rng, GraphBuilder], None]] = {
    "conv2d": _conv2d,
    "pointwise": _pointwise,
    "depthwise_conv2d": _depthwise_conv2d,
    "group_conv2d": _group_conv2d,
    "linear": _linear,
    "add": _add,
    "mul": _mul,
    "activation": _activation,
    "pool": _pool,
    "global_pool": _global_pool,
    "resize": _resize,
    "concat": _concat,
}
