"""What a training shows while it runs."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from accelzoo.training.result import EpochRecord

_REFRESH_S = 0.2


class Progress(Protocol):
    """Anything that wants to follow a training."""

    def start(self, done_steps: int, total_steps: int) -> None:
        """Called once, before the first step."""

    def step(self, step: int, loss: float | None, images: int) -> None:
        """Called after every step; the loss is None where reading it would stall a GPU."""

    def epoch(self, record: EpochRecord) -> None:
        """Called after every epoch."""

    def stop(self) -> None:
        """Called once, also after an error."""


class Silent:
    """Shows nothing."""

    def start(self, done_steps: int, total_steps: int) -> None:
        """Shows nothing."""

    def step(self, step: int, loss: float | None, images: int) -> None:
        """Shows nothing."""

    def epoch(self, record: EpochRecord) -> None:
        """Shows nothing."""

    def stop(self) -> None:
        """Shows nothing."""


class RichProgress:
    """A bar with loss, images per second and time left on a terminal; one line per epoch elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: Any = None
        self._note = ""
        self._images, self._since_s = 0, time.perf_counter()

    def start(self, done_steps: int, total_steps: int) -> None:
        """Draws the bar."""
        self._task = self._bar.add_task("train", total=total_steps, completed=done_steps, note="")
        self._bar.start()

    def step(self, step: int, loss: float | None, images: int) -> None:
        """Moves the bar, at most five times a second."""
        self._images += images
        elapsed_s = time.perf_counter() - self._since_s
        if elapsed_s < _REFRESH_S:
            return
        shown = "" if loss is None else f"loss {loss:.3f}  "
        self._note = f"{shown}{self._images / elapsed_s:,.0f} images/s"
        self._images, self._since_s = 0, time.perf_counter()
        self._bar.update(self._task, completed=step, note=self._note)

    def epoch(self, record: EpochRecord) -> None:
        """Prints the epoch's line."""
        self._console.print(str(record), highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Removes the bar."""
        self._bar.stop()


def choose_progress(wanted: bool | Progress | None, main_process: bool) -> Progress:
    """Returns what `fit(progress=...)` means: True a bar, False nothing, None a bar on a terminal only."""
    if not main_process:
        return Silent()
    if wanted is None:
        wanted = sys.stderr.isatty()
    if isinstance(wanted, bool):
        return RichProgress() if wanted else Silent()
    return wanted
