"""The widths that each method of a width run chose, relative to the original's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.recipes.page.altair_parts import data, plain
from accelzoo.recipes.page.figure import Figure, Panel, Table
from accelzoo.recipes.page.theme import SERIES


def width_figure(comparison: Mapping[str, Any]) -> Figure:
    """Returns a panel for each latency budget.

    Args:
        comparison: A width run's, as its lock has it.
    """
    chosen = [one["choice"] for one in comparison["trained"]]
    original = next(one["widths"] for one in chosen if one["method"] == "original")
    shares = sorted({one["share"] for one in chosen if one["method"] != "original"})
    panels = [_panel(share, chosen, original, comparison["groups"]) for share in shares]
    notes = ["Means over the seeds; 1 is the original's number of channels."]
    return Figure(name="widths", title="Chosen widths", panels=panels, notes=notes)


def relative_widths(choices: Sequence[Mapping[str, Any]], original: Sequence[int]) -> list[float]:
    """Returns the mean channels of each group over the choices, relative to the original's."""
    columns = zip(*(one["widths"] for one in choices), strict=True)
    return [statistics.fmean(column) / base for column, base in zip(columns, original, strict=True)]


def _panel(share: float, chosen: list[Any], original: list[int], groups: list[str]) -> Panel:
    import altair as alt

    methods = list(dict.fromkeys(one["method"] for one in chosen if one["share"] == share))
    methods = [method for method in methods if method != "original"]
    means = {
        method: relative_widths([one for one in chosen if (one["method"], one["share"]) == (method, share)], original)
        for method in methods
    }
    rows = [{"group": group, "y": round(value, 4), "method": method}
            for method, values in means.items() for group, value in zip(groups, values, strict=True)]  # fmt: skip
    colours = [SERIES[place % len(SERIES)] for place in range(len(methods))]
    lines = alt.Chart(data(rows)).mark_line(point=True, strokeWidth=1.2).encode(
        alt.X("group:N", title="group of layers", sort=None, axis=alt.Axis(labelAngle=-90, labelOverlap=False)),
        alt.Y("y:Q", title="channels / original's", scale=alt.Scale(domainMin=0)),
        alt.Color("method:N", title=None, scale=alt.Scale(domain=methods, range=colours)),
        tooltip=["method:N", "group:N", alt.Tooltip("y:Q", title="relative width", format=".2f")],
    )  # fmt: skip
    rule = alt.Chart(data([{"y": 1}])).mark_rule(strokeDash=[5, 3]).encode(y="y:Q")
    return Panel(
        title=f"at {100 * share:g} % of the original's latency",
        spec=plain(alt.layer(lines, rule)),
        summary=f"Line chart of {len(groups)} groups for {', '.join(methods)}.",
        table=Table(
            header=("group", *(f">{method}" for method in methods)),
            rows=[(group, *(f"{means[method][place]:.2f}" for method in methods))
                  for place, group in enumerate(groups)],
        ),
        width=max(260, 22 * len(groups)),
    )  # fmt: skip
