"""Measuring many samples: resumed, deduplicated, with what failed on record."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel import Graph, oracles
from accelzoo.hwmodel.campaign import Outcome, collect
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.measurement_log import MeasurementLog
from accelzoo.hwmodel.measurements import Measurements, Sampling, Skip
from accelzoo.hwmodel.oracles import OracleError, UnsupportedByToolError
from accelzoo.hwmodel.sampling import draw_sample
from tests.forks import in_child, wait

PROVENANCE = Provenance(oracle="fake", target="fake-npu", tool="fake-1")
SAMPLING = Sampling("op", 0, 1)


class Fake:
    """Takes a second per operator; cannot run resizing, breaks on pools, and finds that additions take no time."""

    def __init__(self, dies_at: int | None = None, provenance: Provenance = PROVENANCE) -> None:
        self.provenance = provenance
        self.asked: list[Graph] = []
        self._dies_at = dies_at

    def measure(self, graph: Graph) -> Measurement:
        if len(self.asked) == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.asked.append(graph)
        kinds = {op.kind: op.name for op in graph.ops}
        if "resize" in kinds:
            raise UnsupportedByToolError("fake-npu", [f"{kinds['resize']} (resize:nearest)"], "not today")
        if "pool" in kinds:
            raise OracleError("out of paper")
        return Measurement(graph=graph, latency_s=0.0 if "add" in kinds else float(len(graph.ops)))


def run(path: Path, count: int, oracle: Fake | None = None) -> list[tuple[int, Outcome]]:
    outcomes: list[tuple[int, Outcome]] = []
    used = oracle or Fake()
    with MeasurementLog(path, used.provenance, SAMPLING) as log:
        collect(lambda: used, log, SAMPLING, count, on_outcome=lambda *pair: outcomes.append(pair))
    return outcomes


def test_every_sample_is_measured_or_says_why_not(tmp_path: Path) -> None:
    outcomes = run(tmp_path / "m.jsonl", 150)
    assert [index for index, _ in outcomes] == list(range(150))
    found = Measurements.read(tmp_path / "m.jsonl")
    assert len(found) + len(found.skipped) == 150
    for measured, index in zip(found.samples, found.indices, strict=True):
        assert index is not None
        assert (measured.graph, measured.source) == draw_sample("op", 0, index)
    reasons = {(skip.skipped, skip.reason) for skip in found.skipped}
    assert ("unsupported", "resize:nearest: not today") in reasons
    assert ("failed", "out of paper") in reasons
    assert any(skipped == "failed" and "latency_s must be" in reason for skipped, reason in reasons)


def test_nothing_is_measured_twice(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    run(path, 40)
    before = path.read_bytes()
    oracle = Fake()
    assert run(path, 40, oracle) == []
    assert oracle.asked == []
    run(path, 50, oracle)
    assert path.read_bytes().startswith(before)
    assert oracle.asked == [draw_sample("op", 0, index).graph for index in range(40, 50)]


def test_a_graph_that_is_there_is_a_duplicate(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    index = next(index for index in range(99) if draw_sample("op", 0, index).source == "op:conv2d")
    with MeasurementLog(path, PROVENANCE, SAMPLING) as log:
        log.append(Measurement(graph=draw_sample("op", 0, index).graph, latency_s=1.0))
    oracle = Fake()
    run(path, index + 1, oracle)
    assert Skip(index, "duplicate") in Measurements.read(path).skipped
    assert draw_sample("op", 0, index).graph not in oracle.asked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("dies_at", [0, 1, 17])
def test_killed_and_resumed_is_the_same_as_unbroken(dies_at: int, tmp_path: Path) -> None:
    run(tmp_path / "unbroken.jsonl", 40)
    path = tmp_path / "killed.jsonl"
    assert wait(in_child(lambda: run(path, 40, Fake(dies_at)))) == -signal.SIGKILL
    with path.open("ab") as file:
        file.write(b'{"index":99,"gra')  # what a kill in the middle of a write leaves
    run(path, 40)
    assert path.read_bytes() == (tmp_path / "unbroken.jsonl").read_bytes()


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    def stop(index: int, outcome: Outcome) -> None:
        if index == 5:
            raise KeyboardInterrupt

    with MeasurementLog(tmp_path / "m.jsonl", PROVENANCE, SAMPLING) as log, pytest.raises(KeyboardInterrupt):
        collect(Fake, log, SAMPLING, 40, on_outcome=stop)
    run(tmp_path / "m.jsonl", 40)
    run(tmp_path / "unbroken.jsonl", 40)
    assert (tmp_path / "m.jsonl").read_bytes() == (tmp_path / "unbroken.jsonl").read_bytes()


class Batched(Fake):
    """Answers ten graphs at a time."""

    batch_size = 10

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def measure_many(self, graphs: Sequence[Graph]) -> list[Measurement | OracleError]:
        self.sizes.append(len(graphs))
        found: list[Measurement | OracleError] = []
        for graph in graphs:
            try:
                found.append(replace(self.measure(graph), latency_s=float(len(graph.ops))))
            except OracleError as error:
                found.append(error)
        return found


def test_oracles_that_measure_several_together_get_batches(tmp_path: Path) -> None:
    oracle = Batched()
    with MeasurementLog(tmp_path / "m.jsonl", PROVENANCE, SAMPLING) as log:
        for number in range(200):  # the fake cannot measure additions
            if "add" in draw_sample("op", 0, number).source:
                log.skip(Skip(number, "failed"))
        collect(lambda: oracle, log, SAMPLING, 200)
    found = Measurements.read(tmp_path / "m.jsonl")
    assert len(found) + len(found.skipped) == 200
    assert set(oracle.sizes[:-1]) == {10}
    assert len(oracle.asked) == sum(oracle.sizes)
    for measured, index in zip(found.samples, found.indices, strict=True):
        assert index is not None
        assert (measured.graph, measured.source) == draw_sample("op", 0, index)
    assert {skip.skipped for skip in found.skipped} >= {"unsupported", "failed"}


def test_workers_write_the_same_file(tmp_path: Path) -> None:
    load = partial(oracles.load, "systolic", "systolic-16x16")
    for workers in (1, 2):
        with MeasurementLog(tmp_path / f"{workers}.jsonl", load().provenance, SAMPLING) as log:
            collect(load, log, SAMPLING, 60, workers=workers)
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_workers_are_refused_where_time_is_measured(tmp_path: Path) -> None:
    oracle = Fake(provenance=replace(PROVENANCE, host="this machine"))
    log = MeasurementLog(tmp_path / "m.jsonl", oracle.provenance, SAMPLING)
    with log, pytest.raises(DataError, match=r"workers \(=2\)"):
        collect(lambda: oracle, log, SAMPLING, 10, workers=2)


def test_another_version_of_the_space_is_refused(tmp_path: Path) -> None:
    old = SAMPLING._replace(space_version=0)
    with MeasurementLog(tmp_path / "m.jsonl", PROVENANCE, old) as log, pytest.raises(DataError, match="space_version"):
        collect(Fake, log, old, 10)
