"""Following a trace that another process is writing: every line is read and verified once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelzoo.errors import TraceError
from accelzoo.search.chain import GENESIS, finished_bytes, finished_lines, verified
from accelzoo.search.record import Record
from accelzoo.search.trace import FILE_NAME, header_of, record_of

CHUNK_BYTES = 1 << 20  # some two thousand candidates: a fraction of a second


class Tail:
    """The end of a trace, as far as it has been read; the file is neither changed nor locked.

    A last line that is not finished is left for the next `read`: its writer may be half-way through it.

    Args:
        path: The trace's file, or its folder. It need not be there yet.

    Attributes:
        path: The file.
        header: The first line, None before it was read.
        count: How many candidates were read.
        caught_up: Whether the last `read` came to the end of the file.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path / FILE_NAME if path.is_dir() else path
        self.header: Mapping[str, Any] | None = None
        self.count = 0
        self.caught_up = False
        self._lines = 0
        self._offset = 0
        self._previous = GENESIS
        self._file: tuple[int, int] | None = None

    def read(self, at_most: int = CHUNK_BYTES) -> list[Record]:
        """Returns the candidates that were added since the last call.

        Args:
            at_most: About how many bytes to read, so that a long trace can be shown while it is read; `caught_up` says
                whether there is more.

        Raises:
            TraceError: If the chain breaks, with file and line; or if another trace has taken the file's place.
        """
        try:
            data = self._more(at_most)
        except FileNotFoundError as error:
            if self._file is None:
                self.caught_up = True
                return []
            raise TraceError(f"{self.path}: the trace was removed while it was read") from error
        records, previous, header = [], self._previous, self.header
        lines = finished_lines(data)
        for number, line in enumerate(lines, start=self._lines + 1):
            previous, content = verified(self.path, number, line, previous)
            if number == 1:
                header = header_of(self.path, content)
            else:
                records.append(record_of(self.path, number, content))
        # Only now: what a call has not returned, the next one reads again.
        self._previous, self.header = previous, header
        self._lines += len(lines)
        self._offset += len(data)
        self.count += len(records)
        return records

    def _more(self, at_most: int) -> bytes:
        """Returns whole lines from where the last call ended."""
        with self.path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            found = status.st_dev, status.st_ino
            if self._file not in (None, found) or status.st_size < self._offset:
                raise TraceError(f"{self.path}: another trace took its place while it was read")
            self._file = found
            stream.seek(self._offset)
            data = stream.read(at_most)
            if b"\n" not in data:
                data += stream.readline()
            self.caught_up = self._offset + len(data) >= status.st_size
        return data[: finished_bytes(data)]
