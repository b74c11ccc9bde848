"""The record of a search: an append-only JSONL file whose lines are chained by their hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from accelzoo.errors import TraceError
from accelzoo.search.chain import GENESIS, ChainedFile, finished_bytes, unfinished_note, verified_lines
from accelzoo.search.record import Record

SCHEMA = 1
FILE_NAME = "trace.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A verified trace.

    Attributes:
        header: What was searched and how; plain data.
        records: The candidates in order.
        hash: The hash of the last line, which vouches for every line before it.
        note: What was left out: a last line that a killed process did not finish.
    """

    header: Mapping[str, Any]
    records: tuple[Record, ...]
    hash: str
    note: str | None = None


def read_trace(path: str | Path) -> Trace:
    """Reads and verifies a trace, also one that is still being written; the file is not changed.

    Args:
        path: The file, or the folder of the run.

    Raises:
        TraceError: If there is no trace, or the chain breaks; the message gives file, line, and what was expected.
    """
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise TraceError(f"{path}: there is no trace") from error
    trace, _ = _parse(path, data)
    if trace is None:
        raise TraceError(f"{path}: no complete line: the search was stopped before it began; resuming it starts it")
    return trace


def _parse(path: Path, data: bytes) -> tuple[Trace | None, int]:
    """Returns the trace, None if not even the header is whole, and how many bytes its complete lines have."""
    header: Mapping[str, Any] | None = None
    records: list[Record] = []
    last = GENESIS
    for number, digest, content in verified_lines(path, data):
        last = digest
        if header is None:
            header = header_of(path, content)
        else:
            records.append(record_of(path, number, content))
    if header is None:
        return None, 0
    trace = Trace(header=header, records=tuple(records), hash=last, note=unfinished_note(path, data))
    return trace, finished_bytes(data)


def header_of(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the content of a trace's first line.

    Raises:
        TraceError: If it is of a schema that this version does not read.
    """
    if content.get("schema") != SCHEMA:
        raise TraceError(f"{path}:1: schema {content.get('schema')!r} is not known; this version reads schema {SCHEMA}")
    return content


def record_of(path: Path, number: int, content: Mapping[str, Any]) -> Record:
    """Returns the candidate that a trace's line holds.

    Args:
        path: The file, for the message.
        number: Of the line, from 1: candidate 0 is in line 2.
        content: Of the line.

    Raises:
        TraceError: If it is no candidate, or another than the line's.
    """
    try:
        record = Record.from_json(content)
    except ValueError as error:
        raise TraceError(f"{path}:{number}: {error}") from error
    if record.index != number - 2:
        raise TraceError(f"{path}:{number}: expected index {number - 2}, found {record.index}")
    return record


class TraceWriter:
    """Appends lines to a trace that no other process is writing; closes with everything on the disk.

    Args:
        path: The file.
        sync_interval_s: Seconds; see `ChainedFile`.

    Attributes:
        path: The file.

    Raises:
        TraceError: If another process is writing it.
    """

    def __init__(self, path: Path, sync_interval_s: float = 0.05) -> None:
        self.path = path
        self._file = ChainedFile(path, "trace", sync_interval_s)

    def recover(self) -> Trace | None:
        """Reads what is there, cuts off a last line that was never finished, and continues after it.

        Returns:
            The trace, or None if not even the header is there.

        Raises:
            TraceError: If the chain breaks.
        """
        trace, size = _parse(self.path, self.path.read_bytes())
        self._file.go_on(GENESIS if trace is None else trace.hash, size)
        return trace

    def begin(self, header: Mapping[str, Any]) -> None:
        """Writes the first line.

        Raises:
            TraceError: If the file is not empty: a trace is never overwritten.
        """
        if not self._file.empty:
            raise TraceError(f"{self.path}: there is a trace already, and a trace is never overwritten")
        self._file.append({**header, "schema": SCHEMA})

    def append(self, record: Record, *, sync: bool = False) -> None:
        """Writes one candidate.

        Args:
            record: The candidate.
            sync: Return only when it is on the disk: it may have taken long, however short ago the last one came.
        """
        self._file.append(record.to_json(), sync=sync)

    def sync(self) -> None:
        """Returns when all that was written is on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Syncs and lets other processes write."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
