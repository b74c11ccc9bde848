"""Files of measurements as values: reading, faults with their line, merging, and how long reading takes."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import DataError
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.measurement_log import MeasurementLog, compress
from accelzoo.hwmodel.measurements import Measurements, Sampling, Skip, merge
from tests.hwmodel.networks import conv

FAKE = Provenance(oracle="fake", target="fake-npu", tool="fake-1", settings={"sram_bytes": 1024})
SAMPLING = Sampling("op", 0, 1)


def sample(channels: int, latency_s: float = 1e-3, source: str = "op:conv2d") -> Measurement:
    graph = conv(8, channels, 7)
    return Measurement(graph=graph, latency_s=latency_s, rows=(OpMeasurement((0,), latency_s),), source=source)


def written(path: Path, *channels: int, sampling: Sampling | None = SAMPLING) -> Path:
    with MeasurementLog(path, FAKE, sampling) as log:
        for index, count in enumerate(channels):
            log.append(sample(count), index if sampling else None)
    return path


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MeasurementLog(path, FAKE, SAMPLING) as log:
        assert log.append(sample(8), 0)
        log.skip(Skip(1, "unsupported", "resize:bilinear: only by 2"))
        assert log.append(sample(9, source="network:random"), 2)
        assert not log.append(sample(8, 5.0), 3)
    found = Measurements.read(path)
    assert found.provenance == FAKE
    assert found.sampling == SAMPLING
    assert list(found) == [sample(8), sample(9, source="network:random")]
    assert found.indices == (0, 2)
    assert found.skipped == (Skip(1, "unsupported", "resize:bilinear: only by 2"), Skip(3, "duplicate"))
    assert found.of_kind("network") == (found.samples[1],)
    assert (len(found), found.note) == (2, None)


def test_compressed_files_hold_the_same(tmp_path: Path) -> None:
    found = Measurements.read(written(tmp_path / "m.jsonl", 8, 9, 10))
    packed = compress(found, tmp_path / "m.jsonl.xz")
    assert Measurements.read(packed) == found
    again = compress(found, tmp_path / "again.jsonl.xz")
    assert again.read_bytes() == packed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.jsonl.xz", "m.jsonl", "m.jsonl.xz"]


def test_compressing_never_overwrites(tmp_path: Path) -> None:
    found = Measurements.read(written(tmp_path / "m.jsonl", 8))
    packed = tmp_path / "m.jsonl.xz"
    packed.write_bytes(b"mine")
    with pytest.raises(DataError, match="never overwritten"):
        compress(found, packed)
    with pytest.raises(DataError, match="cannot be read"):
        compress(found, packed, replace=True)
    assert packed.read_bytes() == b"mine"
    with pytest.raises(DataError, match=r"ends in \.jsonl\.xz"):
        compress(found, tmp_path / "m.xz")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (1, {"format": "csv"}, ":1: not a file of measurements: format is 'csv'"),
        (1, {"version": 99}, ":1: version 99 is not known; this version reads 1"),
        (1, {"sampling": {"kind": "op"}}, ":1: "),
        (1, {"provenance": {"oracle": "x"}}, ":1: provenance: missing target, tool"),
        (2, {"latency_s": -1}, ":2: measurement of op:conv2d"),
        (3, {"index": -4}, ":3: index must be a whole number, at least 0, got -4"),
        (3, {"skipped": "lost"}, ":3: a skipped sample with wrong fields"),
        (3, {"latency": 2}, ":3: measurement: unknown field 'latency'"),
    ],
)
def test_faults_are_named_with_file_and_line(line: int, change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8, 9)
    lines = lines_of(path)
    lines[line - 1] |= change
    path.write_text("".join(json.dumps(content) + "\n" for content in lines))
    with pytest.raises(DataError) as raised:
        Measurements.read(path)
    assert f"{path}{said}" in str(raised.value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "nothing", "[1]"])
def test_a_line_that_is_no_measurement_is_refused(text: str, tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8)
    path.write_text(path.read_text() + f"{text}\n")
    with pytest.raises(DataError, match=r"m\.jsonl:3: expected a "):
        Measurements.read(path)


def test_missing_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        Measurements.read(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="not even the first line"):
        Measurements.read(tmp_path / "empty.jsonl")
    (tmp_path / "cut.jsonl.xz").write_bytes(lzma.compress(b"x" * 1000)[:-8])
    with pytest.raises(DataError, match="cannot be read"):
        Measurements.read(tmp_path / "cut.jsonl.xz")


def test_a_torn_line_is_left_out_and_said(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", 8, 9)
    path.write_bytes(path.read_bytes()[:-5])
    found = Measurements.read(path)
    assert found.indices == (0,)
    assert found.note is not None
    assert f"{path}:3: dropped the last line" in found.note


def test_merging_keeps_the_first_of_equal_graphs(tmp_path: Path) -> None:
    first = Measurements.read(written(tmp_path / "a.jsonl", 8, 9))
    second = Measurements.read(written(tmp_path / "b.jsonl", 9, 10, sampling=Sampling("op", 1, 1)))
    both = merge([first, second])
    assert [measured.graph.ops[0].out_shape[0] for measured in both] == [8, 9, 10]
    assert (both.sampling, both.indices) == (None, (None, None, None))
    assert merge([first, first]) == first


def test_merging_refuses_another_provenance(tmp_path: Path) -> None:
    first = Measurements.read(written(tmp_path / "a.jsonl", 8))
    other = Provenance(oracle="fake", target="fake-npu", tool="fake-2", settings={"sram_bytes": 2048})
    with pytest.raises(DataError) as raised:
        merge([first, Measurements(provenance=other)])
    assert "tool: recorded 'fake-1', given 'fake-2'" in str(raised.value)
    assert "settings.sram_bytes: recorded 1024, given 2048" in str(raised.value)
    with pytest.raises(DataError, match="no measurements to merge"):
        merge([])
