"""The record of a search: an append-only JSONL file whose lines are chained by their hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from accelzoo.errors import TraceError
from accelzoo.locks import try_lock
from accelzoo.search.record import Record

SCHEMA = 1
FILE_NAME = "trace.jsonl"
GENESIS = "0" * 64


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


def canonical(content: Mapping[str, Any]) -> str:
    """Returns content as JSON in one fixed spelling: keys sorted, no spaces, ASCII, shortest floats."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chained(previous: str, content: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the hash of a line, `sha256(previous + canonical(content))`, and the line without its newline."""
    digest = hashlib.sha256((previous + canonical(content)).encode()).hexdigest()
    return digest, canonical({**content, "hash": digest, "previous": previous})


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
    whole = data.rfind(b"\n") + 1
    lines = data[:whole].split(b"\n")[:-1]
    note = None
    if whole < len(data):
        note = f"{path}:{len(lines) + 1}: dropped the last line, which was never finished ({len(data) - whole} bytes)"
    if not lines:
        return None, 0
    previous, header = _verified(path, 1, lines[0], GENESIS)
    if header.get("schema") != SCHEMA:
        raise TraceError(f"{path}:1: schema {header.get('schema')!r} is not known; this version reads schema {SCHEMA}")
    records = []
    for number, line in enumerate(lines[1:], start=2):
        previous, content = _verified(path, number, line, previous)
        records.append(_record(path, number, content))
    return Trace(header=header, records=tuple(records), hash=previous, note=note), whole


def _verified(path: Path, number: int, line: bytes, previous: str) -> tuple[str, dict[str, Any]]:
    """Returns the hash and the content of one line.

    Raises:
        TraceError: If the line does not follow the one before it, or is not what it was when it was written.
    """
    where = f"{path}:{number}"
    try:
        content = json.loads(line, parse_constant=_refuse)
        recorded = content.pop("hash"), content.pop("previous")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"{where}: expected a line of JSON with `hash` and `previous`, found {line[:60]!r}") from error
    if recorded[1] != previous:
        raise TraceError(
            f"{where}: the chain breaks: expected previous {previous}, found {recorded[1]}; "
            "lines were removed, inserted or reordered here"
        )
    digest, spelt = chained(previous, content)
    if recorded[0] != digest:
        raise TraceError(f"{where}: the chain breaks: expected hash {digest}, found {recorded[0]}; the line was edited")
    if spelt.encode() != line:
        raise TraceError(f"{where}: not spelt as it was written: expected {spelt[:60]!r}…, found {line[:60]!r}…")
    return digest, content


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _record(path: Path, number: int, content: Mapping[str, Any]) -> Record:
    try:
        record = Record.from_json(content)
    except ValueError as error:
        raise TraceError(f"{path}:{number}: {error}") from error
    if record.index != number - 2:
        raise TraceError(f"{path}:{number}: expected index {number - 2}, found {record.index}")
    return record


class TraceWriter:
    """Appends lines to a trace that no other process is writing; closes with everything on the disk.

    Each line is one write. `os.fsync` follows when the last one is `sync_interval_s` ago, so that a power cut costs at
    most that much work and a line that took longer is never lost; a killed process loses nothing.

    Args:
        path: The file.
        sync_interval_s: Seconds; 0 syncs every line.
    """

    def __init__(self, path: Path, sync_interval_s: float = 0.05) -> None:
        self.path = path
        self._sync_interval_s = sync_interval_s
        self._synced_at = -math.inf  # the first line is always synced
        self._previous = GENESIS
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if not try_lock(self._file):
                raise TraceError(f"{path}: another process is writing this trace")
        except TraceError:
            os.close(self._file)
            raise

    def recover(self) -> Trace | None:
        """Reads what is there, cuts off a last line that was never finished, and continues after it.

        Returns:
            The trace, or None if not even the header is there.

        Raises:
            TraceError: If the chain breaks.
        """
        trace, whole = _parse(self.path, self.path.read_bytes())
        os.ftruncate(self._file, whole)
        if trace is not None:
            self._previous = trace.hash
        return trace

    def begin(self, header: Mapping[str, Any]) -> None:
        """Writes the first line and makes the file's name last.

        Raises:
            TraceError: If the file is not empty: a trace is never overwritten.
        """
        if os.fstat(self._file).st_size:
            raise TraceError(f"{self.path}: there is a trace already, and a trace is never overwritten")
        self._append({**header, "schema": SCHEMA})
        _sync_folder(self.path.parent)

    def append(self, record: Record) -> None:
        """Writes one candidate."""
        self._append(record.to_json())

    def close(self) -> None:
        """Syncs and lets other processes write."""
        if self._file >= 0:
            self._sync()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, content: Mapping[str, Any]) -> None:
        digest, line = chained(self._previous, content)
        rest = memoryview(f"{line}\n".encode())
        while rest:  # one write, unless the disk is full or a signal arrives
            rest = rest[os.write(self._file, rest) :]
        self._previous = digest
        if time.monotonic() - self._synced_at >= self._sync_interval_s:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file)
        self._synced_at = time.monotonic()


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
