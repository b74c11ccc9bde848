"""One operator of a network: its kind, its shapes, and the work and bytes that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from accelzoo.errors import suggestion

Shape = tuple[int, int, int]
Pair = tuple[int, int]

INPUT = "input"
"""Name of the graph's input tensor; every other tensor carries the name of the operator that makes it."""

MATRIX_KINDS = ("conv2d", "depthwise_conv2d", "linear")
"""Kinds with stored weights."""
ELEMENTWISE_KINDS = ("activation", "add", "mul")
"""Kinds that can write over an input of the output's size."""
KINDS = (*MATRIX_KINDS, "matmul", *ELEMENTWISE_KINDS, "pool", "resize", "concat", "softmax", "opaque")
ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "sigmoid", "hard_swish", "hard_sigmoid", "tanh")
POOLINGS = ("avg", "max")
RESIZINGS = ("nearest", "bilinear")
FUNCTIONS = {"activation": ACTIVATIONS, "pool": POOLINGS, "resize": RESIZINGS}
"""What `Op.function` may say, for the kinds that have a fixed list; an `opaque` operator's is free text."""
BIAS_BITS = 32


class Op(NamedTuple):
    """One operator; its output tensor carries its name.

    `name` is the path of the module that runs it. `in_shapes` holds one shape per input, as the operator reads it: a
    view (reshape, transposition or slice) of another operator's output costs nothing and is no operator of its own.
    `function` says which activation, pooling or resizing it is (see `FUNCTIONS`), and of an `opaque` operator what it
    would have to compute. Padding is not a field: it shows in `out_shape`. Bias, if any, is stored at 32 bits.

    A `matmul` multiplies `(batch, rows, inner)` by `(batch, inner, columns)`, both computed by the network; a `softmax`
    runs over the last axis; a pool whose `kernel_size` is the whole map is global.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    weight_bits: int = 8
    activation_bits: int = 8
    bias: bool = False
    function: str = ""

    @property
    def in_shape(self) -> Shape:
        """Shape of the first input."""
        return self.in_shapes[0]

    @property
    def weight_count(self) -> int:
        """Number of weights, bias not counted."""
        if self.kind not in MATRIX_KINDS:
            return 0
        return self.out_shape[0] * (self.in_shapes[0][0] // self.groups) * self.kernel_size[0] * self.kernel_size[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates: weights times output pixels; of a `matmul`, output elements times `inner`."""
        if self.kind == "matmul":
            return math.prod(self.out_shape) * self.in_shapes[0][2]
        return self.weight_count * self.out_shape[1] * self.out_shape[2]

    @property
    def weight_bytes(self) -> int:
        """Bytes of stored weights and bias, before any compression."""
        bias_bits = self.out_shape[0] * BIAS_BITS if self.bias else 0
        return whole_bytes(self.weight_count * self.weight_bits + bias_bits)

    @property
    def input_bytes(self) -> int:
        """Bytes read, summed over all inputs."""
        return sum(whole_bytes(math.prod(shape) * self.activation_bits) for shape in self.in_shapes)

    @property
    def output_bytes(self) -> int:
        """Bytes written."""
        return whole_bytes(math.prod(self.out_shape) * self.activation_bits)


def whole_bytes(bits: int) -> int:
    """Bytes that hold so many bits."""
    return -(-bits // 8)


def misfit(op: Op) -> str:
    """Says what is wrong with an operator's own values; an empty string if nothing is."""
    kind, out = op.kind, op.out_shape
    least, most, fits = _RULES[kind]
    if not least <= len(op.inputs) <= most:
        return f"{kind} takes {least if least == most else 'at least 1'} inputs, got {len(op.inputs)}"
    if min(out) < 1:
        return f"out_shape {out} must be positive (channels, height, width)"
    if op.groups != 1 and (op.in_shapes[0][0] % op.groups or out[0] % op.groups):
        return f"groups (={op.groups}) must divide {op.in_shapes[0][0]} and {out[0]} channels"
    if not fits(op):
        return f"{kind} cannot make {out} from {', '.join(map(str, op.in_shapes))}"
    if kind in FUNCTIONS and op.function not in FUNCTIONS[kind]:
        near = suggestion(op.function, FUNCTIONS[kind])
        return f"unknown function {op.function!r} of {kind}{near} (allowed: {', '.join(FUNCTIONS[kind])})"
    return ""


def _window_fits(op: Op) -> bool:
    """Whether the map is one that some padding of at most the window's size can give."""
    (_, height, width), (_, out_height, out_width) = op.in_shapes[0], op.out_shape
    reach = op.dilation[0] * (op.kernel_size[0] - 1), op.dilation[1] * (op.kernel_size[1] - 1)
    tallest, widest = -(-(height + reach[0]) // op.stride[0]), -(-(width + reach[1]) // op.stride[1])
    return out_height <= tallest and out_width <= widest


def _linear_fits(op: Op) -> bool:
    return op.in_shapes[0][1:] == (1, 1) == op.out_shape[1:]


def _pool_fits(op: Op) -> bool:
    return op.out_shape[0] == op.in_shapes[0][0] and _window_fits(op)


def _matmul_fits(op: Op) -> bool:
    (batch, rows, inner), (other_batch, other_inner, columns) = op.in_shapes
    return (other_batch, other_inner) == (batch, inner) and op.out_shape == (batch, rows, columns)


def _same_shape(op: Op) -> bool:
    return op.out_shape == op.in_shapes[0]


def _pair_fits(op: Op) -> bool:
    shape, other = op.in_shapes
    return op.out_shape == shape and other in (shape, (shape[0], 1, 1))


def _resize_fits(op: Op) -> bool:
    return op.out_shape[0] == op.in_shapes[0][0]


def _concat_fits(op: Op) -> bool:
    maps = {shape[1:] for shape in op.in_shapes}
    return maps == {op.out_shape[1:]} and sum(shape[0] for shape in op.in_shapes) == op.out_shape[0]


def _anything(op: Op) -> bool:
    return bool(op.function)


_RULES: dict[str, tuple[int, float, Callable[[Op], bool]]] = {
    "conv2d": (1, 1, _window_fits),
    "depthwise_conv2d": (1, 1, _window_fits),
    "linear": (1, 1, _linear_fits),
    "matmul": (2, 2, _matmul_fits),
    "activation": (1, 1, _same_shape),
    "add": (2, 2, _pair_fits),
    "mul": (2, 2, _pair_fits),
    "pool": (1, 1, _pool_fits),
    "resize": (1, 1, _resize_fits),
    "concat": (1, math.inf, _concat_fits),
    "softmax": (1, 1, _same_shape),
    "opaque": (1, math.inf, _anything),
}
"""Fewest and most inputs of each kind, and whether its shapes fit."""
