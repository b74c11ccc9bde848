"""What a page shows: charts with the numbers behind them, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers in rows and columns, as text.

    Args:
        header: One heading per column; one that begins with `>` is of a column aligned to the right.
        rows: The cells.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart.

    Args:
        title: What it is about, in a few words.
        spec: The chart in Vega-Lite, with its data in it and without a size; colours are roles of `theme.LIGHT`.
        summary: What there is to see, for readers who cannot see it.
        table: The numbers behind it.
        height: Pixels of the plot.
        width: Pixels of the plot in a picture; on a page it takes the room that there is.
    """

    title: str
    spec: Mapping[str, Any]
    summary: str
    table: Table
    height: int = 260
    width: int = 380


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Charts that belong together.

    Args:
        name: What its file is called.
        title: Its heading.
        panels: The charts, at least one.
        notes: What to know when reading them.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A figure that cannot be drawn.

    Args:
        name: What its file would be called.
        title: Its heading.
        reason: Why, as a sentence.
    """

    name: str
    title: str
    reason: str


AnyFigure = Figure | Absent
