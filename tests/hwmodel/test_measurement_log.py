"""Appending to a file of measurements: torn lines, kills, duplicates, and files that are something else."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel.measurement import Provenance
from accelzoo.hwmodel.measurement_log import MeasurementLog, unpack
from accelzoo.hwmodel.measurements import Measurements, Sampling, Skip
from tests.forks import in_child, wait
from tests.hwmodel.test_measurements import FAKE, SAMPLING, sample, written


def test_every_torn_end_is_cut_off_and_written_again(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl", 8, 9, 10).read_bytes()
    header = whole.index(b"\n") + 1
    torn = tmp_path / "torn.jsonl"
    for length in [*range(0, header + 1, 7), *range(header, len(whole), 37), len(whole) - 1]:
        torn.write_bytes(whole[:length])
        with MeasurementLog(torn, FAKE, SAMPLING) as log:
            assert (log.note is None) == (length <= header or whole[length - 1 : length] == b"\n")
            for index, channels in enumerate((8, 9, 10)):
                if index not in log.done:
                    log.append(sample(channels), index)
        assert torn.read_bytes() == whole


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    path = tmp_path / "m.jsonl"

    def work() -> None:
        with MeasurementLog(path, FAKE, SAMPLING) as log:
            for index in range(10_000):
                if index not in log.done:
                    log.append(sample(index + 1), index)

    for _ in range(3):
        child = in_child(work)
        before = path.stat().st_size if path.exists() else 0
        until = time.monotonic() + 10
        while (path.stat().st_size if path.exists() else 0) < before + 3000 and time.monotonic() < until:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
    found = Measurements.read(path)
    assert found.indices == tuple(range(len(found)))
    assert len(found) > 5


def test_duplicates_are_recorded_and_not_measured_again(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8, 9)
    with MeasurementLog(path, FAKE, SAMPLING) as log:
        assert log.holds(sample(8).graph)
        assert not log.holds(sample(11).graph)
        assert not log.append(sample(9, 7.0), 2)
        assert log.done == {0, 1, 2}
    with MeasurementLog(path, FAKE, SAMPLING) as log:
        assert log.done == {0, 1, 2}
    assert Measurements.read(path).skipped == (Skip(2, "duplicate"),)


def test_graphs_of_ones_own_need_no_index(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8, 9, sampling=None)
    with MeasurementLog(path, FAKE) as log:
        assert not log.append(sample(8))
        assert log.append(sample(10))
    assert Measurements.read(path).indices == (None, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"oracle": "other"}, "provenance.oracle: recorded 'fake', given 'other'"),
        ({"target": "other"}, "provenance.target: recorded 'fake-npu', given 'other'"),
        ({"tool": "fake-2"}, "provenance.tool: recorded 'fake-1', given 'fake-2'"),
        ({"settings": {"sram_bytes": 1}}, "provenance.settings.sram_bytes: recorded 1024, given 1"),
        ({"host": "another machine"}, "provenance.host: recorded '', given 'another machine'"),
    ],
)
def test_files_of_another_kind_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8)
    before = path.read_bytes()
    other: Provenance = dataclasses.replace(FAKE, **change)
    with pytest.raises(DataError) as raised:
        MeasurementLog(path, other, SAMPLING)
    assert said in str(raised.value)
    assert path.read_bytes() == before


def test_another_seed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8)
    with pytest.raises(DataError, match=r"sampling\.seed: recorded 0, given 7"):
        MeasurementLog(path, FAKE, Sampling("op", 7, 1))


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"half a line", b'{"format":"trace"}\n'])
def test_other_files_are_left_alone(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"mine\.jsonl"):
        MeasurementLog(path, FAKE, SAMPLING)
    assert path.read_bytes() == data


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MeasurementLog(path, FAKE, SAMPLING), pytest.raises(DataError, match="another process is writing"):
        MeasurementLog(path, FAKE, SAMPLING)
    MeasurementLog(path, FAKE, SAMPLING).close()


def test_compressed_files_are_unpacked_to_go_on(tmp_path: Path) -> None:
    from accelzoo.hwmodel.measurement_log import compress

    path = written(tmp_path / "m.jsonl", 8, 9)
    packed = compress(Measurements.read(path), tmp_path / "m.jsonl.xz")
    with pytest.raises(DataError, match="unpack it first"):
        MeasurementLog(packed, FAKE, SAMPLING)
    with pytest.raises(DataError, match="never overwritten"):
        unpack(packed, path)
    unpack(packed, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
