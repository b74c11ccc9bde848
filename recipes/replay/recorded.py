"""Recorded accuracies in place of trainings, and searches that begin as the recorded one began."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from accelzoo.arch import Arch
from accelzoo.search import CandidateError
from accelzoo.search.chain import finished_lines
from accelzoo.search.record import Record
from accelzoo.search.trace import FILE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAccuracies:
    """Looks up what a trace says of an architecture; it travels to worker processes.

    Args:
        accuracies: Architecture's digest → accuracy.
        reasons: Architecture's digest → why its training failed.
    """

    accuracies: Mapping[str, float]
    reasons: Mapping[str, str]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Takes the accuracies of a trace's candidates that were trained."""
        trained = [record for record in records if record.evaluated and record.arch is not None]
        accuracies = {str(one.arch): one.accuracy for one in trained if one.accuracy is not None}
        reasons = {str(one.arch): str(one.reason) for one in trained if one.accuracy is None}
        return cls(accuracies=accuracies, reasons=reasons)

    def __call__(self, arch: Arch) -> float:
        """Returns the recorded accuracy.

        Raises:
            CandidateError: If its training failed, or the trace does not have it.
        """
        digest = arch.digest()
        if digest in self.accuracies:
            return self.accuracies[digest]
        raise CandidateError(self.reasons.get(digest, f"{digest} was not trained in the recorded search"))


def begin_as_recorded(trace: Path, folder: Path) -> None:
    """Makes the folder of a search; one older than some settings is begun with its own first line.

    Algorithms are told more today than when traces had no `features`; with that line, a search goes on without.

    Args:
        trace: The recorded trace.
        folder: Where the search is repeated.
    """
    folder.mkdir(parents=True)
    first = finished_lines(trace.read_bytes())[0]
    header: Mapping[str, Any] = json.loads(first)
    if "features" not in header:
        (folder / FILE_NAME).write_bytes(first + b"\n")
