"""The operator graph: what a network computes, with shapes, MACs, bytes and the memory it needs alive.

A graph is a value without tensors. Shapes are `(channels, height, width)` at batch 1. Batch normalisation does not
appear: an accelerator runs it folded into the convolution before it. Work is counted in multiply-accumulates (MACs),
never in "FLOPs", of which different authors count one or two per MAC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from accelzoo.errors import ShapeError, suggestion

Shape = tuple[int, int, int]
Pair = tuple[int, int]

INPUT = "input"
"""Name of the graph's input tensor; every other tensor carries the name of the operator that makes it."""

MATRIX_KINDS = ("conv2d", "depthwise_conv2d", "linear")
ELEMENTWISE_KINDS = ("activation", "add", "mul")
KINDS = (*MATRIX_KINDS, *ELEMENTWISE_KINDS, "pool")
ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "sigmoid", "hard_swish", "hard_sigmoid")
BIAS_BITS = 32


class Op(NamedTuple):
    """One operator; its output tensor carries its name.

    `name` is the path of the module that runs it. `in_shapes` holds one shape per input. `function` says which
    activation (`relu`, …) or which pooling (`avg`, `max`) it is. Bias, if any, is stored at 32 bits.
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
        """Multiply-accumulates: weights times output pixels; zero for operators without weights."""
        return self.weight_count * self.out_shape[1] * self.out_shape[2]

    @property
    def weight_bytes(self) -> int:
        """Bytes of stored weights and bias, before any compression."""
        bias_bits = self.out_shape[0] * BIAS_BITS if self.bias else 0
        return _bytes(self.weight_count * self.weight_bits + bias_bits)

    @property
    def input_bytes(self) -> int:
        """Bytes read, summed over all inputs."""
        return sum(_bytes(math.prod(shape) * self.activation_bits) for shape in self.in_shapes)

    @property
    def output_bytes(self) -> int:
        """Bytes written."""
        return _bytes(math.prod(self.out_shape) * self.activation_bits)


class Graph:
    """An immutable, validated sequence of operators in the order in which they run.

    The schedule is the order given: accelerators of this class run one operator after the other. The last operator
    makes the output.

    Args:
        ops: The operators in execution order.
        input_shape: `(channels, height, width)` of the input.
        activation_bits: Width of the input's elements.

    Raises:
        ShapeError: If a name repeats, an input does not exist yet, or shapes do not fit.
    """

    __slots__ = ("_live_bytes", "activation_bits", "input_shape", "ops")

    def __init__(self, ops: Sequence[Op], input_shape: Shape, activation_bits: int = 8) -> None:
        self.ops: tuple[Op, ...] = tuple(ops)
        self.input_shape = input_shape
        self.activation_bits = activation_bits
        self._live_bytes: tuple[int, ...] | None = None
        self._validate()

    def _validate(self) -> None:
        if not self.ops:
            raise ShapeError("a graph needs at least one operator")
        known: dict[str, Shape] = {INPUT: self.input_shape}
        for op in self.ops:
            if op.kind not in KINDS:
                raise ShapeError(f"operator {op.name!r}: unknown kind {op.kind!r}{suggestion(op.kind, KINDS)}")
            if op.name in known:
                raise ShapeError(f"operator {op.name!r} appears twice")
            if not op.inputs or len(op.inputs) != len(op.in_shapes):
                raise ShapeError(f"operator {op.name!r}: {len(op.inputs)} inputs but {len(op.in_shapes)} input shapes")
            for name, shape in zip(op.inputs, op.in_shapes, strict=True):
                if name not in known:
                    raise ShapeError(f"operator {op.name!r} reads {name!r}, which nothing before it makes")
                if known[name] != shape:
                    raise ShapeError(f"operator {op.name!r} reads {name!r} as {shape}, but it is {known[name]}")
            if fault := _misfit(op):
                raise ShapeError(f"operator {op.name!r}: {fault}")
            known[op.name] = op.out_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Graph({len(self.ops)} operators, input_shape={self.input_shape}, macs={self.macs:,})"

    def _key(self) -> tuple[object, ...]:
        return (self.ops, self.input_shape, self.activation_bits)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference at batch 1."""
        return sum(op.macs for op in self.ops)

    @property
    def weight_count(self) -> int:
        """Number of weights, biases not counted."""
        return sum(op.weight_count for op in self.ops)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights and biases."""
        return sum(op.weight_bytes for op in self.ops)

    @property
    def peak_activation_bytes(self) -> int:
        """The largest number of activation bytes alive at any step of the schedule."""
        return max(self.live_bytes())

    def live_bytes(self) -> tuple[int, ...]:
        """Bytes of activations alive while each operator runs, in schedule order.

        Alive are the operator's inputs, its output and every tensor that a later operator still reads. Activations,
        additions and multiplications write over an input of the output's size which dies with them.
        """
        if self._live_bytes is None:
            self._live_bytes = self._liveness()
        return self._live_bytes

    def _liveness(self) -> tuple[int, ...]:
        last_use = {name: index for index, op in enumerate(self.ops) for name in op.inputs}
        size = {INPUT: _bytes(math.prod(self.input_shape) * self.activation_bits)}
        alive = size[INPUT]
        peaks = []
        for index, op in enumerate(self.ops):
            produced = size[op.name] = op.output_bytes
            dying = [name for name in dict.fromkeys(op.inputs) if last_use[name] == index]
            in_place = op.kind in ELEMENTWISE_KINDS and any(size[name] == produced for name in dying)
            peaks.append(alive if in_place else alive + produced)
            alive += produced - sum(size[name] for name in dying)
            if op.name not in last_use and index + 1 < len(self.ops):
                alive -= produced
        return tuple(peaks)

    def to_json(self) -> dict[str, Any]:
        """Returns the graph as plain JSON data; `from_json` is the inverse."""
        return {
            "input_shape": list(self.input_shape),
            "activation_bits": self.activation_bits,
            "ops": [_op_to_json(op) for op in self.ops],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Rebuilds a graph from `to_json`'s data.

        Raises:
            ShapeError: If the data is not that of a valid graph.
        """
        try:
            ops = [Op(**{key: _tuples(value) for key, value in op.items()}) for op in data["ops"]]
            return cls(ops, _tuples(data["input_shape"]), data["activation_bits"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ShapeError(f"not the data of a graph: {error!r}") from None


class GraphBuilder:
    """Appends operators one by one, working out shapes; the only way our own code makes graphs.

    Every method takes the operator's name first and the names of its inputs next, and returns the operator's name.
    """

    def __init__(self, input_shape: Shape, weight_bits: int = 8, activation_bits: int = 8) -> None:
        if min(input_shape) < 1:
            raise ShapeError(f"input shape {input_shape} must be positive (channels, height, width)")
        self.input = INPUT
        self._input_shape = input_shape
        self._weight_bits = weight_bits
        self._activation_bits = activation_bits
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._ops: list[Op] = []

    def shape(self, name: str) -> Shape:
        """Shape `(channels, height, width)` of the tensor called `name`.

        Raises:
            ShapeError: If nothing so far makes it.
        """
        try:
            return self._shapes[name]
        except KeyError:
            raise ShapeError(f"no operator so far makes {name!r}{suggestion(name, self._shapes)}") from None

    def graph(self) -> Graph:
        """Returns the finished graph."""
        return Graph(self._ops, self._input_shape, self._activation_bits)

    def conv2d(
        self,
        name: str,
        x: str,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> str:
        """Convolution padded by `dilation · (kernel_size − 1) / 2` on each side, so a map shrinks by stride alone.

        One group per input channel and one output channel per group make it a `depthwise_conv2d`. `bias` is true by
        default, since folding a batch normalisation leaves one.

        Raises:
            ShapeError: If a size is not positive, the kernel is even, or `groups` does not divide the channels.
        """
        channels, height, width = self.shape(x)
        _check_conv(name, channels, out_channels, kernel_size, stride, dilation, groups)
        depthwise = groups > 1 and groups == channels == out_channels
        return self._append(
            name,
            "depthwise_conv2d" if depthwise else "conv2d",
            (x,),
            (out_channels, -(-height // stride), -(-width // stride)),
            kernel_size=(kernel_size, kernel_size),
            stride=(stride, stride),
            dilation=(dilation, dilation),
            groups=groups,
            bias=bias,
        )

    def linear(self, name: str, x: str, out_features: int, bias: bool = True) -> str:
        """Matrix product over the channels of a `(channels, 1, 1)` tensor."""
        _, height, width = self.shape(x)
        if (height, width) != (1, 1):
            raise ShapeError(f"{name}: a linear layer needs a pooled input, got a map of {height}x{width}")
        if out_features < 1:
            raise ShapeError(f"{name}: out_features (={out_features}) must be at least 1")
        return self._append(name, "linear", (x,), (out_features, 1, 1), bias=bias)

    def activation(self, name: str, x: str, function: str) -> str:
        """Pointwise non-linearity, one of `ACTIVATIONS`."""
        if function not in ACTIVATIONS:
            raise ShapeError(f"{name}: unknown activation {function!r}{suggestion(function, ACTIVATIONS)}")
        return self._append(name, "activation", (x,), self.shape(x), function=function)

    def add(self, name: str, x: str, y: str) -> str:
        """Sum of two tensors of equal shape."""
        shape, other = self.shape(x), self.shape(y)
        if shape != other:
            raise ShapeError(f"{name}: cannot add {shape} and {other}")
        return self._append(name, "add", (x, y), shape)

    def mul(self, name: str, x: str, gate: str) -> str:
        """Product of a map `(channels, height, width)` with an equal map or with a gate `(channels, 1, 1)`."""
        shape, gate_shape = self.shape(x), self.shape(gate)
        if gate_shape not in (shape, (shape[0], 1, 1)):
            raise ShapeError(f"{name}: cannot scale {shape} by {gate_shape}")
        return self._append(name, "mul", (x, gate), shape)

    def global_pool(self, name: str, x: str) -> str:
        """Average over height and width; `kernel_size` is the whole map."""
        channels, height, width = self.shape(x)
        return self._append(name, "pool", (x,), (channels, 1, 1), kernel_size=(height, width), function="avg")

    def _append(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        out_shape: Shape,
        kernel_size: Pair = (1, 1),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        groups: int = 1,
        bias: bool = False,
        function: str = "",
    ) -> str:
        shapes = self._shapes
        in_shapes = tuple([shapes[x] for x in inputs])
        bits = self._weight_bits, self._activation_bits
        op = Op(name, kind, inputs, in_shapes, out_shape, kernel_size, stride, dilation, groups, *bits, bias, function)
        self._ops.append(op)
        shapes[name] = out_shape
        return name


def _check_conv(
    name: str, channels: int, out_channels: int, kernel_size: int, stride: int, dilation: int, groups: int
) -> None:
    if min(out_channels, kernel_size, stride, dilation, groups) < 1:
        raise ShapeError(
            f"{name}: out_channels (={out_channels}), kernel_size (={kernel_size}), stride (={stride}), "
            f"dilation (={dilation}) and groups (={groups}) must be at least 1"
        )
    if kernel_size % 2 == 0:
        raise ShapeError(f"{name}: kernel_size (={kernel_size}) must be odd, so that padding is the same on all sides")
    if channels % groups or out_channels % groups:
        widths = f"in_channels (={channels}) and out_channels (={out_channels})"
        raise ShapeError(f"{name}: groups (={groups}) must divide {widths}")


def _misfit(op: Op) -> str:
    """Says what is wrong with an operator's own values; an empty string if nothing is."""
    first, out, kind = op.in_shapes[0], op.out_shape, op.kind
    arity = 2 if kind in ("add", "mul") else 1
    if len(op.inputs) != arity:
        return f"{kind} takes {arity} inputs, got {len(op.inputs)}"
    if min(out) < 1:
        return f"out_shape {out} must be positive (channels, height, width)"
    if kind in MATRIX_KINDS:
        if first[0] % op.groups or out[0] % op.groups:
            return f"groups (={op.groups}) must divide {first[0]} and {out[0]} channels"
        strided = (-(-first[1] // op.stride[0]), -(-first[2] // op.stride[1]))
        fits = out[1:] == (strided if kind != "linear" else (1, 1)) and (kind != "linear" or first[1:] == (1, 1))
    elif kind == "pool":
        fits = out[0] == first[0]
    else:
        fits = out == first
    if kind in ("add", "mul"):
        fits = fits and op.in_shapes[1] in ((first,) if kind == "add" else (first, (first[0], 1, 1)))
    return "" if fits else f"{kind} cannot make {out} from {', '.join(map(str, op.in_shapes))}"


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _op_to_json(op: Op) -> dict[str, Any]:
    defaults = Op._field_defaults
    return {key: value for key, value in op._asdict().items() if key not in defaults or value != defaults[key]}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
