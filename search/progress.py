"""What a waiting person sees: evaluations, candidates per second, feasible share, best score, time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

REFRESH_S = 0.1


class ProgressLine:
    """A line on the terminal, or nothing.

    Args:
        total: Evaluations asked for.
        done: Evaluations that a resumed trace already holds.
        candidates: Candidates it already holds.
        shown: True or False; None shows it when standard error is a terminal.
        console: Where to; standard error by default.
    """

    def __init__(
        self, total: int, done: int, candidates: int, shown: bool | None = None, console: Console | None = None
    ) -> None:
        self._total = total
        self._done = done
        self._candidates = candidates
        self._drawn_at = self._started_at = time.monotonic()
        self._bar = self._make(console) if (sys.stderr.isatty() if shown is None else shown) else None
        if self._bar is not None:
            self._task = self._bar.add_task("search", total=total, completed=done, rate="", best="", feasible="")

    @staticmethod
    def _make(console: Console | None) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[feasible]}"),
            TextColumn("{task.fields[best]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )

    def update(self, *, done: int, candidates: int, infeasible: int, best: float | None, final: bool = False) -> None:
        """Shows the state, at most ten times a second unless `final`.

        Args:
            done: Evaluations so far.
            candidates: Candidates so far.
            infeasible: How many of them were over budget.
            best: The highest score so far.
            final: Show it whatever the time.
        """
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._drawn_at < REFRESH_S and not final:
            return
        self._drawn_at = now
        rate = (candidates - self._candidates) / max(now - self._started_at, 1e-9)
        self._bar.update(
            self._task,
            completed=done,
            rate=f"{rate:,.1f} candidates/s",
            feasible=f"feasible {1 - infeasible / max(candidates, 1):.0%}",
            best="" if best is None else f"best {best:.6g}",
        )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
