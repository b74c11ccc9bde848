"""Where a target's error comes from, by class of operator."""

from __future__ import annotations

import json

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import Graph, GraphBuilder, estimate
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement
from accelzoo.hwmodel.validate import OUTSIDE, Explanation, class_of, explain
from tests.hwmodel.networks import TOY, bottleneck, conv


def labelled(graph: Graph, factors: dict[str, float], rest_s: float = 0.0) -> Measurement:
    """A measurement that took the prediction times a factor, operator by operator; activations join their producers."""
    cost = estimate(graph, TOY)
    rows: list[OpMeasurement] = []
    for index, (op, row) in enumerate(zip(graph.ops, cost.by_op, strict=True)):
        seconds = row.latency_s * factors.get(op.kind, 1.0)
        if op.kind == "activation":
            maker = rows.pop()
            rows.append(OpMeasurement((*maker.ops, index), maker.latency_s + seconds))
        else:
            rows.append(OpMeasurement((index,), seconds))
    return Measurement(graph=graph, latency_s=sum(row.latency_s for row in rows) + rest_s, rows=tuple(rows))


def test_explain_finds_the_kind_that_is_wrong() -> None:
    graph = bottleneck(16, 28, 4, fused=False)
    by_op = {op.name: row.latency_s for op, row in zip(graph.ops, estimate(graph, TOY).by_op, strict=True)}
    found = explain(TOY, [labelled(graph, {"depthwise_conv2d": 2.0})] * 2)
    first, *others = found.classes
    measured = 2 * by_op["depthwise"] + by_op["depthwise.act"]
    missed = by_op["depthwise"]
    whole = sum(by_op.values()) + by_op["depthwise"]
    assert (first.label, first.n, first.error_share) == ("depthwise_conv2d 3x3", 2, 1.0)
    assert first.bias == pytest.approx(-missed / measured)
    assert first.share == pytest.approx(measured / whole)
    assert {entry.label: entry.bias for entry in others} == {"conv2d 1x1": 0.0, "add": 0.0}
    assert found.bias == pytest.approx(-missed / whole)
    assert found.miss == pytest.approx(-found.bias)
    (worst,) = first.worst  # both networks hold the same operator
    assert worst.what == "depthwise_conv2d 3x3+relu 64x28x28 -> 64x28x28"
    assert worst.miss_s == pytest.approx(-missed)


def test_explain_shows_what_cancels_out_and_what_rows_leave_out() -> None:
    graph = bottleneck(16, 28, 4, fused=False)
    cost = estimate(graph, TOY)
    shares = {kind: sum(row.latency_s for row in cost.by_op if row.kind == kind) for kind in ("conv2d", "add")}
    factors = {"conv2d": 0.5, "add": 1 + 0.5 * shares["conv2d"] / shares["add"]}
    found = explain(TOY, [labelled(graph, factors)])
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert found.miss == pytest.approx(shares["conv2d"] / cost.latency_s)
    rest = explain(TOY, [labelled(graph, {}, rest_s=cost.latency_s)]).classes[0]
    assert (rest.label, rest.n) == (OUTSIDE, 1)
    assert rest.share == pytest.approx(0.5)
    assert rest.bias == pytest.approx(-1)


def test_explain_as_data_and_text() -> None:
    found = explain(TOY, [labelled(bottleneck(16, 28, 4, fused=True), {"conv2d": 1.25})])
    assert Explanation.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert "| conv2d 3x3 | 1 |" in found.to_markdown()
    assert found.header().startswith("toy on the operators of 1 samples: -")


def test_explain_needs_rows() -> None:
    sample = Measurement(graph=conv(8, 8, 16), latency_s=1e-6)
    with pytest.raises(DataError, match=r"no measurement .* tells what their operators took"):
        explain(TOY, [sample])


def test_classes_of_operators() -> None:
    builder = GraphBuilder((8, 16, 16))
    x = builder.conv2d("grouped", builder.input, 16, kernel_size=3, groups=2)
    x = builder.pool("window", x, 2, 2)
    x = builder.resize("resize", x, (16, 16), "bilinear")
    x = builder.activation("act", x, "silu")
    builder.global_pool("global", x)
    assert [class_of(op) for op in builder.graph().ops] == [
        "conv2d grouped 3x3",
        "pool:max window",
        "resize:bilinear",
        "activation:silu",
        "pool:avg global",
    ]
