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
from accelzoo.search.space import Genome
from accelzoo.search.trace import FILE_NAME, TraceWriter

_LOG = logging.getLogger("accelzoo.search")
_NOT_SETTINGS = ("schema", "start")


class Store:
    """The trace of one search, on disk if there is a folder; a context manager.

    Attributes:
        path: The trace's file, or None.
        header: The first line: the plan's settings and the start genomes.
        start: The genomes that come before the algorithm's own.
        recorded: The candidates that the file held already.

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
        self._writer: TraceWriter | None = None
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

    def append(self, record: Record) -> None:
        """Writes one candidate, if there is a file."""
        if self._writer is not None:
            self._writer.append(record)

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
        require_same(path, trace.header, self.header)
        if trace.note:
            _LOG.warning(trace.note)
        sizes = tuple(self.header["sizes"])
        self.start = checked_matrix(to_matrix(trace.header.get("start", []), len(sizes)), sizes)
        self.header["start"] = self.start
        self.recorded = trace.records
        self._writer = writer
        return True

    def _begin(self, stack: ExitStack, plan: Plan) -> None:
        self.start = plan.find_start()  # first, so that infeasible budgets leave no folder behind
        self.header["start"] = self.start
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = stack.enter_context(TraceWriter(self.path))
            self._writer.begin(self.header)


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
