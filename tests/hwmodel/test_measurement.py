"""The value that oracles return: what it refuses, and what a file gives back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance, graph_digest
from tests.hwmodel.networks import bottleneck

GRAPH = bottleneck(8, 14, 4, fused=False)  # 6 operators: expand, act, depthwise, act, project, add


def measurement(**changes: Any) -> Measurement:
    values: dict[str, Any] = {
        "graph": GRAPH,
        "latency_s": 1e-3,
        "rows": (
            OpMeasurement((0, 1), 4e-4, 1e-6, "npu", (("cycles", 400), ("sram_s", 1e-4))),
            OpMeasurement((2,), 5e-4),
        ),
        "energy_j": 2e-6,
        "peak_activation_bytes": 1568,
        "weight_bytes": 900,
        "dram_bytes": 0,
        "spread": 0.01,
        "source": "block:ibn",
    }
    return Measurement(**(values | changes))


def test_json_gives_it_back() -> None:
    for sample in (measurement(), Measurement(graph=GRAPH, latency_s=0.5)):
        assert Measurement.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_what_is_not_told_is_not_written() -> None:
    assert set(Measurement(graph=GRAPH, latency_s=0.5).to_json()) == {"graph", "latency_s"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latency_s": 0.0}, "latency_s must be a finite number greater than 0, got 0.0"),
        ({"latency_s": -1e-3}, "latency_s must be a finite number greater than 0, got -0.001"),
        ({"latency_s": math.nan}, "latency_s must be a finite number greater than 0, got nan"),
        ({"latency_s": True}, "latency_s must be a finite number"),
        ({"latency_s": "fast"}, "got 'fast'"),
        ({"energy_j": math.inf}, "energy_j must be a finite number greater than 0, got inf"),
        ({"spread": -0.1}, "spread must be a finite number, at least 0, got -0.1"),
        ({"peak_activation_bytes": -1}, "peak_activation_bytes must be a whole number, at least 0, got -1"),
        ({"dram_bytes": 1.5}, "dram_bytes must be a whole number"),
        ({"source": "nets:mine"}, "source 'nets:mine' must begin with one of op, block, network"),
        ({"rows": (OpMeasurement((), 1e-3),)}, "row 0 covers no operator"),
        ({"rows": (OpMeasurement((6,), 1e-3),)}, "row 0 covers operator 6, but the graph has operators 0 to 5"),
        ({"rows": (OpMeasurement((-1,), 1e-3),)}, "row 0 covers operator -1"),
        (
            {"rows": (OpMeasurement((2,), 1e-3), OpMeasurement((2,), 1e-3))},
            "row 1 covers operator 2 (depthwise) a second",
        ),
        ({"rows": (OpMeasurement((0, 1), 0.0),)}, "row 0 (expand, expand.act): latency_s must be"),
        ({"rows": (OpMeasurement((0,), math.nan),)}, "row 0 (expand): latency_s must be"),
        ({"rows": (OpMeasurement((0,), 1.0, -2.0),)}, "row 0 (expand): energy_j must be"),
        ({"rows": (OpMeasurement((0,), 1.0, extra=(("cycles", math.nan),)),)}, "row 0 (expand): cycles must be"),
    ],
)
def test_impossible_numbers_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as raised:
        measurement(**changes)
    assert said in str(raised.value)
    assert "measurement of " in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latency": 1.0}, "unknown field 'latency'; did you mean 'latency_s'?"),
        ({"rows": [[[0]]]}, "row 0: expected a list of ops, latency_s"),
        ({"rows": [3]}, "row 0: expected a list"),
        ({"graph": {"ops": []}}, "not the data of a graph"),
        ({"graph": {"input_shape": [3, 8, 8], "ops": []}}, "at least one operator"),
    ],
)
def test_json_with_faults_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as raised:
        Measurement.from_json(measurement().to_json() | changes)
    assert said in str(raised.value)


def test_json_without_latency_is_refused() -> None:
    data = measurement().to_json()
    del data["latency_s"]
    with pytest.raises(DataError, match="missing latency_s"):
        Measurement.from_json(data)


def test_provenance_round_trip_and_label() -> None:
    settings = {"memory": "Shared_Sram", "clock_hz": 5e8, "options": ["a", None, True]}
    provenance = Provenance(oracle="ethos-u", target="ethos-u55-256", tool="vela-5.2.0", settings=settings)
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json()))) == provenance
    assert provenance.label == "vela-5.2.0/ethos-u55-256"
    assert len({provenance, Provenance.from_json(provenance.to_json())}) == 1
    # Tuples compare equal to what a file gives back.
    assert Provenance(oracle="o", target="t", tool="x", settings={"a": (1, 2)}).settings == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tool": ""}, "tool must not be empty"),
        ({"tool": 3}, "tool must be text, got 3"),
        ({"settings": [1]}, "settings must be a mapping"),
        ({"machine": "x"}, "unknown field 'machine'"),
    ],
)
def test_provenance_with_faults_is_refused(change: dict[str, Any], said: str) -> None:
    data = Provenance(oracle="o", target="t", tool="x-1").to_json()
    with pytest.raises(DataError, match=said):
        Provenance.from_json(data | change)


def test_digest_is_of_the_content_and_not_of_names() -> None:
    def renamed(prefix: str, channels: int = 8, twice: bool = False) -> Graph:
        builder = GraphBuilder((8, 7, 7))
        x = builder.conv2d(f"{prefix}a", builder.input, channels)
        y = builder.conv2d(f"{prefix}b", x, channels)
        builder.add(f"{prefix}c", y, y if twice else x)
        return builder.graph()

    assert graph_digest(renamed("x")) == graph_digest(renamed("y"))
    others = [renamed("x", channels=9), renamed("x", twice=True), bottleneck(8, 7, 1, fused=False)]
    assert len({graph_digest(graph) for graph in [renamed("x"), *others]}) == 4
