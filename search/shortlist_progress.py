"""What a waiting person sees while a shortlist is made: genomes per second, the feasible share, time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo.search.progress import TerminalLine

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class ShortlistLine(TerminalLine):
    """How a shortlist is made.

    Args:
        total: Genomes to look at.
        shown: True or False; None shows it when standard error is a terminal.
        console: Where to; standard error by default.
    """

    def __init__(self, total: int, shown: bool | None = None, console: Console | None = None) -> None:
        self._total = total
        super().__init__(lambda: self._make(console), shown)
        if self._bar is not None:
            self._task = self._bar.add_task("shortlist", total=total, rate="", feasible="", kept="")

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
            TextColumn("{task.fields[kept]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )

    def update(self, *, seen: int, feasible: int, kept: int | None = None, final: bool = False) -> None:
        """Shows the state, at most ten times a second unless `final`.

        Args:
            seen: Genomes looked at.
            feasible: How many different architectures of them meet the budgets.
            kept: How many were kept, at the end.
            final: Show it whatever the time.
        """
        if self._bar is None or not self._due(final):
            return
        self._bar.update(
            self._task,
            completed=seen,
            total=max(seen, self._total),
            rate=f"{seen / self._elapsed_s:,.0f} genomes/s",
            feasible=f"{feasible:,} within budget",
            kept="" if kept is None else f"{kept:,} kept",
        )
