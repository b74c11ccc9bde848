"""A network as the operators of its graph compute it, with trained weights and without normalisations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # the field's idiom
from torch import Tensor

from accelzoo.errors import ExportError
from accelzoo.hwmodel.ir import INPUT, Graph, Op
from accelzoo.hwmodel.oracles.tflite_values import OpValues, averages_columns, is_global, space_to_depth_block

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
}


class FoldedNetwork:
    """Runs a graph with trained values on the CPU, in float32 unless told otherwise; `fold` makes one.

    Attributes:
        graph: The operators.
        values: Weights, biases and padding by operator name.

    Raises:
        ExportError: If the graph holds operators that have no trained form; the message names them.
    """

    def __init__(self, graph: Graph, values: Mapping[str, OpValues], dtype: torch.dtype = torch.float32) -> None:
        self.graph = graph
        self.values = dict(values)
        if unknown := [f"{op.name} ({op.kind})" for op in graph.ops if op.kind not in _RULES]:
            raise ExportError(f"no integer form of {', '.join(unknown[:5])}: the network cannot be quantised")
        self._dtype = dtype
        self._weights = {
            name: torch.from_numpy(own.weights).to(dtype)
            for name, own in self.values.items()
            if own.weights is not None
        }
        self._biases = {
            name: torch.from_numpy(own.bias).to(dtype) for name, own in self.values.items() if own.bias is not None
        }
        self._readers = Counter(name for op in graph.ops for name in op.inputs)
        self.outputs = tuple([op.name for op in graph.ops if not self._readers[op.name]])

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Maps images `(batch, channels, height, width)` to what nothing reads, in the order in which it is made."""
        found = {name: value for name, value in self.activations(images) if name in self.outputs}
        return [found[name] for name in self.outputs]

    @torch.no_grad()
    def activations(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yields the input, then every operator's name and output `(batch, channels, height, width)`."""
        left = self._readers.copy()
        alive = {INPUT: images.to(self._dtype).contiguous()}
        yield INPUT, alive[INPUT]
        for op in self.graph.ops:
            inputs = [_viewed(op, number, alive[name]) for number, name in enumerate(op.inputs)]
            output = _RULES[op.kind](self, op, *inputs)
            yield op.name, output
            alive[op.name] = output
            left.subtract(op.inputs)
            for name in op.inputs:
                if not left[name]:
                    alive.pop(name, None)

    def weighted(self, op: Op, x: Tensor) -> Tensor:
        """A convolution or a linear layer, with the operator's own values."""
        weights, bias = self._weights[op.name], self._biases.get(op.name)
        if op.kind == "linear":
            return F.linear(x.flatten(1), weights, bias)[:, :, None, None]
        return F.conv2d(self._padded(op, x), weights, bias, op.stride, 0, op.dilation, op.groups)

    def pool(self, op: Op, x: Tensor) -> Tensor:
        """A maximum over windows, or an average over windows or the whole map."""
        if is_global(op):
            return x.mean((2, 3), keepdim=True)
        if op.function == "max":
            return F.max_pool2d(self._padded(op, x, -math.inf), op.kernel_size, op.stride)
        inside = F.avg_pool2d(self._padded(op, torch.ones_like(x)), op.kernel_size, op.stride)
        return F.avg_pool2d(self._padded(op, x), op.kernel_size, op.stride) / inside

    def _padded(self, op: Op, x: Tensor, value: float = 0.0) -> Tensor:
        """Pads as the operator's values say; as TensorFlow's SAME does if they do not, the odd pixel at the end."""
        own = self.values.get(op.name, OpValues()).padding
        sides: list[int] = []
        for axis in (1, 0):
            taps = op.dilation[axis] * (op.kernel_size[axis] - 1) + 1
            total = (op.out_shape[axis + 1] - 1) * op.stride[axis] + taps - op.in_shape[axis + 1]
            before = max(total, 0) // 2 if own is None else own[axis]
            sides += [before, total - before]  # negative where the last pixels are not read
        return F.pad(x, sides, value=value)


def _viewed(op: Op, number: int, x: Tensor) -> Tensor:
    shape, made = op.in_shapes[number], (x.shape[1], x.shape[2], x.shape[3])
    if shape == made:
        return x
    if op.kind == "conv2d" and op.groups == 1 and (block := space_to_depth_block(op, made)) > 1:
        return F.pixel_unshuffle(x, block)
    if averages_columns(op, made):
        return x.transpose(2, 3).reshape(len(x), *shape)
    if shape[1] == made[1] == made[2] == 1:  # what such a pool made, step by step
        return x.reshape(len(x), *shape)
    raise ExportError(f"{op.name} reads a map of {made} as {shape}: such views have no counterpart in LiteRT")


def _softmax(network: FoldedNetwork, op: Op, x: Tensor) -> Tensor:
    if op.in_shape[1:] != (1, 1):
        raise ExportError(f"{op.name}: LiteRT has no softmax over the last axis of a map of {op.in_shape}")
    return x.softmax(1)


_RULES: dict[str, Any] = {
    "conv2d": FoldedNetwork.weighted,
    "depthwise_conv2d": FoldedNetwork.weighted,
    "linear": FoldedNetwork.weighted,
    "pool": FoldedNetwork.pool,
    "activation": lambda network, op, x: _FUNCTIONS[op.function](x),
    "add": lambda network, op, x, y: x + y,
    "mul": lambda network, op, x, y: x * y,
    "resize": lambda network, op, x: F.interpolate(x, op.out_shape[1:], mode=op.function),
    "concat": lambda network, op, *xs: torch.cat(xs, 1),
    "softmax": _softmax,
}
