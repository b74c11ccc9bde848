"""A graph as TensorFlow Lite operators and tensors: what a converter would make of the trained, quantised network.

Tensors are batch × height × width × channels. ReLU and ReLU6 move into the operator before them; SiLU becomes a
sigmoid and a product, hard sigmoid an addition with ReLU6 and a product, as the converters of TensorFlow write them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.ir import INPUT, Graph, Op, Shape
from accelzoo.hwmodel.oracles.protocol import UnsupportedByToolError
from accelzoo.hwmodel.oracles.tflite_model import Model, Operator, Precision, Quantization, Tensor
from accelzoo.hwmodel.oracles.tflite_values import (
    NetworkValues,
    RandomValues,
    TrainedValues,
    Values,
    averages_columns,
    is_global,
    space_to_depth_block,
)

FUSED = {"relu": 1, "relu6": 3}  # ActivationFunctionType of the schema
FUSING_CODES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")
SAME, VALID = 0, 1
LOWEST = -128


class UnsupportedGraphError(UnsupportedByToolError):
    """A graph holds operators that cannot be written as TensorFlow Lite."""


def to_tflite(
    graph: Graph, precision: Precision = "int8", seed: int = 0, values: NetworkValues | None = None
) -> Model:
    """Translates a graph; every tensor that nothing reads becomes an output.

    Args:
        graph: What to translate; its bit widths are ignored in favour of `precision`.
        precision: Of weights and activations.
        seed: For the values of the weights, normally distributed with σ = 32 (int8) or 0.06.
        values: The weights of a trained network instead, and for int8 the ranges of its activations.

    Raises:
        UnsupportedGraphError: If an operator has no counterpart.
    """
    source = RandomValues(precision, seed) if values is None else TrainedValues(graph, precision, values)
    translator = _Translator(graph, precision, source, trained=values is not None)
    if faults := obstacles(graph):
        raise UnsupportedGraphError("TensorFlow Lite", faults, "; ".join(dict.fromkeys(faults.values())))
    return translator.translate()


def obstacles(graph: Graph) -> dict[str, str]:
    """Returns the operators without a counterpart, as `name (kind)`, each with the reason."""
    made = {INPUT: graph.input_shape} | {op.name: op.out_shape for op in graph.ops}
    return {f"{op.name} ({op.kind})": why for op in graph.ops if (why := _obstacle(op, made))}


def _obstacle(op: Op, made: Mapping[str, Shape]) -> str:
    if op.kind not in _EMITTERS:
        return f"there is no operator {op.kind}"
    for name, shape in zip(op.inputs, op.in_shapes, strict=True):
        if math.prod(shape) != math.prod(made[name]):
            return f"reads a part {shape} of {name} {made[name]}"
    if op.kind == "activation" and op.function not in {*FUSED, *_ACTIVATION_CODES, "silu", "hard_sigmoid"}:
        return f"there is no activation {op.function!r}"
    windowed = op.kind in ("conv2d", "depthwise_conv2d") or (op.kind == "pool" and not is_global(op))
    if windowed and _padding(op) is None:
        return f"neither SAME nor VALID padding makes {op.out_shape} from {op.in_shape}"
    return ""


class _Translator:
    def __init__(self, graph: Graph, precision: Precision, values: Values, trained: bool) -> None:
        self.graph = graph
        self.model = Model(precision)
        self.values = values
        self.trained = trained
        self.index: dict[str, int] = {}
        self.position = 0

    def translate(self) -> Model:
        self.index[INPUT] = self.model.add(
            self.activation("input", self.graph.input_shape, self.values.quantization(INPUT))
        )
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
        # A detector has an output for every level: a compiler drops whatever leads to none.
        self.model.outputs = tuple([self.index[op.name] for op in self.graph.ops if op.name not in readers])
        return self.model

    def fuse(self, maker: Operator, op: Op) -> None:
        assert maker.options is not None
        maker.options[1]["FusedActivationFunction"] = FUSED[op.function]
        self.index[op.name] = maker.output
        tensor = self.model.tensors[maker.output]
        self.model.tensors[maker.output] = tensor._replace(quantization=self.values.quantization(op.name))
        name = tensor.name
        self.model.covers[name] = (*self.model.covers[name], self.position)

    def activation(self, name: str, shape: Shape, quantization: Quantization | None) -> Tensor:
        channels, height, width = shape
        quantized = self.model.precision == "int8"
        return Tensor(name, (1, height, width, channels), self.model.precision, quantization if quantized else None)

    def constant(self, name: str, data: npt.NDArray[Any], quantization: Quantization | None = None) -> int:
        return self.model.add(Tensor(name, data.shape, str(data.dtype), quantization, data))

    def scalar(self, name: str, value: float) -> int:
        if self.model.precision == "float32":
            return self.constant(name, np.array([value], np.float32))
        return self.constant(name, np.array([100], np.int8), Quantization(value / 100))

    def constants(self, op: Op, x: int, shape: tuple[int, ...], axis: int) -> tuple[int, int]:
        """Adds weights of that shape, with output channels along `axis`, and the bias."""
        found = self.values.constants(op, shape, axis, self.quantization_of(x))
        weights = found.weights
        block = self.block(op)
        if block > 1:  # torch counts a square's pixels within each channel, TensorFlow channels within each pixel
            *others, channels = weights.shape
            by_pixel = weights.reshape(*others, channels // block**2, block**2)
            weights = np.ascontiguousarray(by_pixel.swapaxes(-1, -2)).reshape(weights.shape)
        return (
            self.constant(f"t{self.position}.weights", weights, found.weight_quantization),
            self.constant(f"t{self.position}.bias", found.bias, found.bias_quantization),
        )

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
        quantization = quantization or self.values.quantization(self.graph.ops[self.position].name, part)
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
                quantization = self.quantization_of(tensor)
                block = self.block(op)
                if block > 1:
                    options = ("SpaceToDepthOptions", {"BlockSize": block})
                    tensor = self.emit("SPACE_TO_DEPTH", (tensor,), shape, options, quantization, part)
                else:
                    wanted = np.array([1, height, width, channels], np.int32)
                    to = self.constant(f"t{self.position}{part}.shape", wanted)
                    tensor = self.emit("RESHAPE", (tensor, to), shape, ("ReshapeOptions", {}), quantization, part)
            found.append(tensor)
        return tuple(found)

    def block(self, op: Op) -> int:
        """Side of the squares that a trained operator reads as channels; a random one's order does not matter."""
        _, height, width, channels = self.model.tensors[self.index[op.inputs[0]]].shape
        return space_to_depth_block(op, (channels, height, width)) if self.trained else 1

    def padded(self, op: Op) -> tuple[int, dict[str, Any]]:
        """The input of a windowed operator and its options; padding that is neither SAME nor VALID comes before it."""
        (x,) = self.of(op)
        code, wanted = _padding(op), self.values.padding(op)
        needs = [_reach(op, axis) for axis in (0, 1)]
        if wanted is None or wanted == tuple([max(need, 0) // 2 if code == SAME else 0 for need in needs]):
            return x, _window(op, code)
        pads = [(before, max(need - before, 0)) for before, need in zip(wanted, needs, strict=True)]
        channels, height, width = op.in_shape
        shape = channels, height + sum(pads[0]), width + sum(pads[1])
        name, quantization = f"t{self.position}.pad", self.quantization_of(x)
        inputs: tuple[int, ...] = (x, self.constant(f"{name}s", np.array([(0, 0), *pads, (0, 0)], np.int32)))
        if op.function == "max" and (quantization is None or quantization.zero_point != LOWEST):
            lowest = np.array([np.finfo(np.float32).min], np.float32)
            value = lowest if quantization is None else np.array([LOWEST], np.int8)
            inputs = *inputs, self.constant(f"{name}.value", value, quantization)
            x = self.emit("PADV2", inputs, shape, ("PadV2Options", {}), quantization, ".pad")
        else:
            x = self.emit("PAD", inputs, shape, ("PadOptions", {}), quantization, ".pad")
        return x, _window(op, VALID)

    def quantization_of(self, tensor: int) -> Quantization | None:
        return self.model.tensors[tensor].quantization


def _can_fuse(maker: Operator) -> bool:
    return (
        maker.code in FUSING_CODES and maker.options is not None and not maker.options[1].get("FusedActivationFunction")
    )


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


def _reach(op: Op, axis: int) -> int:
    """How many rows or columns an operator reads beyond its input; negative if it leaves some out."""
    taps = op.dilation[axis] * (op.kernel_size[axis] - 1) + 1
    return (op.out_shape[axis + 1] - 1) * op.stride[axis] + taps - op.in_shape[axis + 1]


def _window(op: Op, padding: int | None) -> dict[str, Any]:
    return {"Padding": padding, "StrideW": op.stride[1], "StrideH": op.stride[0]}


def _conv(to: _Translator, op: Op) -> None:
    x, window = to.padded(op)
    channels, (height, width) = op.out_shape[0], op.kernel_size
    dilation = {"DilationWFactor": op.dilation[1], "DilationHFactor": op.dilation[0]}
    if op.kind == "depthwise_conv2d":
        code, kind = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        constants = to.constants(op, x, (1, height, width, channels), axis=3)
        dilation["DepthMultiplier"] = 1
    else:
        code, kind = "CONV_2D", "Conv2DOptions"
        constants = to.constants(op, x, (channels, height, width, op.in_shape[0] // op.groups), axis=0)
    to.index[op.name] = to.emit(code, (x, *constants), op.out_shape, (kind, {**window, **dilation}))


def _linear(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    inputs = (x, *to.constants(op, x, (op.out_shape[0], op.in_shape[0]), axis=0))
    options = ("FullyConnectedOptions", {"KeepNumDims": True})
    to.index[op.name] = to.emit("FULLY_CONNECTED", inputs, op.out_shape, options)


def _add(to: _Translator, op: Op) -> None:
    to.index[op.name] = to.emit("ADD", to.of(op), op.out_shape, ("AddOptions", {}))


def _mul(to: _Translator, op: Op) -> None:
    to.index[op.name] = to.emit("MUL", to.of(op), op.out_shape, ("MulOptions", {}))


def _pool(to: _Translator, op: Op) -> None:
    if is_global(op):
        source = to.index[op.inputs[0]]
        _, height, width, channels = to.model.tensors[source].shape
        columns = to.trained and averages_columns(op, (channels, height, width))
        x = source if columns else to.of(op)[0]
        axes = to.constant(f"t{to.position}.axes", np.array([1] if columns else [1, 2], np.int32))
        shape = (channels, 1, width) if columns else op.out_shape
        to.index[op.name] = to.emit("MEAN", (x, axes), shape, ("ReducerOptions", {"KeepDims": True}))
        return
    x, window = to.padded(op)
    code = "MAX_POOL_2D" if op.function == "max" else "AVERAGE_POOL_2D"
    size = {"FilterWidth": op.kernel_size[1], "FilterHeight": op.kernel_size[0]}
    options = ("Pool2DOptions", {**window, **size})
    to.index[op.name] = to.emit(code, (x,), op.out_shape, options, to.quantization_of(x))


def _resize(to: _Translator, op: Op) -> None:
    (x,) = to.of(op)
    size = to.constant(f"t{to.position}.size", np.array(op.out_shape[1:], np.int32))
    name = "ResizeBilinear" if op.function == "bilinear" else "ResizeNearestNeighbor"
    code = "RESIZE_BILINEAR" if op.function == "bilinear" else "RESIZE_NEAREST_NEIGHBOR"
    # What torch calls nearest takes the pixel at the lower end; with factors of two it is the same.
    centers = op.function == "bilinear" or not to.trained
    options = (f"{name}Options", {"AlignCorners": False, "HalfPixelCenters": centers})
    to.index[op.name] = to.emit(code, (x, size), op.out_shape, options, to.quantization_of(x))


def _concat(to: _Translator, op: Op) -> None:
    inputs = list(to.of(op))
    quantization = to.values.quantization(op.name) if to.trained else to.quantization_of(inputs[0])
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
