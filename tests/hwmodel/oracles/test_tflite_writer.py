"""TensorFlow Lite files: read back with the schema's own reader, and run by LiteRT against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.hwmodel import Graph, GraphBuilder, Op
from accelzoo.hwmodel.oracles.tflite_graph import UnsupportedGraphError, to_tflite
from accelzoo.hwmodel.oracles.tflite_model import Model, Precision
from accelzoo.hwmodel.oracles.tflite_writer import serialize, write
from tests.hwmodel.oracles.every_kind import ACTIVATIONS, every_kind, run_in_torch

tflite = pytest.importorskip("tflite", reason="reading TensorFlow Lite files needs the extra [npu] or [litert]")
pytest.importorskip("flatbuffers", reason="writing TensorFlow Lite files needs the extra [npu] or [litert]")

PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
CODES = {
    "conv2d": "CONV_2D",
    "depthwise_conv2d": "DEPTHWISE_CONV_2D",
    "linear": "FULLY_CONNECTED",
    "add": "ADD",
    "mul": "MUL",
    "concat": "CONCATENATION",
    "softmax": "SOFTMAX",
}


def read(model: bytes) -> Any:
    assert tflite.Model.ModelBufferHasIdentifier(model, 0)
    return tflite.Model.GetRootAs(model, 0)


def operators_of(model: Any) -> list[tuple[str, Any]]:
    """Names and entries of all operators."""
    names = {value: key for key, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
    graph = model.Subgraphs(0)
    entries = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    return [(names[model.OperatorCodes(entry.OpcodeIndex()).BuiltinCode()], entry) for entry in entries]


def options_of(entry: Any, table: str) -> Any:
    assert entry.BuiltinOptionsType() == getattr(tflite.BuiltinOptions, table)
    options = getattr(tflite, table)()
    found = entry.BuiltinOptions()
    options.Init(found.Bytes, found.Pos)
    return options


def shape_of(model: Any, tensor: int) -> tuple[int, ...]:
    return tuple(model.Subgraphs(0).Tensors(tensor).ShapeAsNumpy().tolist())


def made(build: Callable[[GraphBuilder], str], shape: tuple[int, int, int] = (8, 9, 7)) -> Graph:
    builder = GraphBuilder(shape)
    build(builder)
    return builder.graph()


def infer(model: Model, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Runs a model in LiteRT on an image (channels, height, width); returns its output in the same order."""
    interpreter = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="running needs the extra [litert]"
    ).Interpreter(model_content=serialize(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(1, 2, 0)[None])
    interpreter.invoke()
    output: np.ndarray[Any, Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output[0].transpose(2, 0, 1)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_operator_is_written_once_with_the_shapes_of_the_graph(precision: Precision) -> None:
    graph = every_kind(("hard_swish", "gelu", "tanh"))  # none of which is fused, or split in two
    model = read(write(graph, precision))
    found = [(name, entry) for name, entry in operators_of(model)]
    fused = {"relu", "relu6"}
    expected = [op for op in graph.ops if op.function not in fused | {"hard_sigmoid"}]
    kept = [
        (name, entry)
        for name, entry in found
        if ".shifted" not in model.Subgraphs(0).Tensors(entry.Outputs(0)).Name().decode()
    ]
    gates = [op for op in graph.ops if op.function == "hard_sigmoid"]
    assert len(kept) == len(expected) + len(gates)
    shapes = sorted(shape_of(model, entry.Outputs(0)) for _, entry in kept)
    ops = [*expected, *gates]
    assert shapes == sorted((1, op.out_shape[1], op.out_shape[2], op.out_shape[0]) for op in ops)
    for kind in ("conv2d", "depthwise_conv2d", "linear", "add", "concat"):
        assert sum(name == CODES[kind] for name, _ in kept) == sum(op.kind == kind for op in ops)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_inputs_and_weights_have_the_shapes_and_types_of_the_schema(precision: Precision) -> None:
    graph = every_kind()
    model = read(write(graph, precision))
    subgraph = model.Subgraphs(0)
    assert (model.Version(), subgraph.InputsAsNumpy().tolist()) == (3, [0])
    assert shape_of(model, 0) == (1, 36, 28, 3)
    assert shape_of(model, subgraph.Outputs(0)) == (1, 1, 1, 10)
    kernels = [shape_of(model, entry.Inputs(1)) for name, entry in operators_of(model) if name.endswith("CONV_2D")]
    convs = [op for op in graph.ops if op.kind in ("conv2d", "depthwise_conv2d")]
    depthwise = {op.name for op in convs if op.kind == "depthwise_conv2d"}
    assert kernels == [
        (1, *op.kernel_size, op.out_shape[0])
        if op.name in depthwise
        else (op.out_shape[0], *op.kernel_size, op.in_shape[0] // op.groups)
        for op in convs
    ]
    types = {subgraph.Tensors(index).Type() for index in range(subgraph.TensorsLength())}
    integer = {tflite.TensorType.INT8, tflite.TensorType.INT32}
    assert types == (integer if precision == "int8" else {tflite.TensorType.FLOAT32, tflite.TensorType.INT32})


def test_options_say_stride_dilation_padding_and_the_fused_activation() -> None:
    def build(builder: GraphBuilder) -> str:
        x = builder.conv2d("conv", builder.input, 8, kernel_size=3, stride=2)
        x = builder.activation("conv.act", x, "relu6")
        x = builder.conv2d("depthwise", x, 8, kernel_size=3, dilation=2, groups=8)
        x = builder.activation("depthwise.act", x, "relu")
        return builder.pool("pool", x, 3, 2, "max")

    entries = dict(operators_of(read(write(made(build), "int8"))))
    assert list(entries) == ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"]
    conv = options_of(entries["CONV_2D"], "Conv2DOptions")
    assert (conv.StrideH(), conv.StrideW(), conv.DilationHFactor(), conv.DilationWFactor()) == (2, 2, 1, 1)
    assert (conv.Padding(), conv.FusedActivationFunction()) == (
        tflite.Padding.SAME,
        tflite.ActivationFunctionType.RELU6,
    )
    depthwise = options_of(entries["DEPTHWISE_CONV_2D"], "DepthwiseConv2DOptions")
    assert (depthwise.StrideH(), depthwise.DilationHFactor(), depthwise.DilationWFactor()) == (1, 2, 2)
    assert (depthwise.DepthMultiplier(), depthwise.FusedActivationFunction()) == (
        1,
        tflite.ActivationFunctionType.RELU,
    )
    pool = options_of(entries["MAX_POOL_2D"], "Pool2DOptions")
    assert (pool.FilterHeight(), pool.FilterWidth(), pool.StrideH(), pool.StrideW()) == (3, 3, 2, 2)


def test_an_activation_is_not_fused_when_something_else_reads_its_input() -> None:
    def build(builder: GraphBuilder) -> str:
        x = builder.conv2d("conv", builder.input, 8)
        return builder.add("add", x, builder.activation("act", x, "relu"))

    assert [name for name, _ in operators_of(read(write(made(build))))] == ["CONV_2D", "RELU", "ADD"]


def test_int8_weights_are_drawn_with_a_deviation_of_32_and_quantised_by_channel() -> None:
    model = read(write(made(lambda builder: builder.conv2d("conv", builder.input, 64), (512, 1, 1))))
    weights = model.Subgraphs(0).Tensors(operators_of(model)[0][1].Inputs(1))
    values = model.Buffers(weights.Buffer()).DataAsNumpy().view(np.int8)
    # 32,768 draws: the error of the deviation is 32 / √65,536 = 0.125; rounding adds 1/12 to the variance.
    assert values.std() == pytest.approx(32, abs=0.5)
    assert values.mean() == pytest.approx(0, abs=0.7)
    assert (weights.Quantization().ScaleLength(), weights.Quantization().QuantizedDimension()) == (64, 0)


def test_equal_seeds_give_equal_files_and_other_seeds_do_not() -> None:
    graph = every_kind()
    assert write(graph, "int8", 1) == write(graph, "int8", 1)
    assert write(graph, "int8", 1) != write(graph, "int8", 2)


SINGLE: dict[str, Callable[[GraphBuilder], str]] = {
    "conv 1x1": lambda builder: builder.conv2d("x", builder.input, 6),
    "conv 3x3": lambda builder: builder.conv2d("x", builder.input, 6, kernel_size=3),
    "conv 3x3 stride 2": lambda builder: builder.conv2d("x", builder.input, 6, kernel_size=3, stride=2),
    "conv 5x5 stride 3": lambda builder: builder.conv2d("x", builder.input, 6, kernel_size=5, stride=3),
    "conv dilated": lambda builder: builder.conv2d("x", builder.input, 6, kernel_size=3, dilation=2),
    "conv grouped": lambda builder: builder.conv2d("x", builder.input, 12, kernel_size=3, groups=4),
    "depthwise": lambda builder: builder.conv2d("x", builder.input, 8, kernel_size=3, groups=8),
    "depthwise 5x5 stride 2": lambda builder: builder.conv2d("x", builder.input, 8, kernel_size=5, stride=2, groups=8),
    "linear": lambda builder: builder.linear("x", builder.global_pool("p", builder.input), 11),
    "max pool": lambda builder: builder.pool("x", builder.input, 3, 2, "max"),
    "avg pool": lambda builder: builder.pool("x", builder.input, 3, 2, "avg"),
    "global pool": lambda builder: builder.global_pool("x", builder.input),
    "nearest": lambda builder: builder.resize("x", builder.input, (18, 14), "nearest"),
    "bilinear": lambda builder: builder.resize("x", builder.input, (18, 14), "bilinear"),
    "bilinear smaller": lambda builder: builder.resize("x", builder.input, (4, 3), "bilinear"),
    "concat": lambda builder: builder.concat(
        "x", [builder.input, builder.conv2d("c", builder.input, 3), builder.input]
    ),
    "add": lambda builder: builder.add("x", builder.input, builder.conv2d("c", builder.input, 8)),
    "mul by a gate": lambda builder: builder.mul("x", builder.input, builder.global_pool("g", builder.input)),
    "mul": lambda builder: builder.mul("x", builder.input, builder.conv2d("c", builder.input, 8)),
    **{function: partial(GraphBuilder.activation, name="x", x="input", function=function) for function in ACTIVATIONS},
}


@pytest.mark.parametrize("name", SINGLE)
def test_litert_computes_every_operator_as_torch_does(name: str) -> None:
    graph = made(SINGLE[name])
    model = to_tflite(graph, "float32", seed=5)
    image = (3 * draw.generator(0).standard_normal((8, 9, 7))).astype(np.float32)
    np.testing.assert_allclose(infer(model, image), run_in_torch(graph, model, image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resizing", ["nearest", "bilinear"])
def test_litert_computes_a_whole_network_as_torch_does(resizing: str) -> None:
    graph = every_kind(resizing=resizing)
    model = to_tflite(graph, "float32", seed=5)
    image = draw.generator(0).standard_normal((3, 36, 28)).astype(np.float32)
    expected = run_in_torch(graph, model, image)
    np.testing.assert_allclose(infer(model, image), expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))


def test_valid_padding_is_recognised_by_the_size_of_the_output() -> None:
    conv = Op("x", "conv2d", ("input",), ((8, 9, 7),), (6, 4, 3), kernel_size=(3, 3), stride=(2, 2), bias=True)
    graph = Graph([conv], (8, 9, 7))
    model = to_tflite(graph, "float32", seed=5)
    image = draw.generator(0).standard_normal((8, 9, 7)).astype(np.float32)
    np.testing.assert_allclose(infer(model, image), run_in_torch(graph, model, image), rtol=1e-4, atol=1e-5)
    options = options_of(operators_of(read(serialize(model)))[0][1], "Conv2DOptions")
    assert options.Padding() == tflite.Padding.VALID


def test_a_view_is_a_reshape() -> None:
    flat = Op("flat", "linear", ("conv",), ((48, 1, 1),), (5, 1, 1))
    conv = Op("conv", "conv2d", ("input",), ((8, 4, 3),), (4, 4, 3))
    model = read(write(Graph([conv, flat], (8, 4, 3))))
    (_, reshape, linear) = operators_of(model)
    assert (reshape[0], linear[0]) == ("RESHAPE", "FULLY_CONNECTED")
    assert shape_of(model, linear[1].Inputs(0)) == (1, 1, 1, 48)


def test_maps_of_another_scale_are_requantised_before_they_are_concatenated() -> None:
    def build(builder: GraphBuilder) -> str:
        return builder.concat("x", [builder.input, builder.activation("gate", builder.input, "sigmoid")])

    graph = made(build)
    assert [name for name, _ in operators_of(read(write(graph)))] == ["LOGISTIC", "QUANTIZE", "CONCATENATION"]
    assert [name for name, _ in operators_of(read(write(graph, "float32")))] == ["LOGISTIC", "CONCATENATION"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_has_no_counterpart_is_refused_by_name(precision: Precision) -> None:
    builder = GraphBuilder((4, 6, 6))
    builder.matmul("attention.scores", builder.input, builder.input)
    builder.opaque("norm", ["attention.scores"], "aten.native_layer_norm", (4, 6, 6))
    builder.activation("act", "norm", "relu")
    with pytest.raises(
        UnsupportedGraphError, match=r"there is no operator matmul; there is no operator opaque"
    ) as caught:
        write(builder.graph(), precision)
    assert caught.value.operators == ("attention.scores (matmul)", "norm (opaque)")


def test_padding_that_is_neither_same_nor_valid_is_refused() -> None:
    conv = Op("odd", "conv2d", ("input",), ((8, 16, 16),), (6, 15, 15), kernel_size=(5, 5), bias=True)
    with pytest.raises(UnsupportedGraphError, match=r"odd \(conv2d\): neither SAME nor VALID padding makes"):
        write(Graph([conv], (8, 16, 16)))


def test_a_part_of_a_tensor_is_refused() -> None:
    conv = Op("conv", "conv2d", ("input",), ((8, 4, 4),), (8, 4, 4))
    part = Op("part", "conv2d", ("conv",), ((4, 4, 4),), (8, 4, 4))
    with pytest.raises(UnsupportedGraphError, match=r"part \(conv2d\): reads a part \(4, 4, 4\) of conv \(8, 4, 4\)"):
        write(Graph([conv, part], (8, 4, 4)))
