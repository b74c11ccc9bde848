"""Chained files: one writer, a torn last line cut off, nothing lost; what the chain itself is, test_trace.py says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import TraceError
from accelzoo.search.chain import (
    GENESIS,
    ChainedFile,
    finished_bytes,
    finished_lines,
    unfinished_note,
    verified_lines,
    write_whole,
)

CONTENTS: list[dict[str, Any]] = [{"name": "é\n"}, {"value": 0.1 + 0.2}, {}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    with ChainedFile(path, "diary") as file:
        for content in CONTENTS:
            file.append(content)
    return path


def test_lines_are_read_back_with_their_numbers(path: Path) -> None:
    lines = list(verified_lines(path, path.read_bytes()))
    assert [(number, content) for number, _, content in lines] == list(enumerate(CONTENTS, start=1))


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_it_goes_on_where_the_last_finished_line_ends(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    torn = whole[:-cut]
    path.write_bytes(torn)
    last, known = GENESIS, 0
    for number, digest, _ in verified_lines(path, torn):
        known, last = number, digest
    with ChainedFile(path, "diary") as file:
        assert not file.empty
        file.go_on(last, finished_bytes(torn))
        for content in CONTENTS[known:]:
            file.append(content)
    assert path.read_bytes() == whole


def test_an_unfinished_line_is_named() -> None:
    path, data = Path("lines.jsonl"), b"one\n\ntwo"
    assert finished_lines(data) == [b"one", b""]
    assert finished_bytes(data) == 5
    assert unfinished_note(path, data) == "lines.jsonl:3: dropped the last line, which was never finished (3 bytes)"
    assert unfinished_note(path, data[:5]) is None
    assert unfinished_note(path, b"") is None


def test_the_second_writer_is_told_what_the_file_is(path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks")
    with ChainedFile(path, "diary"), pytest.raises(TraceError, match="another process is writing this diary"):
        ChainedFile(path, "diary")
    ChainedFile(path, "diary").close()


def test_a_file_that_cannot_be_synced_is_let_go_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError("no space left")

    file = ChainedFile(path, "diary")
    with monkeypatch.context() as patch:
        patch.setattr("accelzoo.search.chain.os.fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            file.close()
    file.close()
    ChainedFile(path, "diary").close()


def test_a_write_in_pieces_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("accelzoo.search.chain.os.write", lambda file, data: write(file, data[:3]))
    with (tmp_path / "pieces").open("wb") as stream:
        write_whole(stream.fileno(), b"eight by")
    assert (tmp_path / "pieces").read_bytes() == b"eight by"
