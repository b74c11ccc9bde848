"""Trained values in TensorFlow Lite models: outputs, padding, shared scales, and integers that stand for weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.oracles.tflite_graph import to_tflite
from accelzoo.hwmodel.oracles.tflite_model import Model, Tensor
from accelzoo.hwmodel.oracles.tflite_values import NetworkValues, OpValues
from accelzoo.hwmodel.oracles.tflite_writer import serialize, write


def named(model: Model) -> Mapping[str, Tensor]:
    return {tensor.name: tensor for tensor in model.tensors}


def branched() -> Graph:
    builder = GraphBuilder((4, 8, 8))
    x = builder.conv2d("stem", builder.input, 8, 3)
    small = builder.conv2d("down", x, 8, 3, 2)
    builder.conv2d("class.fine", x, 2)
    builder.activation("box.fine.act", builder.conv2d("box.fine", x, 4), "relu")
    builder.conv2d("class.coarse", small, 2)
    return builder.graph()


def test_every_tensor_that_nothing_reads_is_an_output() -> None:
    tflite = pytest.importorskip("tflite", reason="reading TensorFlow Lite files needs the extra [npu] or [litert]")
    graph = branched()
    model = to_tflite(graph)
    assert [model.covers[model.tensors[index].name] for index in model.outputs] == [(2,), (3, 4), (5,)]
    subgraph = tflite.Model.GetRootAs(write(graph), 0).Subgraphs(0)
    assert subgraph.OutputsAsNumpy().tolist() == list(model.outputs)


def test_no_branch_is_dead_code_for_vela() -> None:
    pytest.importorskip("ethosu.regor", reason="compiling needs the extra [npu]")
    from accelzoo.hwmodel.oracles import load

    graph = branched()
    found = load("ethos-u", "ethos-u55-256").measure(graph)
    assert {index for row in found.rows for index in row.ops} == set(range(len(graph.ops)))


def test_litert_returns_every_output() -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="running needs the extra [litert]")
    from accelzoo.hwmodel.oracles.litert import interpreter_of

    details = interpreter_of(write(branched(), "float32")).get_output_details()
    assert [detail["shape"].tolist() for detail in details] == [[1, 8, 8, 2], [1, 8, 8, 4], [1, 4, 4, 2]]


def test_weights_and_biases_become_the_integers_of_the_specification() -> None:
    builder = GraphBuilder((2, 1, 1))
    builder.conv2d("conv", builder.input, 2)
    weights = np.array([[1.27, -0.635], [0.1, 0.0]], np.float32).reshape(2, 2, 1, 1)
    values = NetworkValues(
        ops={"conv": OpValues(weights, np.array([0.5, -0.25], np.float32), (0, 0))},
        ranges={"input": (-1.0, 1.55), "conv": (0.0, 2.55)},
    )
    model = to_tflite(builder.graph(), "int8", values=values)
    tensors = named(model)
    entry, exit_ = tensors["input"].quantization, tensors["t0"].quantization
    assert entry is not None
    assert exit_ is not None
    # Ranges of 2.55 over 255 steps: scale 0.01. The lowest value is stored as −128, so zero 100 steps above.
    assert [entry.scale, exit_.scale] == pytest.approx([0.01, 0.01])
    assert [entry.zero_point, exit_.zero_point] == [-28, -128]
    stored, bias = tensors["t0.weights"], tensors["t0.bias"]
    assert stored.data is not None
    assert bias.data is not None
    assert stored.quantization is not None
    assert stored.data.reshape(2, 2).tolist() in ([[127, -64], [127, 0]], [[127, -63], [127, 0]])  # −63.5 between
    assert stored.quantization.scale == pytest.approx((1.27 / 127, 0.1 / 127))
    # Bias over the product of the scales: 0.5 / (0.01 · 0.01) and −0.25 / (0.01 · 0.1 / 127).
    assert bias.data.tolist() == [pytest.approx(5000, abs=1), pytest.approx(-31750, abs=4)]
    assert bias.data.dtype == np.int32


def codes(model: Model) -> list[str]:
    return [operator.code for operator in model.operators]


def test_padding_alike_on_both_sides_comes_before_a_convolution_of_stride_2() -> None:
    builder = GraphBuilder((2, 8, 9))
    builder.conv2d("conv", builder.input, 2, 3, 2)
    own = OpValues(np.ones((2, 2, 3, 3), np.float32), None, (1, 1))
    model = to_tflite(builder.graph(), "float32", values=NetworkValues(ops={"conv": own}))
    assert codes(model) == ["PAD", "CONV_2D"]
    pads = named(model)["t0.pads"].data
    assert pads is not None
    # Of 8 rows SAME would add one at the end; of 9 columns one on each side, as torch does.
    assert pads.tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    same = NetworkValues(ops={"conv": own._replace(padding=None)})
    assert codes(to_tflite(builder.graph(), "float32", values=same)) == ["CONV_2D"]


def test_a_pool_pads_with_the_lowest_value() -> None:
    builder = GraphBuilder((2, 8, 8))
    builder.pool("pool", builder.input, 3, 2)
    ops = {"pool": OpValues(padding=(1, 1))}
    for ranges, code in (((-1.0, 1.0), "PADV2"), ((0.0, 1.0), "PAD")):
        values = NetworkValues(ops=ops, ranges={"input": ranges, "pool": ranges})
        model = to_tflite(builder.graph(), "int8", values=values)
        assert codes(model) == [code, "MAX_POOL_2D"]
        assert serialize(model)[4:8] == b"TFL3"


def test_maps_that_are_concatenated_share_the_widest_range() -> None:
    builder = GraphBuilder((2, 4, 4))
    first = builder.activation("act", builder.conv2d("first", builder.input, 2), "relu")
    second = builder.resize("resize", builder.conv2d("second", builder.input, 2, 1, 2), (4, 4), "nearest")
    kept = builder.conv2d("kept", builder.input, 2)
    joined = builder.concat("concat", [first, second, kept])
    builder.add("add", builder.conv2d("last", joined, 2), kept)
    graph = builder.graph()
    own = OpValues(np.ones((2, 2, 1, 1), np.float32))
    ops = dict.fromkeys(("first", "second", "kept"), own) | {"last": OpValues(np.ones((2, 6, 1, 1), np.float32))}
    ranges = {"input": (-1.0, 1.0)} | {op.name: (-1.0, 1.0) for op in graph.ops}
    ranges |= {"act": (0.0, 4.0), "second": (-3.0, 0.0), "resize": (-3.0, 0.0), "kept": (-1.0, 1.0)}
    model = to_tflite(graph, "int8", values=NetworkValues(ops=ops, ranges=ranges))
    # What the addition reads too keeps its own scale, and is brought to the others' where it is joined.
    assert codes(model).count("QUANTIZE") == 1
    concat = next(operator for operator in model.operators if operator.code == "CONCATENATION")
    found = {model.tensors[index].quantization for index in (*concat.inputs, concat.output)}
    assert len(found) == 1
    (shared,) = found
    assert shared is not None
    assert shared.scale == pytest.approx(7 / 255)
