"""Append-only JSONL files whose lines are chained by their hashes, each written by one process at a time."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from accelzoo.errors import TraceError
from accelzoo.locks import try_lock

GENESIS = "0" * 64


def canonical(content: Mapping[str, Any]) -> str:
    """Returns content as JSON in one fixed spelling: keys sorted, no spaces, ASCII, shortest floats."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chained(previous: str, content: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the hash of a line, `sha256(previous + canonical(content))`, and the line without its newline."""
    digest = hashlib.sha256((previous + canonical(content)).encode()).hexdigest()
    return digest, canonical({**content, "hash": digest, "previous": previous})


def verified(path: Path, number: int, line: bytes, previous: str) -> tuple[str, dict[str, Any]]:
    """Returns the hash and the content of one line.

    Args:
        path: The file, for the message.
        number: Of the line, from 1, for the message.
        line: The line without its newline.
        previous: The hash of the line before it; of the first line, `GENESIS`.

    Raises:
        TraceError: If the line does not follow the one before it, or is not what it was when it was written.
    """
    where = f"{path}:{number}"
    try:
        content = json.loads(line, parse_constant=_refuse)
        recorded = content.pop("hash"), content.pop("previous")
        digest, spelt = chained(previous, content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"{where}: expected a line of JSON with `hash` and `previous`, found {line[:60]!r}") from error
    if recorded[1] != previous:
        raise TraceError(
            f"{where}: the chain breaks: expected previous {previous}, found {recorded[1]}; "
            "lines were removed, inserted or reordered here"
        )
    if recorded[0] != digest:
        raise TraceError(f"{where}: the chain breaks: expected hash {digest}, found {recorded[0]}; the line was edited")
    if spelt.encode() != line:
        raise TraceError(f"{where}: not spelt as it was written: expected {spelt[:60]!r}…, found {line[:60]!r}…")
    return digest, content


def verified_lines(path: Path, data: bytes) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yields number, hash and content of every finished line of a file, from its first.

    Raises:
        TraceError: At the first line at which the chain breaks; see `verified`.
    """
    previous = GENESIS
    for number, line in enumerate(finished_lines(data), start=1):
        previous, content = verified(path, number, line, previous)
        yield number, previous, content


def finished_lines(data: bytes) -> list[bytes]:
    """Returns the lines that end in a newline, without it: a killed process may leave part of a last one."""
    return data.split(b"\n")[:-1]


def finished_bytes(data: bytes) -> int:
    """Returns how many bytes the finished lines have."""
    return data.rfind(b"\n") + 1


def unfinished_note(path: Path, data: bytes) -> str | None:
    """Returns what to say of a last line that is dropped because it was never finished; None if there is none."""
    left = len(data) - finished_bytes(data)
    line = data.count(b"\n") + 1
    return f"{path}:{line}: dropped the last line, which was never finished ({left} bytes)" if left else None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


class ChainedFile:
    """Appends chained lines to a file that no other process is writing; closes with everything on the disk.

    Each line is one write. `os.fsync` follows when the last one is `sync_interval_s` ago, so that a power cut costs at
    most that much work and a line that took longer is never lost; a killed process loses nothing.

    Args:
        path: The file; made if it is not there, in a folder that is.
        kind: What the file is, for the message: `trace`.
        sync_interval_s: Seconds; 0 syncs every line.

    Attributes:
        path: The file.

    Raises:
        TraceError: If another process is writing it.
    """

    def __init__(self, path: Path, kind: str, sync_interval_s: float = 0.0) -> None:
        self.path = path
        self._sync_interval_s = sync_interval_s
        self._synced_at = -math.inf  # the first line is always synced
        self._previous = GENESIS
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if not try_lock(self._file):
                raise TraceError(f"{path}: another process is writing this {kind}")
        except BaseException:
            os.close(self._file)
            raise

    @property
    def empty(self) -> bool:
        """Whether the file has not a byte."""
        return os.fstat(self._file).st_size == 0

    def go_on(self, last: str, size: int) -> None:
        """Continues after lines that were read and verified.

        Args:
            last: The hash of the last of them; `GENESIS` if there is none.
            size: How many bytes they have; what follows is cut off.
        """
        os.ftruncate(self._file, size)
        self._previous = last

    def append(self, content: Mapping[str, Any], *, sync: bool = False) -> None:
        """Writes one line; the first makes the file's name last, too.

        Args:
            content: Of the line, without `hash` and `previous`.
            sync: Return only when it is on the disk, however short ago the last one came.
        """
        first = self._previous == GENESIS
        digest, line = chained(self._previous, content)
        write_whole(self._file, f"{line}\n".encode())
        self._previous = digest
        if sync or time.monotonic() - self._synced_at >= self._sync_interval_s:
            self.sync()
        if first:
            sync_folder(self.path.parent)

    def sync(self) -> None:
        """Returns when all that was written is on the disk."""
        os.fsync(self._file)
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Syncs and lets other processes write."""
        if self._file >= 0:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def write_whole(file: int, data: bytes) -> None:
    """Writes all of `data` to an open file: at once, unless the disk is full or a signal arrives."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_folder(folder: Path) -> None:
    """Returns when the names of a folder's files are on the disk."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
