"""The trace: its chain recomputed independently, every kind of damage located, nothing ever overwritten."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from accelzoo.errors import TraceError
from accelzoo.search import Price, Record, read_trace
from accelzoo.search.trace import FILE_NAME, TraceWriter

PRICE = Price(latency_s=0.1 + 0.2, energy_j=1e-9, peak_activation_bytes=7, weight_bytes=8, dram_bytes=0, macs=10**12)
RECORDS = [
    Record(index=0, genome=(1, 0), status="ok", evaluated=True, arch="sha256:é", cost=PRICE, accuracy=0.5, score=0.4),
    Record(index=1, genome=(0, 0), status="infeasible", arch="b", cost=PRICE, violation=1 / 3),
    Record(index=2, genome=(2, 1), status="failed", evaluated=True, reason='the signal returned "nan"\n'),
    Record(index=3, genome=(1, 1), status="duplicate", arch="a", accuracy=0.5, score=0.4, duplicate_of=0),
]
HEADER = {"seed": 3, "sizes": [3, 2], "budgets": {"latency_s": 0.25}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / FILE_NAME
    with TraceWriter(path, sync_interval_s=0) as writer:
        writer.begin(HEADER)
        for record in RECORDS:
            writer.append(record)
    return path


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def rehashed(line: str, **changes: object) -> str:
    """The line as a forger would write it: changed, with a hash that fits."""
    content = {**json.loads(line), **changes}
    del content["hash"]
    previous = content.pop("previous")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256((previous + text).encode()).hexdigest()
    return json.dumps({**content, "previous": previous, "hash": digest}, sort_keys=True, separators=(",", ":")) + "\n"


def test_it_reads_back_what_was_written(path: Path) -> None:
    trace = read_trace(path)
    assert trace.records == tuple(RECORDS)
    assert trace.header == {**HEADER, "schema": 1}
    assert trace.note is None
    assert read_trace(path.parent) == trace


def test_the_chain_is_sha256_over_the_previous_hash_and_the_content(path: Path) -> None:
    previous = "0" * 64
    for line in path.read_text().splitlines():
        content = json.loads(line)
        claimed, before = content.pop("hash"), content.pop("previous")
        assert before == previous
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        assert claimed == hashlib.sha256((before + text).encode()).hexdigest()
        previous = claimed
    assert read_trace(path).hash == previous


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (lambda lines: [*lines[:1], lines[1].replace("0.5", "0.6"), *lines[2:]], 2, "the line was edited"),
        (lambda lines: [lines[0].replace('"seed":3', '"seed":4'), *lines[1:]], 1, "the line was edited"),
        (lambda lines: [*lines[:2], *lines[3:]], 3, "removed, inserted or reordered"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2, "removed, inserted or reordered"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3, "removed, inserted or reordered"),
        (lambda lines: [lines[0], rehashed(lines[1], score=0.9), *lines[2:]], 3, "expected previous"),
        (lambda lines: [*lines[:1], lines[1].replace(":", ": ", 1), *lines[2:]], 2, "not spelt as it was written"),
        (lambda lines: [*lines[:1], lines[1].replace('"score":0.4', '"score":NaN'), *lines[2:]], 2, "a line of JSON"),
        (lambda lines: [*lines[:1], lines[1].replace('"score":0.4', '"score":1e999'), *lines[2:]], 2, "a line of JSON"),
        (lambda lines: [*lines[:3], "\n", *lines[3:]], 4, "a line of JSON"),
        (lambda lines: [*lines[:3], "[]\n", *lines[3:]], 4, "a line of JSON"),
        (lambda lines: [*lines[:3], '{"hash":1}\n', *lines[3:]], 4, "a line of JSON"),
        (lambda lines: [rehashed(lines[0], schema=2)], 1, "schema 2 is not known; this version reads schema 1"),
        (lambda lines: [*lines[:4], rehashed(lines[4], index=7)], 5, "expected index 3, found 7"),
        (lambda lines: [*lines[:4], rehashed(lines[4], status="fine")], 5, "status 'fine' must be one of ok"),
        (lambda lines: [*lines[:4], rehashed(lines[4], colour="red")], 5, "not a candidate record"),
    ],
)
def test_damage_is_located(path: Path, change: Callable[[list[str]], list[str]], line: int, said: str) -> None:
    edit(path, change)
    before = path.read_bytes()
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)
    with TraceWriter(path) as writer, pytest.raises(TraceError):
        writer.recover()
    assert path.read_bytes() == before


def test_a_broken_hash_names_both(path: Path) -> None:
    original = json.loads(path.read_text().splitlines()[2])["hash"]
    edit(path, lambda lines: [*lines[:2], lines[2].replace('"index":1', '"index":2'), *lines[3:]])
    with pytest.raises(TraceError, match=rf"expected hash [0-9a-f]{{64}}, found {original}"):
        read_trace(path)


def test_an_unfinished_last_line_is_dropped_and_said(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    trace = read_trace(path)
    assert trace.records == tuple(RECORDS[:3])
    assert trace.note is not None
    assert trace.note.startswith(f"{path}:5: dropped the last line")
    assert path.read_bytes() == whole[:-5]  # reading changes nothing
    with TraceWriter(path) as writer:
        assert writer.recover() == trace
        writer.append(RECORDS[3])
    assert path.read_bytes() == whole


def test_a_file_without_a_whole_header_holds_no_trace(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TraceError, match="no complete line"):
        read_trace(path)
    with TraceWriter(path) as writer:
        assert writer.recover() is None
        writer.begin(HEADER)
    assert read_trace(path).records == ()


def test_no_trace_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no trace"):
        read_trace(tmp_path)


def test_a_trace_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with TraceWriter(path) as writer, pytest.raises(TraceError, match="never overwritten"):
        writer.begin(HEADER)
    assert path.read_bytes() == before


def test_only_one_writer_at_a_time(path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks")
    with TraceWriter(path), pytest.raises(TraceError, match="another process is writing"):
        TraceWriter(path)
    TraceWriter(path).close()


def test_lines_are_synced_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = [100.0], []
    monkeypatch.setattr("accelzoo.search.chain.time.monotonic", lambda: now[0])
    monkeypatch.setattr("accelzoo.search.chain.os.fsync", lambda file: synced.append(now[0]))
    with TraceWriter(tmp_path / FILE_NAME, sync_interval_s=0.05) as writer:
        writer.begin(HEADER)
        assert synced == [100.0, 100.0]  # the header and the folder's entry
        for now[0] in (100.01, 100.04, 100.06, 100.07, 900.0):
            writer.append(RECORDS[0])
        now[0] = 901.0
    assert synced[2:] == [100.06, 900.0, 901.0]  # the last on closing


def test_a_number_that_json_lacks_is_never_written(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / FILE_NAME) as writer:
        writer.begin(HEADER)
        with pytest.raises(ValueError, match="JSON"):
            writer.append(Record(index=0, genome=(0,), status="ok", score=math.nan))
    assert read_trace(tmp_path).records == ()
