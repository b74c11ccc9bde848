"""A file whose lines are settled one by one: written the first time, compared ever after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from accelzoo.errors import TraceError
from accelzoo.search.chain import GENESIS, ChainedFile, finished_bytes, verified_lines


class SettledLog:
    """The hash-chained lines of something that can be done again, of which one process writes at a time.

    Whoever goes on with it does everything in the same order and settles every line anew: what is there already must be
    equal, and what is not is written.

    Args:
        path: The file; its folder is made.
        header: What decides the rest: the first line; a file with another is refused.
        kind: What the file is of, for messages: `race`.
        resume: Whether lines that are there may be gone on with.

    Attributes:
        path: The file.

    Raises:
        TraceError: If there are lines already and not `resume`, their chain breaks, they have another header, or
            another process writes the file.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, kind: str, resume: bool) -> None:
        self.path = path
        self._kind = kind
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines: list[dict[str, Any]] = []
        self._at = 0
        self._file = ChainedFile(path, kind)
        try:
            self._recover(resume)
            self.settle(header)
        except BaseException:
            self.close()
            raise

    def _recover(self, resume: bool) -> None:
        data = self.path.read_bytes()
        if data and not resume:
            raise TraceError(
                f"{self.path}: there is a {self._kind} already, and it is never overwritten: "
                "go on with it (resume=True) or give another folder"
            )
        last = GENESIS
        for _, digest, content in verified_lines(self.path, data):
            self._lines.append(content)
            last = digest
        self._file.go_on(last, finished_bytes(data))

    @property
    def left(self) -> list[dict[str, Any]]:
        """The lines that are there already and not yet settled, in order."""
        return self._lines[self._at :]

    def settle(self, content: Mapping[str, Any]) -> None:
        """Writes the next line, or compares it with the one that is there.

        Raises:
            TraceError: If that is another.
        """
        plain = json.loads(json.dumps(content))
        known = self._lines[self._at] if self._at < len(self._lines) else None
        self._at += 1
        if known is None:
            self._file.append(plain)
        elif known != plain:
            said = f"{self.path}:{self._at}: the {self._kind} was begun otherwise:"
            raise TraceError("\n  ".join([said, *changed_fields(known, plain)]))

    def close(self) -> None:
        """Lets other processes write."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def changed_fields(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Says in which fields two lines differ: `seed: recorded 0, now 1`."""
    return [
        f"{name}: recorded {recorded.get(name)!r}, now {now.get(name)!r}"
        for name in sorted({*recorded, *now})
        if recorded.get(name) != now.get(name)
    ]
