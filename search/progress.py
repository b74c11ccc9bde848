"""What a waiting person sees: evaluations, candidates per second, feasible share, best score, front, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

REFRESH_S = 0.1
BAR_FROM_COLUMNS = 100  # a narrower terminal has room for the numbers alone


class TerminalLine:
    """A line on the terminal, or nothing: a rich progress bar that is drawn ten times a second at most."""

    def __init__(self, make: Callable[[], Progress], shown: bool | None) -> None:
        self._drawn_at = self._started_at = time.monotonic()
        self._bar = make() if (sys.stderr.isatty() if shown is None else shown) else None

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._bar is not None

    @property
    def _elapsed_s(self) -> float:
        return max(self._drawn_at - self._started_at, 1e-9)

    def _due(self, final: bool) -> bool:
        """Whether it is to be drawn now; takes note that it is."""
        now = time.monotonic()
        if self._bar is None or (now - self._drawn_at < REFRESH_S and not final):
            return False
        self._drawn_at = now
        return True

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


class ProgressLine(TerminalLine):
    """How a search goes.

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
        super().__init__(lambda: self._make(console), shown)
        if self._bar is not None:
            self._task = self._bar.add_task(
                "search", total=total, completed=done, rate="", feasible="", best="", front=""
            )

    @staticmethod
    def _make(console: Console | None) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = console or Console(stderr=True)
        return Progress(
            *([BarColumn(bar_width=10)] if console.width >= BAR_FROM_COLUMNS else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[feasible]}"),
            TextColumn("{task.fields[best]}"),
            TextColumn("{task.fields[front]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
        )

    def update(
        self,
        *,
        done: int,
        candidates: int,
        infeasible: int,
        best: float | None,
        front: Callable[[], tuple[int, float | None]] | None = None,
        final: bool = False,
    ) -> None:
        """Shows the state, at most ten times a second unless `final`.

        Args:
            done: Evaluations so far.
            candidates: Candidates so far.
            infeasible: How many of them were over budget.
            best: The highest score so far.
            front: Returns the size of the Pareto front and its hypervolume (`GrowingFront`); None if there is one
                objective. Called only when the line is drawn.
            final: Show it whatever the time.
        """
        if self._bar is None or not self._due(final):
            return
        rate = (candidates - self._candidates) / self._elapsed_s
        self._bar.update(
            self._task,
            completed=done,
            rate=f"{rate:,.1f}/s",
            feasible=f"feasible {1 - infeasible / max(candidates, 1):.0%}",
            best="" if best is None else f"best {best:.4g}",
            front="" if front is None else _front_text(*front()),
        )


def _front_text(size: int, volume: float | None) -> str:
    return f"front {size:,}" if volume is None else f"front {size:,} hypervolume {volume:.4g}"
