"""Where a search keeps its trace: begun once, never overwritten, gone on with only under the same settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from accelzoo.errors import ConfigError, TraceError
from accelzoo.search.genomes import checked_matrix, to_matrix
from accelzoo.search.plan import Plan
from accelzoo.search.record import Record
from accelzoo.search.results import FILE_NAME as RESULTS
from accelzoo.search.results import Results
from accelzoo.search.space import Genome
from accelzoo.search.trace import FILE_NAME, SCHEMA, TraceWriter
from accelzoo.search.workers.protocol import Outcome

_LOG = logging.getLogger("accelzoo.search")
_NOT_SETTINGS = ("schema", "start")
# What the header of a trace that was begun before there were these keys stands for.
_BEFORE: Mapping[str, Any] = {"features": None, "pending": 1, "pool": None}


class Store:
    """The trace of one search, on disk if there is a folder; a context manager.

    Attributes:
        path: The trace's file, or None.
        header: The first line: the plan's settings and the start genomes.
        start: The genomes that come before the algorithm's own.
        recorded: The candidates that the file held already.
        informed: Whether the algorithm is told ahead what `Plan.algorithm` says; not where a trace is older than that.

    Args:
        folder: Where the file is, or None.
        plan: The settings; asked for start genomes only when a trace is begun, and before anything is written.
        resume: Whether a trace that is there may be gone on with.

    Raises:
        BudgetError: If nothing meets the plan's budgets.
        ConfigError: If there is nothing to resume for want of a folder.
        TraceError: If there is a trace and `resume` is false, or it is broken, locked or has other settings.
    """

    def __init__(self, folder: str | Path | None, plan: Plan, *, resume: bool) -> None:
        self.path = None if folder is None else Path(folder) / FILE_NAME
        self.header = plan.header()
        self.recorded: tuple[Record, ...] = ()
        self.start: list[Genome] = []
        self.informed = True
        self._open_pending = plan.pending is None
        self._writer: TraceWriter | None = None
        self._results: Results | None = None
        self._kept: set[int] = set()
        if resume and self.path is None:
            raise ConfigError(["resume: there is nothing to resume without a folder"])
        begun = self.path if self.path is not None and self.path.exists() and self.path.stat().st_size else None
        if begun and not resume:
            raise TraceError(
                f"{self.path}: there is a trace already, and a trace is never overwritten: "
                "go on with it (resume=True) or give another folder"
            )
        with ExitStack() as stack:
            if begun is None or not self._continue(stack, begun):
                self._begin(stack, plan)
            self._stack = stack.pop_all()

    @property
    def pending(self) -> int:
        """How many candidates may be proposed and not yet told."""
        return int(self.header["pending"])

    def append(self, record: Record) -> None:
        """Writes one candidate, if there is a file."""
        if self._writer is not None:
            # Several at once: the last line may be moments old, and this candidate have taken hours all the same.
            alone = record.evaluated and self._results is not None and record.index not in self._kept
            self._writer.append(record, sync=alone)

    def keep(self, index: int, genome: Genome, outcome: Outcome) -> None:
        """Writes a result that came before its turn, if there is a folder."""
        if self._results is not None:
            self._results.keep(index, genome, outcome)
            self._kept.add(index)

    def take(self, index: int, genome: Genome) -> Outcome | None:
        """Returns a result that came before its turn in a search that was stopped then."""
        return None if self._results is None else self._results.take(index, genome)

    def finish(self, candidates: int) -> None:
        """Ends a search whose trace has so many candidates: what came before its turn has had it."""
        if self._results is not None and self._writer is not None:
            self._writer.sync()
            self._results.drop(below=candidates)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _continue(self, stack: ExitStack, path: Path) -> bool:
        """Reads the trace; False if it was stopped before its header was whole."""
        writer = stack.enter_context(TraceWriter(path))
        trace = writer.recover()
        if trace is None:
            stack.close()
            return False
        header = {**_BEFORE, **trace.header, "objective": {"minimise": [], **trace.header.get("objective", {})}}
        self.informed = "features" in trace.header
        if not self.informed:
            self.header["features"] = None
        if self._open_pending:
            self.header["pending"] = header["pending"]
        require_same(path, header, self.header)
        if trace.note:
            _LOG.warning(trace.note)
        sizes = tuple(self.header["sizes"])
        self.start = checked_matrix(to_matrix(trace.header.get("start", []), len(sizes)), sizes)
        self.header["start"] = self.start
        self.recorded = trace.records
        self._writer = writer
        self._open_results(stack, trace.header)
        return True

    def _begin(self, stack: ExitStack, plan: Plan) -> None:
        self.start = plan.find_start()  # first, so that infeasible budgets leave no folder behind
        self.header["start"] = self.start
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = stack.enter_context(TraceWriter(self.path))
            self._open_results(stack, {**self.header, "schema": SCHEMA})
            self._writer.begin(self.header)

    def _open_results(self, stack: ExitStack, header: Mapping[str, Any]) -> None:
        assert self.path is not None
        if self.pending > 1:
            self._results = Results(self.path.parent / RESULTS, header)
            stack.callback(self._results.close)
            if self._results.note:
                _LOG.warning(self._results.note)


def require_same(path: Path, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Checks that a trace was begun with the settings it is to be resumed with.

    Args:
        path: The trace, for the message.
        recorded: Its header.
        given: The header that the settings make.

    Raises:
        TraceError: Every field that differs, with both values.
    """
    before = dict(_leaves(recorded))
    # Through JSON, so that what is given has the types it would have when read back.
    now = dict(_leaves(json.loads(json.dumps(given))))
    changed = [
        f"{name}: recorded {_shown(name, before)}, given {_shown(name, now)}"
        for name in sorted(before.keys() | now.keys())
        if _shown(name, before) != _shown(name, now) and name not in _NOT_SETTINGS
    ]
    if changed:
        raise TraceError("\n  ".join([f"{path}:1: this trace was begun with other settings:", *changed]))


def _shown(name: str, leaves: Mapping[str, Any]) -> str:
    return repr(leaves[name]) if name in leaves else "nothing"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, part in value.items():
        yield from _leaves(part, f"{path}.{name}" if path else name)
