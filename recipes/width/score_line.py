"""What a waiting person sees while widths are pruned: how many scores, how far, time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo.search.progress import TerminalLine

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PARTS = 1000


class ScoreLine(TerminalLine):
    """How a pruning goes.

    Args:
        start_s: Latency of the first network.
        budget_s: Latency at which it ends.
        shown: True or False; None shows it when standard error is a terminal.
        console: Where to; standard error by default.
    """

    def __init__(
        self, start_s: float, budget_s: float, *, shown: bool | None = None, console: Console | None = None
    ) -> None:
        self._start_s, self._budget_s = start_s, budget_s
        super().__init__(lambda: self._make(console), shown)
        if self._bar is not None:
            self._task = self._bar.add_task("prune", total=_PARTS, scored="")

    @staticmethod
    def _make(console: Console | None) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[scored]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )

    def update(self, *, scored: int) -> None:
        """Shows how many networks have a score, at most ten times a second."""
        if self._bar is not None and self._due(final=False):
            self._bar.update(self._task, scored=f"{scored:,} networks scored")

    def at(self, latency_s: float) -> None:
        """Shows how far pruning has come: the latency that its proposals have."""
        if self._bar is not None:
            share = (self._start_s - latency_s) / max(self._start_s - self._budget_s, 1e-12)
            self._bar.update(self._task, completed=round(_PARTS * min(1.0, max(0.0, share))))
