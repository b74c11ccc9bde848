"""Graphs in short form: everything comes back, and what is no graph is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accelzoo.errors import ShapeError
from accelzoo.hwmodel import Graph, Op
from accelzoo.hwmodel.graph_codec import decode, encode
from accelzoo.hwmodel.sampling import KINDS, draw_sample
from tests.hwmodel.networks import bottleneck


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_comes_back(kind: str) -> None:
    for index in range(40):
        graph = draw_sample(kind, 5, index).graph
        assert decode(json.loads(json.dumps(encode(graph)))) == graph


def test_unusual_fields_come_back() -> None:
    conv = Op("a", "conv2d", ("input",), ((6, 9, 8),), (4, 5, 4), (3, 1), (2, 2), (2, 1), 2, 4, 16, True)
    view = Op("b", "softmax", ("a",), ((1, 4, 20),), (1, 4, 20), activation_bits=16)
    odd = Op("c", "opaque", ("a", "b"), ((4, 5, 4), (1, 4, 20)), (3, 1, 1), function="aten.cumsum")
    graph = Graph([conv, view, odd], (6, 9, 8), activation_bits=16)
    assert decode(json.loads(json.dumps(encode(graph)))) == graph


def test_it_is_shorter_than_the_plain_form() -> None:
    graph = draw_sample("network", 0, 0).graph
    assert len(json.dumps(encode(graph))) < 0.7 * len(json.dumps(graph.to_json()))


@pytest.mark.parametrize(
    "change",
    [
        {"ops": [["a", "conv2d", [0], [4, 4, 4]]]},
        {"ops": [["a", "conv2d", [-2], [4, 4, 4]]]},
        {"ops": [["a", "conv2d"]]},
        {"ops": [["a", "conv2d", [-1], [4, 4, 4], {"kernel": 3}]]},
        {"ops": 3},
        {"input_shape": [3]},
    ],
)
def test_what_is_no_graph_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="not the data of a graph"):
        decode(encode(bottleneck(8, 7, 2, fused=True)) | change)
