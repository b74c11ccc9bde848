"""A graph as TensorFlow Lite operators and tensors: what a converter would make of the trained, quantised network.

Tensors are batch × height × width × channels. ReLU and ReLU6 move into the operator before them; SiLU becomes a
sigmoid and a product, hard sigmoid an addition with ReLU6 and a product, as the converters of TensorFlow write them.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.hwmodel.ir import INPUT, Graph, Op, Shape
from accelzoo.hwmodel.oracles.protocol import UnsupportedByToolError

Precision = Literal["int8", "float32"]

WEIGHT_SIGMA = 32.0  # of int8 weights: an all-zero or a uniform tensor compresses unlike a trained one
WEIGHT_POOL = 1 << 20
ACTIVATION_SCALE = 0.05
WEIGHT_SCALE = 0.002
FLOAT_BIAS = 0.01
FUSED = {"relu": 1, "relu6": 3}  # ActivationFunctionType of the schema
FUSING_CODES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")
SAME, VALID = 0, 1


class UnsupportedGraphError(UnsupportedByToolError):
    """A graph holds operators that cannot be written as TensorFlow Lite."""


class Quantization(NamedTuple):
    """Affine quantisation: real = scale · (stored − zero_point), one scale or one per output channel."""

    scale: float
    zero_point: int = 0
    channels: int = 1
    axis: int = 0


class Tensor(NamedTuple):
    """A tensor of the model; `data` is there for constants."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = None


class Operator(NamedTuple):
    """A builtin operator: its code, its tensors by index, and the fields of its options table."""

    code: str
    inputs: tuple[int, ...]
    output: int
    options: tuple[str, dict[str, Any]] | None = None


@dataclass
class Model:
    """A TensorFlow Lite model in the making.

    Attributes:
        tensors: Every tensor, the network's input first.
        operators: Every operator in execution order.
        output: Index of the network's output.
        covers: Which operators of the graph, by index, an output tensor's name stands for.
    """

    precision: Precision
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    output: int = 0
    covers: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, tensor: Tensor) -> int:
        """Adds a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def is_concat(self, tensor: str) -> bool:
        """Tells whether a concatenation makes the tensor called so."""
        return any(op.code == "CONCATENATION" and self.tensors[op.output].name == tensor for op in self.operators)


def to_tflite(graph: Graph, precision: Precision = "int8", seed: int = 0) -> Model:
    """Translates a graph.

    Args:
        graph: What to translate; its bit widths are ignored in favour of `precision`.
        precision: Of weights and activations.
        seed: For the values of the weights, normally distributed with σ = 32 (int8) or 0.06.

    Raises:
        UnsupportedGraphError: If an operator has no counterpart.
    """
    translator = _Translator(graph, precision, seed)
    made = {INPUT: graph.input_shape} | {op.name: op.out_shape for op in graph.ops}
    faults = {f"{op.name} ({op.kind})": why for op in graph.ops if (why := _obstacle(op, made))}
    if faults:
        raise UnsupportedGraphError("TensorFlow Lite", faults, "; ".join(dict.fromkeys(faults.values())))
    return translator.translate()


def _obstacle(op: Op, made: Mapping[str, Shape]) -> str:
    if op.kind not in _EMITTERS:
        return f"there is no operator {op.kind}"
    for name, shape in zip(op.inputs, op.in_shapes, strict=True):
        if math.prod(shape) != math.prod(made[name]):
            return f"reads a part {shape} of {name} {made[name]}"
    if op.kind == "activation" and op.function not in {*FUSED, *_ACTIVATION_CODES, "silu", "hard_sigmoid"}:
        return f"there is no activation {op.function!r}"
    windowed = op.kind in ("conv2d", "depthwise_conv2d") or (op.kind == "pool" and not _is_global(op))
    if windowed and _padding(op) is None:
        return f"neither SAME nor VALID padding makes {op.out_shape} from {op.in_shape}"
    return ""


@functools.lru_cache(maxsize=2)
def _pool_of_draws(seed: int) -> tuple[npt.NDArray[np.float32], np.random.Generator]:
    """Returns the pool, and the generator as it is after drawing it."""
    rng = draw.generator(seed)
    return rng.standard_normal(WEIGHT_POOL).astype(np.float32), rng


class _Translator:
    def __init__(self, graph: Graph, precision: Precision, seed: int) -> None:
        self.graph = graph
        self.model = Model(precision)
        self.index: dict[str, int] = {}
        self.position = 0
        # One pool of draws, read from random places: drawing every weight anew takes longer than compiling it.
        self.pool, rng = _pool_of_draws(seed)
        self.rng = copy.deepcopy(rng)

    def translate(self) -> Model:
        self.index[INPUT] = self.model.add(self.activation("input", self.graph.input_shape))
        readers: dict[str, int] = {}
        for op in self.graph.ops:
            for name in op.inputs:
                readers[name] = readers.get(name, 0) + 1
        for position, op in enumerate(self.graph.ops):
            self.position = position
            maker = self.model.operators[-1] if self.model.operators else None
            if (
                op.kind == "activation"
                and op.function in FUSED
                and maker is not None
                and maker.output == self.index[op.inputs[0]]
                and readers[op.inputs[0]] == 1
                and _can_fuse(maker)
            ):
                self.fuse(maker, op)
            else:
                _EMITTERS[op.kind](self, op)
        self.model.output = self.index[self.graph.ops[-1].name]
        return self.model

    def fuse(self, maker: Operator, op: Op) -> None:
        assert maker.options is not None
        maker.options[1]["FusedActivationFunction"] = FUSED[op.function]
        self.index[op.name] = maker.output
        name = self.model.tensors[maker.output].name
        self.model.covers[name] = (*self.model.covers[name], self.position)

    def activation(self, name: str, shape: Shape, quantization: Quantization | None = None) -> Tensor:
        channels, height, width = shape
        quantized = self.model.precision == "int8"
        values = (quantization or Quantization(ACTIVATION_SCALE)) if quantized else None
        return Tensor(name, (1, height, width, channels), self.model.precision, values)

    def constant(self, name: str, data: npt.NDArray[Any], quantization: Quantization | None = None) -> int:
        return self.model.add(Tensor(name, data.shape, str(data.dtype), quantization, data))

    def scalar(self, name: str, value: float) -> int:
        if self.model.precision == "float32":
            return self.constant(name, np.array([value], np.float32))
        return self.constant(name, np.array([100], np.int8), Quantization(value / 100))

    def weights(self, shape: tuple[int, ...], axis: int) -> int:
        count = math.prod(shape)
        start = draw.below(self.rng, WEIGHT_POOL)
        values = np.take(self.pool, np.arange(start, start + count), mode="wrap").reshape(shape)
        name = f"t{self.position}.weights"
        if self.model.precision == "float32":
            return self.constant(name, values * np.float32(WEIGHT_SIGMA * WEIGHT_SCALE))
        stored = np.clip(np.rint(values * WEIGHT_SIGMA), -127, 127).astype(np.int8)
        return self.constant(name, stored, Quantization(WEIGHT_SCALE, channels=shape[axis], axis=axis))

    def bias(self, channels: int) -> int:
        name = f"t{self.position}.bias"
        if self.model.precision == "float32":
            # Not zero: in a deep network of random weights the activations would shrink to denormals, which are slow.
            return self.constant(name, np.full(channels, FLOAT_BIAS, np.float32))
        scale = Quantization(ACTIVATION_SCALE * WEIGHT_SCALE, channels=channels)
        return self.constant(name, np.zeros(channels, np.int32), scale)

    def emit(
        self,
        code: str,
        inputs: tuple[int, ...],
        shape: Shape,
        options: tuple[str, dict[str, Any]] | None = None,
        quantization: Quantization | None = None,
        part: str = "",
    ) -> int:
        name = f"t{self.position}{part}"
        output = self.model.add(self.activation(name, shape, quantization))
        self.model.operators.append(Operator(code, inputs, output, options))
        self.model.covers[name] = (self.position,)
        return output

    def of(self, op: Op) -> tuple[int, ...]:
        """Tensors that an operator reads, in the shapes in which it reads them."""
        found = []
        for number, (name, shape) in enumerate(zip(op.inputs, op.in_shapes, strict=True)):
            tensor = self.index[name]
            channels, height, width = shape
            if self.model.tensors[tensor].shape != (1, height, width, channels):
                part = f".view{number}"
                to = self.constant(f"t{self.position}{part}.shape", np.array([1, height, width, channels], np.int32))
                quantization = self.quantization_of(tensor)
                tensor = self.emit("RESHAPE", (tensor, to), shape, ("ReshapeOptions", {}), quantization, part)
            found.append(tensor)
        return tuple(found)

    def quantization_of(self, tensor: int) -> Quantization | None:
        return self.model.tensors[tensor].quantization


def _can_fuse(maker: Operator) -> bool:
    return (
        maker.code in FUSING_CODES and maker.options is not None and not maker.options[1].get("FusedActivationFunction")
    )


def _is_global(op: Op) -> bool:
    return op.function == "avg" and op.kernel_size == op.in_shape[1:] and op.out_shape[1:] == (1, 1)


def _padding(op: Op) -> int | None:
    def fits(span: Callable[[int, int], int]) -> bool:
        return all(
            out == -(-span(size, dilation * (kernel - 1) + 1) // stride)
            for out, size, kernel, stride, dilation in zip(
                op.out_shape[1:], op.in_shape[1:], op.kernel_size, op.stride, op.dilation, strict=True
            )
        )

    if fits(lambda size, kernel: size):
        return SAME
    return VALID if fits(lambda size, kernel: size - kernel + 1) else None


def _window(op: Op) -> dict[str, Any]:
    return {"Padding": _padding(op), "StrideW": op.stride[1], "StrideH": op.stride[0]}


def _conv(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    channels, (height, width) = op.out_shape[0], op.kernel_size
    dilation = {"DilationWFactor": op.dilation[1], "DilationHFactor": op.dilation[0]}
    if op.kind == "depthwise_conv2d":
        code, kind = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        weights = to.weights((1, height, width, channels), axis=3)
        dilation["DepthMultiplier"] = 1
    else:
        code, kind = "CONV_2D", "Conv2DOptions"
        weights = to.weights((channels, height, width, op.in_shape[0] // op.groups), axis=0)
    inputs = (x, weights, to.bias(channels))
    to.index[op.name] = to.emit(code, inputs, op.out_shape, (kind, {**_window(op), **dilation}))


def _linear(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    inputs = (x, to.weights((op.out_shape[0], op.in_shape[0]), axis=0), to.bias(op.out_shape[0]))
    options = ("FullyConnectedOptions", {"KeepNumDims": True})
    to.index[op.name] = to.emit("FULLY_CONNECTED", inputs, op.out_shape, options)


def _add(to: _Translator, op: Op) -> None:
    to.index[op.name] = to.emit("ADD", to.of(op), op.out_shape, ("AddOptions", {}))


def _mul(to: _Translator, op: Op) -> None:
    to.index[op.name] = to.emit("MUL", to.of(op), op.out_shape, ("MulOptions", {}))


def _pool(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    if _is_global(op):
        axes = to.constant(f"t{to.position}.axes", np.array([1, 2], np.int32))
        to.index[op.name] = to.emit("MEAN", (x, axes), op.out_shape, ("ReducerOptions", {"KeepDims": True}))
        return
    code = "MAX_POOL_2D" if op.function == "max" else "AVERAGE_POOL_2D"
    size = {"FilterWidth": op.kernel_size[1], "FilterHeight": op.kernel_size[0]}
    options = ("Pool2DOptions", {**_window(op), **size})
    to.index[op.name] = to.emit(code, (x,), op.out_shape, options, to.quantization_of(x))


def _resize(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    size = to.constant(f"t{to.position}.size", np.array(op.out_shape[1:], np.int32))
    name = "ResizeBilinear" if op.function == "bilinear" else "ResizeNearestNeighbor"
    code = "RESIZE_BILINEAR" if op.function == "bilinear" else "RESIZE_NEAREST_NEIGHBOR"
    options = (f"{name}Options", {"AlignCorners": False, "HalfPixelCenters": True})
    to.index[op.name] = to.emit(code, (x, size), op.out_shape, options, to.quantization_of(x))


def _concat(to: _Translator, op: Op) -> None:
    inputs = list(to.of(op))
    quantization = to.quantization_of(inputs[0])
    for number, (tensor, shape) in enumerate(zip(inputs, op.in_shapes, strict=True)):
        if to.quantization_of(tensor) != quantization:  # after a sigmoid, for one
            part = f".input{number}"
            inputs[number] = to.emit("QUANTIZE", (tensor,), shape, ("QuantizeOptions", {}), quantization, part)
    options = ("ConcatenationOptions", {"Axis": 3})
    to.index[op.name] = to.emit("CONCATENATION", tuple(inputs), op.out_shape, options, quantization)


def _softmax(to: _Translator, op: Op) -> None:
    options = ("SoftmaxOptions", {"Beta": 1.0})
    to.index[op.name] = to.emit("SOFTMAX", to.of(op), op.out_shape, options, Quantization(1 / 256, -128))


_ACTIVATION_CODES = {
    "sigmoid": ("LOGISTIC", None, Quantization(1 / 256, -128)),
    "tanh": ("TANH", None, Quantization(1 / 128)),
    "hard_swish": ("HARD_SWISH", ("HardSwishOptions", {}), None),
    "gelu": ("GELU", ("GeluOptions", {"Approximate": False}), None),
    "relu": ("RELU", None, None),
    "relu6": ("RELU6", None, None),
}


def _activation(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    if op.function == "silu":
        gate = to.emit("LOGISTIC", (x,), op.out_shape, None, Quantization(1 / 256, -128), part=".sigmoid")
        to.index[op.name] = to.emit("MUL", (x, gate), op.out_shape, ("MulOptions", {}))
    elif op.function == "hard_sigmoid":
        three, sixth = to.scalar(f"t{to.position}.three", 3.0), to.scalar(f"t{to.position}.sixth", 1 / 6)
        options = ("AddOptions", {"FusedActivationFunction": FUSED["relu6"]})
        shifted = to.emit("ADD", (x, three), op.out_shape, options, part=".shifted")
        to.index[op.name] = to.emit("MUL", (shifted, sixth), op.out_shape, ("MulOptions", {}))
    else:
        code, options_of, quantization = _ACTIVATION_CODES[op.function]
        to.index[op.name] = to.emit(code, (x,), op.out_shape, options_of, quantization)


_EMITTERS: dict[str, Callable[[_Translator, Op], None]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "linear": _linear,
    "add": _add,
    "mul": _mul,
    "pool": _pool,
    "resize": _resize,
    "concat": _concat,
    "softmax": _softmax,
    "activation": _activation,
}
