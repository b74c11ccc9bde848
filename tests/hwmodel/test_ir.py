"""The operator graph: work and bytes by closed forms, liveness by hand and brute force, faults, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import ShapeError
from accelzoo.hwmodel.conformance import every_kind
from accelzoo.hwmodel.ir import INPUT, KINDS, Graph, GraphBuilder, Op


def one(make: Callable[[GraphBuilder], str], shape: tuple[int, int, int] = (16, 9, 6)) -> Op:
    builder = GraphBuilder(shape)
    make(builder)
    return builder.graph().ops[-1]


def test_convolution_by_closed_form() -> None:
    op = one(lambda g: g.conv2d("c", INPUT, 24, 3, stride=2, groups=4))
    assert (op.kind, op.out_shape, op.in_shape) == ("conv2d", (24, 5, 3), (16, 9, 6))
    assert op.weight_count == 24 * (16 // 4) * 9
    assert op.macs == 24 * 4 * 9 * 5 * 3
    assert op.weight_bytes == 24 * 4 * 9 + 24 * 4
    assert (op.input_bytes, op.output_bytes) == (16 * 9 * 6, 24 * 5 * 3)


def test_depthwise_by_closed_form() -> None:
    op = one(lambda g: g.conv2d("c", INPUT, 16, 5, groups=16, bias=False))
    assert (op.kind, op.macs, op.weight_bytes) == ("depthwise_conv2d", 16 * 25 * 9 * 6, 16 * 25)
    assert one(lambda g: g.conv2d("c", INPUT, 32, 3, groups=16)).kind == "conv2d"  # two outputs per input channel


def test_linear_and_pool_by_closed_form() -> None:
    pool = one(lambda g: g.global_pool("p", INPUT))
    assert (pool.out_shape, pool.kernel_size, pool.macs, pool.weight_bytes) == ((16, 1, 1), (9, 6), 0, 0)
    linear = one(lambda g: g.linear("l", g.global_pool("p", INPUT), 10))
    assert (linear.macs, linear.weight_bytes, linear.output_bytes) == (160, 160 + 40, 10)


def test_products_of_activations_by_closed_form() -> None:
    builder = GraphBuilder((3, 7, 5))
    builder.conv2d("y", INPUT, 3)
    builder.resize("z", "y", (5, 11))
    builder.matmul("m", INPUT, "z")
    op = builder.graph().ops[-1]
    assert (op.kind, op.out_shape, op.in_shapes) == ("matmul", (3, 7, 11), ((3, 7, 5), (3, 5, 11)))
    assert (op.macs, op.weight_count, op.weight_bytes) == (3 * 7 * 5 * 11, 0, 0)
    assert (op.input_bytes, op.output_bytes) == (3 * 7 * 5 + 3 * 5 * 11, 3 * 7 * 11)
    assert builder.graph().macs == op.macs + 9 * 35


@pytest.mark.parametrize(
    ("make", "out_shape", "kernel_size", "stride", "function"),
    [
        (lambda g: g.pool("p", INPUT, 3, 2), (16, 5, 3), (3, 3), (2, 2), "max"),
        (lambda g: g.pool("p", INPUT, 2, 2, "avg"), (16, 5, 3), (2, 2), (2, 2), "avg"),
        (lambda g: g.resize("r", INPUT, (18, 13)), (16, 18, 13), (1, 1), (1, 1), "nearest"),
        (lambda g: g.resize("r", INPUT, (4, 1), "bilinear"), (16, 4, 1), (1, 1), (1, 1), "bilinear"),
        (lambda g: g.concat("c", [INPUT, g.conv2d("a", INPUT, 3), INPUT]), (35, 9, 6), (1, 1), (1, 1), ""),
        (lambda g: g.concat("c", [INPUT]), (16, 9, 6), (1, 1), (1, 1), ""),
        (lambda g: g.softmax("s", INPUT), (16, 9, 6), (1, 1), (1, 1), ""),
        (lambda g: g.opaque("o", [INPUT], "aten.roll", (6, 9, 16)), (6, 9, 16), (1, 1), (1, 1), "aten.roll"),
    ],
)
def test_kinds_without_weights(
    make: Callable[[GraphBuilder], str],
    out_shape: tuple[int, int, int],
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    function: str,
) -> None:
    op = one(make)
    assert (op.out_shape, op.kernel_size, op.stride, op.function) == (out_shape, kernel_size, stride, function)
    assert (op.macs, op.weight_bytes) == (0, 0)


def test_every_kind_survives_json() -> None:
    graph = every_kind()
    assert {op.kind for op in graph.ops} == set(KINDS)
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


def test_an_operator_may_read_a_view() -> None:
    made = GOOD._replace(kernel_size=(3, 3))
    reader = Op("b", "linear", ("a",), ((128, 1, 1),), (10, 1, 1))  # flattened
    half = Op("c", "conv2d", ("a",), ((4, 4, 4),), (2, 4, 4))  # the first four channels
    graph = Graph([made, reader, half], (3, 4, 4))
    assert graph.live_bytes() == (48 + 128, 128 + 10, 128 + 32)
    assert half.input_bytes == 64


@pytest.mark.parametrize("padding", range(4))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (2, 1), (3, 1), (4, 1), (3, 2)])
def test_maps_of_any_padding_below_the_window_fit(kernel_size: int, dilation: int, stride: int, padding: int) -> None:
    window = dilation * (kernel_size - 1) + 1
    size = (9 + 2 * padding - window) // stride + 1
    window_fields: dict[str, Any] = {"kernel_size": (kernel_size, 1), "stride": (stride, 1), "dilation": (dilation, 1)}
    op = Op("a", "conv2d", (INPUT,), ((3, 9, 1),), (8, size, 1), **window_fields)
    if padding < window:
        assert Graph([op], (3, 9, 1)).ops == (op,)
    with pytest.raises(ShapeError, match="conv2d cannot make"):
        Graph([op._replace(out_shape=(8, (9 + 2 * window - 2 - window) // stride + 2, 1))], (3, 9, 1))


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(4, 8), (8, 16), (3, 5)])
def test_bytes_round_up_to_whole_ones(weight_bits: int, activation_bits: int) -> None:
    builder = GraphBuilder((3, 5, 5), weight_bits, activation_bits)
    builder.conv2d("c", INPUT, 7, bias=False)
    (op,) = builder.graph().ops
    assert op.weight_bytes == (21 * weight_bits + 7) // 8
    assert op.output_bytes == (7 * 25 * activation_bits + 7) // 8


def test_a_chain_keeps_two_tensors_alive() -> None:
    builder = GraphBuilder((2, 4, 4))
    x = builder.conv2d("a", INPUT, 4)
    x = builder.activation("a.act", x, "relu")
    builder.conv2d("b", x, 1)
    assert builder.graph().live_bytes() == (32 + 64, 64, 64 + 16)
    assert builder.graph().peak_activation_bytes == 96


def test_a_residual_keeps_its_input_alive() -> None:
    builder = GraphBuilder((2, 4, 4))
    x = builder.conv2d("a", INPUT, 8)
    x = builder.conv2d("b", x, 2)
    x = builder.add("add", x, INPUT)
    builder.global_pool("pool", x)
    assert builder.graph().live_bytes() == (32 + 128, 32 + 128 + 32, 32 + 32, 32 + 2)


def test_a_gate_keeps_the_map_alive() -> None:
    builder = GraphBuilder((4, 4, 4))
    pool = builder.global_pool("pool", INPUT)
    gate = builder.activation("gate", pool, "sigmoid")
    builder.mul("mul", INPUT, gate)
    assert builder.graph().live_bytes() == (64 + 4, 64 + 4, 64 + 4)


def test_an_input_that_is_still_read_is_not_written_over() -> None:
    builder = GraphBuilder((4, 4, 4))
    act = builder.activation("act", INPUT, "relu")
    builder.add("add", act, INPUT)
    builder.add("twice", "add", "add")
    assert builder.graph().live_bytes() == (128, 128, 64)


def test_an_unread_tensor_dies_at_once() -> None:
    builder = GraphBuilder((4, 4, 4))
    builder.conv2d("unread", INPUT, 100)
    builder.conv2d("out", INPUT, 1)
    assert builder.graph().live_bytes() == (64 + 1600, 64 + 16)


def brute_force_liveness(graph: Graph) -> tuple[int, ...]:
    """At each step counts every tensor that exists and is read now or later, from the definition."""
    size = {INPUT: int(np.prod(graph.input_shape))} | {op.name: int(np.prod(op.out_shape)) for op in graph.ops}
    steps = []
    for now, op in enumerate(graph.ops):
        exists = {INPUT, *(earlier.name for earlier in graph.ops[:now])}
        alive = {name for name in exists if any(name in later.inputs for later in graph.ops[now:])}
        total = sum(size[name] for name in alive) + size[op.name]
        reusable = [name for name in op.inputs if not any(name in later.inputs for later in graph.ops[now + 1 :])]
        if op.kind in ("activation", "add", "mul") and size[op.name] in [size[name] for name in reusable]:
            total -= size[op.name]
        steps.append(total)
    return tuple(steps)


@pytest.mark.parametrize("seed", range(40))
def test_liveness_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((int(rng.integers(1, 6)), 4, 4))
    names = [INPUT]
    for step in range(15):
        x = names[rng.integers(len(names))]
        same = [name for name in names if builder.shape(name) == builder.shape(x)]
        y, name = same[rng.integers(len(same))], f"op{step}"
        match rng.integers(5):
            case 0:
                builder.conv2d(name, x, int(rng.integers(1, 6)))
            case 1:
                builder.activation(name, x, "relu")
            case 2:
                builder.add(name, x, y)
            case 3:
                builder.mul(name, x, builder.global_pool(f"{name}.pool", y))
                names.append(f"{name}.pool")
            case _:
                builder.global_pool(name, x)
        names.append(name)
    graph = builder.graph()
    assert graph.live_bytes() == brute_force_liveness(graph)
    assert graph.peak_activation_bytes == max(brute_force_liveness(graph))
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


GOOD = Op("a", "conv2d", (INPUT,), ((3, 4, 4),), (8, 4, 4))


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ([], "at least one operator"),
        ([GOOD._replace(kind="conv3d")], "operator 'a': unknown kind 'conv3d'; did you mean 'conv2d'?"),
        ([GOOD, GOOD], "operator 'a' appears twice"),
        ([GOOD._replace(name=INPUT)], "operator 'input' appears twice"),
        ([GOOD._replace(inputs=())], "0 inputs but 1 input shapes"),
        ([GOOD._replace(inputs=("b",))], "reads 'b', which nothing before it makes"),
        ([GOOD._replace(in_shapes=((4, 4, 4),))], r"as \(4, 4, 4\), but it is \(3, 4, 4\)"),
        ([GOOD._replace(groups=2)], r"groups \(=2\) must divide 3 and 8 channels"),
        ([GOOD._replace(stride=(2, 2))], r"conv2d cannot make \(8, 4, 4\) from \(3, 4, 4\)"),
        ([GOOD._replace(kind="linear")], "linear cannot make"),
        ([GOOD._replace(kind="add")], "add takes 2 inputs, got 1"),
        ([GOOD._replace(kind="activation")], "activation cannot make"),
        ([GOOD._replace(kind="pool", out_shape=(2, 1, 1))], "pool cannot make"),
        ([GOOD._replace(out_shape=(0, 4, 4))], "must be positive"),
        ([GOOD._replace(in_shapes=((0, 4, 4),))], r"as \(0, 4, 4\), but it is \(3, 4, 4\)"),
        ([GOOD._replace(kind="pool", out_shape=(3, 4, 4), function="sum")], "unknown function 'sum' of pool"),
        ([GOOD._replace(kind="resize", out_shape=(3, 8, 8), function="linear")], "did you mean 'bilinear'"),
        ([GOOD._replace(kind="resize", function="nearest")], "resize cannot make"),
        ([GOOD._replace(kind="softmax")], "softmax cannot make"),
        ([GOOD._replace(kind="opaque")], "opaque cannot make"),
        ([GOOD._replace(kind="matmul")], "matmul takes 2 inputs, got 1"),
        ([Op("m", "matmul", (INPUT, INPUT), ((3, 2, 8), (3, 4, 4)), (3, 2, 4))], "matmul cannot make"),
        ([Op("m", "matmul", (INPUT, INPUT), ((3, 4, 4), (3, 4, 4)), (3, 4, 5))], "matmul cannot make"),
        ([Op("c", "concat", (INPUT, INPUT), ((3, 4, 4), (3, 4, 4)), (7, 4, 4))], "concat cannot make"),
        ([Op("c", "concat", (INPUT, INPUT), ((3, 4, 4), (3, 4, 2)), (6, 4, 4))], "concat cannot make"),
        ([GOOD, Op("m", "mul", ("a", INPUT), ((8, 4, 4), (3, 4, 4)), (8, 4, 4))], "mul cannot make"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(ops: list[Op], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Graph(ops, (3, 4, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: g.conv2d("c", INPUT, 8, 4), r"c: kernel_size \(=4\) must be odd"),
        (lambda g: g.conv2d("c", INPUT, 0), r"c: out_channels \(=0\)"),
        (lambda g: g.conv2d("c", INPUT, 8, groups=3), r"c: groups \(=3\) must divide in_channels \(=16\)"),
        (lambda g: g.conv2d("c", "inptu", 8), "no operator so far makes 'inptu'; did you mean 'input'"),
        (lambda g: g.linear("l", INPUT, 8), "l: a linear layer needs a pooled input, got a map of 9x6"),
        (lambda g: g.linear("l", g.global_pool("p", INPUT), 0), r"l: out_features \(=0\)"),
        (lambda g: g.activation("a", INPUT, "rellu"), "a: unknown activation 'rellu'; did you mean 'relu'"),
        (lambda g: g.pool("p", INPUT, 3, 2, "maxx"), "p: unknown pooling 'maxx'; did you mean 'max'"),
        (lambda g: g.pool("p", INPUT, 3, 0), r"p: kernel_size \(=3\) and stride \(=0\)"),
        (lambda g: g.resize("r", INPUT, (4, 4), "cubic"), "r: unknown resizing 'cubic'"),
        (lambda g: g.resize("r", INPUT, (4, 0)), r"r: size \(4, 0\) must be positive"),
        (lambda g: g.concat("c", []), "c: can only concatenate maps of equal height and width, got nothing"),
        (lambda g: g.concat("c", [INPUT, g.global_pool("p", INPUT)]), r"got \(16, 9, 6\), \(16, 1, 1\)"),
        (lambda g: g.matmul("m", INPUT, INPUT), r"m: cannot multiply .* \(16, 9, 6\) by \(16, 9, 6\)"),
        (lambda g: g.opaque("o", [], "aten.roll", (1, 1, 1)), "o: needs inputs"),
        (lambda g: g.opaque("o", [INPUT], "", (1, 1, 1)), "a function"),
        (lambda g: g.opaque("o", ["inptu"], "aten.roll", (1, 1, 1)), "did you mean 'input'"),
        (lambda g: g.add("s", INPUT, g.conv2d("c", INPUT, 8)), r"s: cannot add \(16, 9, 6\) and \(8, 9, 6\)"),
        (lambda g: g.mul("m", INPUT, g.conv2d("c", INPUT, 8)), r"m: cannot scale \(16, 9, 6\) by \(8, 9, 6\)"),
    ],
)
def test_the_builder_names_the_operator_and_the_values(make: Callable[[GraphBuilder], str], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        one(make)


def test_an_input_must_be_positive() -> None:
    with pytest.raises(ShapeError, match="must be positive"):
        GraphBuilder((3, 0, 4))


@pytest.mark.parametrize(
    "data", [{}, {"ops": 3}, {"ops": [{"name": "a"}], "input_shape": [3, 4, 4], "activation_bits": 8}]
)
def test_data_of_no_graph_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="not the data of a graph"):
        Graph.from_json(data)


def test_graphs_are_values() -> None:
    graph, same, other = (Graph([GOOD], (3, 4, 4), bits) for bits in (8, 8, 16))
    assert graph == same
    assert hash(graph) == hash(same)
    assert graph != other
    assert len({graph, same, other}) == 2
    assert graph != "graph"
    assert "macs=384" in repr(graph)
    assert (graph.macs, graph.weight_count, graph.weight_bytes) == (384, 24, 24)
