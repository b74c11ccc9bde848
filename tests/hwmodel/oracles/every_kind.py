"""A small network with every kind of operator that TensorFlow Lite files hold, and the same network in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F  # the field's idiom
from torch import Tensor

from accelzoo.hwmodel import Graph, GraphBuilder, Op
from accelzoo.hwmodel.ir import INPUT
from accelzoo.hwmodel.oracles.tflite_model import Model

ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "sigmoid", "hard_swish", "hard_sigmoid", "tanh")


def every_kind(functions: tuple[str, ...] = ACTIVATIONS, resizing: str = "bilinear") -> Graph:
    """A stem, one inverted bottleneck with squeeze-and-excitation per activation, a pyramid of two maps, a head."""
    builder = GraphBuilder((3, 36, 28))  # even, so that at stride 2 SAME pads one side more than the other
    x = builder.conv2d("stem", builder.input, 8, kernel_size=3, stride=2)
    x = builder.activation("stem.act", x, functions[0])
    for number, function in enumerate(functions):
        x = _bottleneck(builder, f"block{number}", x, function, kernel_size=3 if number % 2 else 5)
    small = builder.pool("shrink", x, 3, 2, "max")
    small = builder.conv2d("dilated", small, 8, kernel_size=3, dilation=2)
    small = builder.activation("dilated.act", small, "relu6")
    small = builder.conv2d("grouped", small, 8, kernel_size=3, groups=2)
    large = builder.resize("grow", small, builder.shape(x)[1:], resizing)
    x = builder.concat("concat", (x, large))
    x = builder.pool("smooth", x, 3, 2, "avg")
    x = builder.conv2d("wide", x, 24)
    x = builder.global_pool("pool", builder.activation("wide.act", x, functions[-1]))
    builder.linear("classifier", x, 10)
    return builder.graph()


def _bottleneck(builder: GraphBuilder, name: str, x: str, function: str, kernel_size: int) -> str:
    y = builder.activation(f"{name}.expand.act", builder.conv2d(f"{name}.expand", x, 24), function)
    y = builder.conv2d(f"{name}.depthwise", y, 24, kernel_size=kernel_size, groups=24)
    y = builder.activation(f"{name}.depthwise.act", y, function)
    gate = builder.conv2d(f"{name}.reduce", builder.global_pool(f"{name}.pool", y), 4)
    gate = builder.conv2d(f"{name}.restore", builder.activation(f"{name}.reduce.act", gate, "relu"), 24)
    y = builder.mul(f"{name}.scale", y, builder.activation(f"{name}.gate", gate, "hard_sigmoid"))
    y = builder.conv2d(f"{name}.project", y, builder.shape(x)[0])
    return builder.activation(f"{name}.act", builder.add(f"{name}.add", x, y), "relu")


def run_in_torch(graph: Graph, model: Model, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Computes the graph's output `(channels, height, width)` with the weights of `model`."""
    constants = {tensor.name: torch.from_numpy(tensor.data) for tensor in model.tensors if tensor.data is not None}
    values = {INPUT: torch.from_numpy(image)[None]}
    for position, op in enumerate(graph.ops):
        weights, bias = (constants.get(f"t{position}.{part}") for part in ("weights", "bias"))
        inputs = [values[name] for name in op.inputs]
        values[op.name] = _RULES[op.kind](op, weights, bias, *inputs)
    result: npt.NDArray[Any] = values[graph.ops[-1].name][0].numpy()
    return result


def _padded(op: Op, x: Tensor, value: float = 0.0) -> Tensor:
    """Pads as TensorFlow does: as much as the output needs, the odd pixel at the end; VALID outputs need none."""
    sides: list[int] = []
    for axis in (1, 0):
        reach = op.dilation[axis] * (op.kernel_size[axis] - 1) + 1
        size, out, stride = op.in_shape[axis + 1], op.out_shape[axis + 1], op.stride[axis]
        total = max((out - 1) * stride + reach - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value)


def _conv(op: Op, weights: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    # Stored as output × height × width × input; depthwise as 1 × height × width × channels.
    order = (3, 0, 1, 2) if op.kind == "depthwise_conv2d" else (0, 3, 1, 2)
    return F.conv2d(
        _padded(op, x), weights.permute(*order), bias, stride=op.stride, dilation=op.dilation, groups=op.groups
    )


def _linear(op: Op, weights: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return F.linear(x.flatten(1), weights, bias)[:, :, None, None]


def _pool(op: Op, weights: None, bias: None, x: Tensor) -> Tensor:
    if op.function == "max":
        return F.max_pool2d(_padded(op, x, -torch.inf), op.kernel_size, op.stride)
    if op.kernel_size == op.in_shape[1:]:
        return x.mean((2, 3), keepdim=True)
    inside = F.avg_pool2d(_padded(op, torch.ones_like(x)), op.kernel_size, op.stride)
    return F.avg_pool2d(_padded(op, x), op.kernel_size, op.stride) / inside


def _resize(op: Op, weights: None, bias: None, x: Tensor) -> Tensor:
    mode = {"nearest": "nearest-exact", "bilinear": "bilinear"}[op.function]
    return F.interpolate(x, op.out_shape[1:], mode=mode)


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "gelu": F.gelu,
    "sigmoid": F.sigmoid,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "tanh": F.tanh,
}
_RULES: dict[str, Any] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "linear": _linear,
    "activation": lambda op, weights, bias, x: _FUNCTIONS[op.function](x),
    "add": lambda op, weights, bias, x, y: x + y,
    "mul": lambda op, weights, bias, x, y: x * y,
    "pool": _pool,
    "resize": _resize,
    "concat": lambda op, weights, bias, *xs: torch.cat(xs, 1),
    "softmax": lambda op, weights, bias, x: x.softmax(-1),
}
