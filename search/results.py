"""Results that came before their turn: the file that keeps them until the trace can have them.

A trace holds candidates in the order in which they were proposed. When several are evaluated at once, one may be
finished while an earlier one is not; its result goes into `results.jsonl` beside the trace, on the disk before anything
else happens, and a resumed search takes it from there: nothing is trained again once its result was recorded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelzoo.errors import TraceError
from accelzoo.search.chain import (
    GENESIS,
    canonical,
    chained,
    finished_bytes,
    finished_lines,
    sync_folder,
    unfinished_note,
    write_whole,
)
from accelzoo.search.space import Genome
from accelzoo.search.workers.protocol import Outcome

FILE_NAME = "results.jsonl"


class Results:
    """The results that came before their turn; each line vouches for itself and for the search it belongs to.

    A line has `index`, `genome`, `accuracy` or `reason`, `attempts`, and `hash`: sha256 over the hash of the trace's
    first line and the rest of this one.

    Args:
        path: The file; made when there is something to keep.
        header: The trace's first line, without its hash.

    Attributes:
        note: What was dropped: a last line that a killed process did not finish.

    Raises:
        TraceError: If a line is not what this search wrote, with file and line.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.note: str | None = None
        self._search, _ = chained(GENESIS, header)
        self._known: dict[int, tuple[int, Genome, Outcome]] = {}
        self._file = -1
        if path.exists():
            self._read(path.read_bytes())

    def take(self, index: int, genome: Genome) -> Outcome | None:
        """Returns what is known of a candidate, None if nothing is.

        Raises:
            TraceError: If that candidate had another genome.
        """
        if index not in self._known:
            return None
        number, recorded, outcome = self._known.pop(index)
        if recorded != genome:
            raise TraceError(
                f"{self.path}:{number}: candidate {index} has genome {recorded} where the algorithm now proposes "
                f"{genome}: it was written by another version of the algorithm or of the space"
            )
        return outcome

    def keep(self, index: int, genome: Genome, outcome: Outcome) -> None:
        """Writes a result, and returns when it is on the disk."""
        told = {"accuracy": outcome.accuracy, "reason": outcome.reason}
        content = {"index": index, "genome": list(genome), "attempts": outcome.attempts}
        content |= {name: value for name, value in told.items() if value is not None}
        line = canonical({**content, "hash": self._hash(content)})
        self._open()
        write_whole(self._file, f"{line}\n".encode())
        os.fsync(self._file)

    def drop(self, below: int) -> None:
        """Removes the file if the trace, which is on the disk, has all that it holds: the candidates `below` an index.

        A search that ended with fewer evaluations than one that was killed may leave results that are still to come.
        """
        self.close()
        if all(index < below for index in self._known):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        if self._file < 0:
            new = not self.path.exists()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o644)
            if new:
                sync_folder(self.path.parent)

    def _read(self, data: bytes) -> None:
        for number, line in enumerate(finished_lines(data), start=1):
            index, genome, outcome = self._verified(number, line)
            self._known[index] = (number, genome, outcome)
        self.note = unfinished_note(self.path, data)
        if self.note is not None:
            os.truncate(self.path, finished_bytes(data))

    def _verified(self, number: int, line: bytes) -> tuple[int, Genome, Outcome]:
        where = f"{self.path}:{number}"
        try:
            content = json.loads(line)
            recorded = content.pop("hash")
            told = {name: content.get(name) for name in ("accuracy", "reason")}
            found = (
                int(content["index"]),
                tuple(int(choice) for choice in content["genome"]),
                Outcome(attempts=int(content["attempts"]), **told),
            )
            spelt = canonical({**content, "hash": recorded}).encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TraceError(f"{where}: expected a result as JSON with `hash`, found {line[:60]!r}") from error
        if recorded != self._hash(content) or spelt != line:
            raise TraceError(
                f"{where}: expected hash {self._hash(content)}, found {recorded}: the line was edited, or is of a "
                f"search that was begun otherwise; without it candidate {found[0]} is evaluated again"
            )
        return found

    def _hash(self, content: Mapping[str, Any]) -> str:
        return hashlib.sha256((self._search + canonical(content)).encode()).hexdigest()


def plain(outcome: Outcome) -> Outcome:
    """Returns an outcome that JSON can hold: an accuracy that is no finite number becomes the reason of a failure."""
    if outcome.reason is not None or (outcome.accuracy is not None and math.isfinite(outcome.accuracy)):
        return outcome
    return Outcome(reason=f"the signal returned {outcome.accuracy}", attempts=outcome.attempts)
