"""The Ethos-U oracle against known figures of Vela 5.2.0, and against what each kind of operator must cost."""

from __future__ import annotations

import json
import math
import sys
from functools import cache
from importlib import metadata

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.ir import Op
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles import MissingToolError, Oracle, OracleError, UnsupportedByToolError, ethos_u, load
from accelzoo.hwmodel.oracles.conformance import OracleContract
from accelzoo.registry import get_arch
from tests.hwmodel.networks import conv
from tests.hwmodel.oracles.every_kind import every_kind

pytest.importorskip("ethosu.regor", reason="compiling for Ethos-U needs the extra [npu]")
pytest.importorskip("tflite", reason="compiling for Ethos-U needs the extra [npu]")

targets = pytest.mark.parametrize("target", ethos_u.TARGETS)
COMPUTING = ("conv2d", "depthwise_conv2d", "linear", "add", "mul", "pool", "resize")


@cache
def measured(target: str) -> Measurement:
    return load("ethos-u", target).measure(every_kind(resizing="nearest"))


def cycles(target: str, graph: Graph) -> float:
    return load("ethos-u", target).measure(graph).latency_s * ethos_u.SYSTEMS[target].clock_hz


def activated(function: str) -> Graph:
    builder = GraphBuilder((8, 28, 28))
    builder.activation("act", builder.conv2d("conv", builder.input, 64), function)
    return builder.graph()


class TestContract(OracleContract):
    @pytest.fixture
    def oracle(self) -> Oracle:
        return load("ethos-u", "ethos-u55-128")


@targets
def test_rows_add_up_to_the_total(target: str) -> None:
    found = measured(target)
    assert math.fsum(row.latency_s for row in found.rows) == pytest.approx(found.latency_s, rel=1e-12)


@targets
def test_rows_hold_every_operator_that_computes_once(target: str) -> None:
    found = measured(target)
    ops = found.graph.ops
    held = [index for row in found.rows for index in row.ops]
    assert len(held) == len(set(held))
    assert {op.name for op in ops if op.kind in COMPUTING} <= {ops[index].name for index in held}


@targets
def test_a_row_takes_what_its_slowest_part_takes(target: str) -> None:
    # Rows of several operators are sums of such maxima, hence no less than the maximum of the sums.
    for row in measured(target).rows:
        parts = dict(row.extra)
        assert list(parts) == ["compute_s", "sram_s", "dram_s"]
        assert max(parts.values()) <= row.latency_s * (1 + 1e-12)
        assert row.latency_s <= sum(parts.values()) * (1 + 1e-12)
        assert row.engine == "npu"


@targets
def test_memory_is_reported(target: str) -> None:
    found = measured(target)
    system = ethos_u.SYSTEMS[target]
    assert found.weight_bytes is not None
    assert found.dram_bytes is not None
    assert found.peak_activation_bytes is not None
    assert 0 < found.peak_activation_bytes <= system.arena_cache_bytes
    # Encoded weights with scales: above a quarter of the plain bytes, since they are random, and of their order.
    assert found.graph.weight_count / 4 < found.weight_bytes < 4 * found.graph.weight_bytes
    assert found.dram_bytes > 0
    assert Measurement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_mobilenet_v2_is_as_fast_as_the_official_converters_file() -> None:
    """TensorFlow 2.21 converted the network; with our weights in its file, Vela reported 11.3562 ms."""
    latency_ms = load("ethos-u", "ethos-u55-256").measure(get_arch("mobilenetv2_100").lower()).latency_s * 1e3
    assert latency_ms == pytest.approx(11.3562, rel=0.005)


def test_more_mac_units_take_fewer_cycles() -> None:
    assert cycles("ethos-u55-256", conv(128, 128, 28, 3)) < 0.6 * cycles("ethos-u55-128", conv(128, 128, 28, 3))


def test_memory_modes_differ() -> None:
    graph = conv(32, 32, 112, 3)  # maps of 392 KiB, more than the dedicated memory holds
    shared, dedicated = (load("ethos-u", f"ethos-u65-512{mode}").measure(graph) for mode in ("", "-dedicated"))
    assert dedicated.latency_s > 1.2 * shared.latency_s
    assert dedicated.peak_activation_bytes is not None
    assert dedicated.peak_activation_bytes <= 384 << 10


def test_hard_swish_costs_more_than_relu_on_u55_and_next_to_nothing_on_u85() -> None:
    ratio = {
        target: cycles(target, activated("hard_swish")) / cycles(target, activated("relu"))
        for target in ("ethos-u55-256", "ethos-u85-256")
    }
    assert ratio["ethos-u55-256"] > 2
    assert ratio["ethos-u85-256"] == pytest.approx(1, abs=0.02)


def test_relu_is_free_and_shares_the_row_of_its_convolution() -> None:
    builder = GraphBuilder((8, 28, 28))
    builder.conv2d("conv", builder.input, 64)
    plain, with_relu = builder.graph(), activated("relu")
    assert cycles("ethos-u55-256", with_relu) == cycles("ethos-u55-256", plain)
    assert [row.ops for row in load("ethos-u", "ethos-u55-256").measure(with_relu).rows] == [(0, 1)]


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u55-256", "ethos-u65-512"])
def test_what_would_fall_back_to_the_cpu_is_refused_instead_of_free(target: str) -> None:
    builder = GraphBuilder((16, 8, 8))
    x = builder.conv2d("conv", builder.input, 16)
    builder.resize("grow", x, (32, 32), "bilinear")
    with pytest.raises(UnsupportedByToolError, match=rf"{target} cannot run grow \(resize\).*CPU.*0 cycles") as caught:
        load("ethos-u", target).measure(builder.graph())
    assert caught.value.operators == ("grow (resize)",)


def test_what_a_file_cannot_hold_is_refused_by_name() -> None:
    builder = GraphBuilder((4, 6, 6))
    builder.matmul("scores", builder.input, builder.input)
    with pytest.raises(UnsupportedByToolError, match=r"scores \(matmul\)"):
        load("ethos-u", "ethos-u55-128").measure(builder.graph())


def test_a_reshaped_input_costs_no_row_of_its_own() -> None:
    head = Op("head", "linear", ("conv",), ((1024, 1, 1),), (10, 1, 1))
    body = Op("conv", "conv2d", ("input",), ((8, 8, 8),), (16, 8, 8))
    found = load("ethos-u", "ethos-u55-128").measure(Graph([body, head], (8, 8, 8)))
    assert [row.ops for row in found.rows] == [(0,), (1,)]


def test_a_compiler_that_fails_is_an_error_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from ethosu import regor

    def fail(*arguments: object) -> None:
        raise RuntimeError("no schedule")

    oracle = load("ethos-u", "ethos-u55-128")
    monkeypatch.setattr(regor, "compile", fail)
    with pytest.raises(OracleError, match=r"vela cannot compile .*: no schedule"):
        oracle.measure(conv(8, 8, 8))


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "5.1.0")
    with pytest.raises(MissingToolError, match=r"5\.1\.0 is installed, 5\.2\.0 is needed.*accelzoo\[npu\]"):
        load("ethos-u", "ethos-u55-128")


@pytest.mark.parametrize("module", ["ethosu.regor", "tflite", "flatbuffers"])
def test_the_missing_tool_is_named_with_its_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingToolError, match=rf"{module}.*accelzoo\[npu\]"):
        load("ethos-u", "ethos-u55-128")


@targets
def test_provenance_holds_the_whole_configuration(target: str) -> None:
    provenance = load("ethos-u", target).provenance
    assert provenance.label == f"vela-5.2.0/{target}"
    assert provenance.host == ""  # the compiler calculates: the machine does not matter
    system = ethos_u.SYSTEMS[target]
    assert {name: provenance.settings[name] for name in system._fields} == system._asdict()
    assert provenance.settings["weight_seed"] == 0
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json()))) == provenance
    assert load("ethos-u", target, seed=1).provenance != provenance
