"""Following a trace while it is written: every line once, verified, and nothing in its way."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from accelzoo.errors import TraceError
from accelzoo.search.record import Record
from accelzoo.search.tail import Tail
from accelzoo.search.trace import FILE_NAME, TraceWriter, read_trace


def records(count: int, start: int = 0) -> list[Record]:
    return [
        Record(index=index, genome=(index, 1), status="ok", evaluated=True, accuracy=index / 7, score=index / 7)
        for index in range(start, start + count)
    ]


@pytest.fixture
def writer(tmp_path: Path) -> TraceWriter:
    return TraceWriter(tmp_path / FILE_NAME)


def test_reads_what_is_added_once(writer: TraceWriter, tmp_path: Path) -> None:
    with writer:
        tail = Tail(tmp_path)
        assert tail.read() == []
        assert (tail.header, tail.caught_up) == (None, True)
        writer.begin({"sizes": [9, 2]})
        assert tail.read() == []
        assert tail.header == {"sizes": [9, 2], "schema": 1}
        for start, count in ((0, 3), (3, 0), (3, 5)):
            for record in records(count, start):
                writer.append(record)
            assert tail.read() == records(count, start)
        assert tail.count == 8
        assert tuple(records(8)) == read_trace(tmp_path).records


def test_a_trace_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    tail = Tail(tmp_path / FILE_NAME)
    assert tail.read() == []
    with TraceWriter(tmp_path / FILE_NAME) as writer:
        writer.begin({})
        writer.append(records(1)[0])
    assert tail.read() == records(1)


def test_a_line_in_pieces_is_waited_for(writer: TraceWriter, tmp_path: Path) -> None:
    with writer:
        writer.begin({})
        for record in records(3):
            writer.append(record)
    whole = (tmp_path / FILE_NAME).read_bytes()
    growing = tmp_path / "growing.jsonl"
    for step in (1, 7, 100):
        growing.write_bytes(b"")
        tail, found = Tail(growing), []
        with growing.open("ab") as stream:
            for start in range(0, len(whole), step):
                stream.write(whole[start : start + step])
                stream.flush()
                found += tail.read()
                # A record is there as soon as its line is, and not before.
                assert len(found) == max(0, whole[: start + step].count(b"\n") - 1)
        assert found == records(3)


def test_long_traces_come_in_parts(writer: TraceWriter, tmp_path: Path) -> None:
    with writer:
        writer.begin({"why": "x" * 500})
        for record in records(40):
            writer.append(record)
    tail, parts = Tail(tmp_path), []
    while not tail.caught_up:
        parts.append(tail.read(at_most=100))  # less than a line
    assert len(parts) > 20
    assert list(itertools.chain(*parts)) == records(40)


def test_a_resumed_search_goes_on_after_a_torn_line(writer: TraceWriter, tmp_path: Path) -> None:
    with writer:
        writer.begin({})
        writer.append(records(1)[0])
    with (tmp_path / FILE_NAME).open("ab") as stream:
        stream.write(b'{"accuracy":0.')
    tail = Tail(tmp_path)
    assert tail.read() == records(1)
    assert tail.read() == []
    with TraceWriter(tmp_path / FILE_NAME) as resumed:
        resumed.recover()
        resumed.append(records(1, 1)[0])
    assert tail.read() == records(1, 1)


def test_an_edited_line_is_located(writer: TraceWriter, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with writer:
        writer.begin({})
        for record in records(2):
            writer.append(record)
        tail = Tail(path)
        tail.read()
        writer.append(records(1, 2)[0])
        writer.append(records(1, 3)[0])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b'"index":3', b'"index":2')]))
    with pytest.raises(TraceError, match=r"trace\.jsonl:5: the chain breaks: expected hash"):
        tail.read()
    path.write_bytes(b"".join([*lines[:3], lines[4]]))
    with pytest.raises(TraceError, match=r"trace\.jsonl:4: the chain breaks: expected previous"):
        tail.read()


def test_another_trace_in_its_place_is_noticed(writer: TraceWriter, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with writer:
        writer.begin({})
        writer.append(records(1)[0])
    tail = Tail(path)
    tail.read()
    whole = path.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(whole)
    path.write_bytes(whole[:20])
    with pytest.raises(TraceError, match="another trace took its place"):
        tail.read()
    path.unlink()
    with pytest.raises(TraceError, match="was removed"):
        tail.read()
    other.replace(path)
    with pytest.raises(TraceError, match="another trace took its place"):
        tail.read()


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(TraceError, match=r"trace\.jsonl:1: expected a line of JSON"):
        Tail(path).read()
