"""The LiteRT oracle: what it runs, what it says about itself, what it refuses."""

from __future__ import annotations

import json
import time
from importlib import metadata

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.hwmodel.ir import Op
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles import MissingToolError, Oracle, OracleError, UnsupportedByToolError, list_targets, load
from accelzoo.hwmodel.oracles import litert as module
from accelzoo.hwmodel.oracles.conformance import OracleContract
from accelzoo.hwmodel.oracles.interleaved import Plan
from accelzoo.hwmodel.oracles.tflite_model import Precision
from accelzoo.hwmodel.oracles.tflite_writer import write
from tests.hwmodel.networks import conv
from tests.hwmodel.oracles.every_kind import every_kind

pytest.importorskip("ai_edge_litert.interpreter", reason="measuring needs the extra [litert]")

QUICK = Plan(passes=2, rounds=1, visit_s=1e-4, piece_s=5e-5, pass_s=1e-3, extra_passes=0)
PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
targets = pytest.mark.parametrize("target", module.TARGETS)


def oracle_of(target: str) -> module.LiteRT:
    oracle = load("litert", target, plan=QUICK)
    assert isinstance(oracle, module.LiteRT)
    return oracle


def unsupported() -> Graph:
    builder = GraphBuilder((4, 6, 6))
    builder.matmul("scores", builder.input, builder.input)
    return builder.graph()


class TestContract(OracleContract):
    deterministic = False
    rows = "none"

    @pytest.fixture
    def oracle(self) -> module.LiteRT:
        return oracle_of(module.TARGETS[0])


def test_targets_name_architecture_and_precision() -> None:
    assert list_targets("litert") == list(module.TARGETS)
    assert [target.split("-")[1] for target in module.TARGETS] == ["int8", "float32"]


@targets
@pytest.mark.parametrize("resizing", ["nearest", "bilinear"])
def test_a_graph_of_every_kind_is_measured(target: str, resizing: str) -> None:
    oracle = oracle_of(target)
    assert isinstance(oracle, Oracle)
    graph = every_kind(resizing=resizing)
    found = oracle.measure(graph)
    assert found.graph == graph
    assert 1e-6 < found.latency_s < 1
    assert found.spread is not None
    # What LiteRT's Python interface does not tell.
    assert (found.rows, found.peak_activation_bytes, found.energy_j, found.dram_bytes) == ((), None, None, None)
    assert Measurement.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_litert_allocates_and_runs_what_the_writer_writes(precision: Precision) -> None:
    interpreter = module.interpreter_of(write(every_kind(), precision))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    assert (output["shape"].tolist(), output["dtype"].__name__) == ([1, 1, 1, 10], precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_convolutions_run_in_xnnpack_and_what_it_lacks_does_not(precision: Precision) -> None:
    assert module.runs_in_xnnpack(write(conv(8, 16, 7, 3), precision))
    builder = GraphBuilder((8, 7, 7))
    builder.resize("grow", builder.input, (14, 14), "nearest")
    assert not module.runs_in_xnnpack(write(builder.graph(), precision))


def test_without_xnnpack_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "runs_in_xnnpack", lambda model: False)
    with pytest.raises(OracleError, match="without XNNPACK"):
        oracle_of(module.TARGETS[0])


@targets
def test_more_work_takes_longer(target: str) -> None:
    small, large = oracle_of(target).measure_many([conv(32, 32, 14, 3), conv(128, 128, 28, 3)])
    assert isinstance(small, Measurement)
    assert isinstance(large, Measurement)
    assert large.latency_s > 4 * small.latency_s  # 64 times the work


def test_one_thread_does_all_the_work() -> None:
    interpreter = module.interpreter_of(write(conv(256, 256, 28, 3), "float32"))
    interpreter.invoke()
    of_thread, of_process = time.thread_time_ns(), time.process_time_ns()
    for _ in range(5):
        interpreter.invoke()
    of_thread, of_process = time.thread_time_ns() - of_thread, time.process_time_ns() - of_process
    assert of_thread == pytest.approx(of_process, rel=0.05)


def test_many_are_measured_in_the_order_given_and_errors_stand_in_their_place() -> None:
    graphs = [conv(4, 4, 4), unsupported(), conv(8, 4, 4), conv(4, 8, 4)]
    found = oracle_of(module.TARGETS[0]).measure_many(graphs)
    assert isinstance(found[1], UnsupportedByToolError)
    assert [entry.graph for entry in found if isinstance(entry, Measurement)] == [graphs[0], graphs[2], graphs[3]]


def test_batches_are_no_larger_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    oracle = oracle_of(module.TARGETS[0])
    graphs = [conv(4, 4, size) for size in (1, 2, 3, 4, 5)]
    batches = list(oracle.record(graphs))
    assert [len(batch[0].seconds) for batch in batches] == [2, 2, 1]
    assert [entry.graph for entry in oracle.measure_many(graphs) if isinstance(entry, Measurement)] == graphs


@targets
def test_what_a_file_cannot_hold_is_refused_by_name(target: str) -> None:
    with pytest.raises(UnsupportedByToolError, match=r"TensorFlow Lite cannot run scores \(matmul") as caught:
        oracle_of(target).measure(unsupported())
    assert caught.value.operators == ("scores (matmul)",)
    with pytest.raises(UnsupportedByToolError, match="scores"):
        list(oracle_of(target).record([unsupported()]))


def test_what_litert_refuses_is_an_error_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = oracle_of(module.TARGETS[0])

    def fail(model: bytes) -> None:
        raise RuntimeError("node 3 failed to prepare")

    monkeypatch.setattr(module, "interpreter_of", fail)
    with pytest.raises(OracleError, match=r"LiteRT cannot run.*node 3 failed to prepare"):
        oracle.measure(Graph([Op("x", "conv2d", ("input",), ((4, 4, 4),), (4, 4, 4))], (4, 4, 4)))


@targets
def test_provenance_holds_everything_that_changes_the_numbers(target: str) -> None:
    provenance = oracle_of(target).provenance
    assert provenance.label == f"litert-{metadata.version('ai-edge-litert')}/{target}"
    assert provenance.settings["threads"] == 1
    assert provenance.settings["xnnpack"] is True
    assert provenance.settings["precision"] == target.split("-")[1]
    assert {name: provenance.settings[name] for name in Plan._fields} == QUICK._asdict()
    assert "CPU" in provenance.host
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json()))) == provenance
    assert oracle_of(target).provenance == provenance  # a resumed run goes on with the same file


def test_the_missing_tool_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingToolError, match=r"accelzoo\[litert\]"):
        oracle_of(module.TARGETS[0])
