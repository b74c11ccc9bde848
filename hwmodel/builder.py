"""Makes graphs operator by operator."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelzoo.errors import ShapeError, suggestion
from accelzoo.hwmodel.fragment import Fragment
from accelzoo.hwmodel.graph import Graph
from accelzoo.hwmodel.op import ACTIVATIONS, INPUT, POOLINGS, RESIZINGS, Op, Pair, Shape


class GraphBuilder:
    """Appends operators one by one, working out shapes; the way our own architectures make graphs.

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
        self._viewed: dict[str, str] = {}
        self._ops: list[Op] = []
        self._marks: list[int] = []

    def shape(self, name: str) -> Shape:
        """Shape `(channels, height, width)` of the tensor called `name`.

        Raises:
            ShapeError: If nothing so far makes it.
        """
        try:
            return self._shapes[name]
        except KeyError:
            raise ShapeError(f"no operator so far makes {name!r}{suggestion(name, self._shapes)}") from None

    @property
    def bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation."""
        return self._weight_bits, self._activation_bits

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operators so far."""
        return tuple(self._ops)

    def graph(self) -> Graph:
        """Returns the finished graph."""
        return Graph.of_builder(self._ops, self._input_shape, self._activation_bits, tuple(self._marks))

    def mark(self) -> None:
        """Notes that a part of the network ends here and another begins; see `Graph.marks`."""
        self._marks.append(len(self._ops))

    def view(self, x: str, shape: Shape) -> str:
        """The elements of a tensor, or some of them, in another shape or order; costs nothing and is no operator.

        Returns:
            A name by which later operators read it so.

        Raises:
            ShapeError: If the shape is not positive or has more elements than the tensor.
        """
        source = self._viewed.get(x, x)
        if min(shape) < 1 or math.prod(shape) > math.prod(self.shape(source)):
            raise ShapeError(f"{self.shape(source)} cannot be read as {shape}")
        name = f"{source} as {shape}"
        self._viewed[name], self._shapes[name] = source, shape
        return name

    def paste(self, fragment: Fragment, prefix: str, x: str) -> str:
        """Appends operators that were made before, their names with `prefix` in front, their input being tensor `x`.

        They must have been made for an input of `x`'s shape and for the same bits.

        Returns:
            The name of the last operator.

        Raises:
            ShapeError: If a name is taken.
        """
        placed = fragment.placed(prefix, self._viewed.get(x, x))
        if not self._shapes.keys().isdisjoint(placed.shapes):
            taken = next(name for name in placed.shapes if name in self._shapes)
            raise ShapeError(f"operator {taken!r} appears twice")
        self._ops.extend(placed.ops)
        self._shapes.update(placed.shapes)
        return placed.last

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
        _check_name(name, "activation", function, ACTIVATIONS)
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

    def pool(self, name: str, x: str, kernel_size: int, stride: int = 1, function: str = "max") -> str:
        """Pooling of square windows, one of `POOLINGS`, padded so that a map shrinks by stride alone.

        Raises:
            ShapeError: If a size is not positive or the function is unknown.
        """
        _check_name(name, "pooling", function, POOLINGS)
        if min(kernel_size, stride) < 1:
            raise ShapeError(f"{name}: kernel_size (={kernel_size}) and stride (={stride}) must be at least 1")
        channels, height, width = self.shape(x)
        out_shape = (channels, -(-height // stride), -(-width // stride))
        square, step = (kernel_size, kernel_size), (stride, stride)
        return self._append(name, "pool", (x,), out_shape, kernel_size=square, stride=step, function=function)

    def resize(self, name: str, x: str, size: Pair, function: str = "nearest") -> str:
        """Map brought to `size` `(height, width)`, larger or smaller, by one of `RESIZINGS`."""
        _check_name(name, "resizing", function, RESIZINGS)
        if min(size) < 1:
            raise ShapeError(f"{name}: size {size} must be positive (height, width)")
        return self._append(name, "resize", (x,), (self.shape(x)[0], *size), function=function)

    def concat(self, name: str, xs: Sequence[str]) -> str:
        """Maps of equal height and width, one after the other along the channels."""
        shapes = [self.shape(x) for x in xs]
        if len({shape[1:] for shape in shapes}) != 1:
            listing = ", ".join(map(str, shapes)) or "nothing"
            raise ShapeError(f"{name}: can only concatenate maps of equal height and width, got {listing}")
        return self._append(name, "concat", tuple(xs), (sum(shape[0] for shape in shapes), *shapes[0][1:]))

    def matmul(self, name: str, x: str, y: str) -> str:
        """Product of two tensors: `(batch, rows, inner)` × `(batch, inner, columns)` → `(batch, rows, columns)`."""
        (batch, rows, inner), other = self.shape(x), self.shape(y)
        if other[:2] != (batch, inner):
            raise ShapeError(f"{name}: cannot multiply (batch, rows, inner) {(batch, rows, inner)} by {other}")
        return self._append(name, "matmul", (x, y), (batch, rows, other[2]))

    def softmax(self, name: str, x: str) -> str:
        """Exponentials over the last axis, scaled so that they add up to one."""
        return self._append(name, "softmax", (x,), self.shape(x))

    def opaque(self, name: str, xs: Sequence[str], function: str, out_shape: Shape) -> str:
        """An operator that no other kind stands for; no target can price it, so it is always reported as unpriced.

        Args:
            name: The operator's name.
            xs: Its inputs, at least one.
            function: What it computes, such as `aten.native_layer_norm`.
            out_shape: Shape of its output.
        """
        if not xs or not function or min(out_shape) < 1:
            raise ShapeError(f"{name}: needs inputs (={list(xs)}), a function (={function!r}) and a shape {out_shape}")
        for x in xs:
            self.shape(x)
        return self._append(name, "opaque", tuple(xs), out_shape, function=function)

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
        if self._viewed:
            inputs = tuple([self._viewed.get(x, x) for x in inputs])
        bits = self._weight_bits, self._activation_bits
        if name in shapes:
            raise ShapeError(f"operator {name!r} appears twice")
        op = Op(name, kind, inputs, in_shapes, out_shape, kernel_size, stride, dilation, groups, *bits, bias, function)
        self._ops.append(op)
        shapes[name] = out_shape
        return name


def _check_name(name: str, what: str, function: str, allowed: Sequence[str]) -> None:
    if function not in allowed:
        raise ShapeError(f"{name}: unknown {what} {function!r}{suggestion(function, allowed)}")


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
