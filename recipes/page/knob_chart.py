"""Which knobs decide accuracy and cost: the share of the variance that each explains alone."""

from __future__ import annotations

import math

from accelzoo.recipes.page.altair_parts import data, plain
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Search
from accelzoo.recipes.run_view import cost_label
from accelzoo.search.importance import Importance, TooFewError, importance

LISTED = 12  # knobs that are drawn


def knob_figure(search: Search) -> AnyFigure:
    """Returns the figure, or why there is none."""
    name = f"knobs-{search.name}" if search.name else "knobs"
    title = f"Which knobs matter{f' in {search.name}: {search.title}' if search.name else ''}"
    # Architectures that came up again under another genome count: they say that the difference does not matter.
    values = {search.quality: {one.genome: one.accuracy for one in search.records if one.accuracy is not None}}
    if search.front is not None:
        field = search.front.fields[0]
        costs = {one.genome: float(getattr(one.cost, field)) for one in search.records if one.cost is not None}
        values[cost_label(field)] = costs
    panels, reasons = [], []
    for what, known in values.items():
        if not known:
            reasons.append(f"{what}: no candidate has one yet")
            continue
        try:
            found = importance([*known], [*known.values()], search.view.header["sizes"])
        except TooFewError as error:
            reasons.append(f"{what}: {error}")
        else:
            panels.append(_panel(search, f"what decides {what}", found))
    if not panels:
        return Absent(name=name, title=title, reason="; ".join(reasons))
    notes = ["Functional analysis of variance: the share that each knob explains alone, with its standard error."]
    return Figure(name=name, title=title, panels=panels, notes=[*notes, *reasons])


def _panel(search: Search, title: str, found: Importance) -> Panel:
    import altair as alt

    names = search.view.knob_names
    drawn = found.ranked()[:LISTED]
    rows = [
        {
            "knob": names[place],
            "share": round(100 * float(found.shares[place]), 3),
            "low": round(100 * float(found.shares[place] - found.deviations[place]), 3),
            "high": round(100 * float(found.shares[place] + found.deviations[place]), 3),
        }
        for place in drawn
    ]
    y = alt.Y("knob:N", title=None, sort=None, axis=alt.Axis(labelLimit=170))
    x = alt.X("share:Q", title="share of the variance (%) ± standard error")
    bars = alt.Chart(data(rows)).mark_bar(color="@front", height=alt.RelativeBandSize(0.7)).encode(
        x, y, tooltip=["knob:N", alt.Tooltip("share:Q", title="share (%)", format=".1f")])  # fmt: skip
    errors = alt.Chart(data(rows)).mark_rule(color="@ink").encode(alt.X("low:Q"), y, x2="high:Q")
    alone = math.fsum(share for share in found.shares.tolist() if not math.isnan(share))
    said = f"{found.candidates:,} candidates, R² of unseen ones {found.explained:.2f}"
    if alone < 0.995:
        said += f", several knobs together {100 * (1 - alone):.0f} %"
    return Panel(
        title=f"{title} ({said})",
        spec=plain(alt.layer(bars, errors)),
        summary=f"Bar chart: {names[drawn[0]]} explains most, {rows[0]['share']:.0f} % of the variance."
        if drawn
        else "Bar chart without bars: no knob was varied.",
        table=Table(
            header=("knob", ">share (%)", ">standard error"),
            rows=[(names[p], f"{100 * found.shares[p]:.1f}", f"{100 * found.deviations[p]:.1f}") for p in drawn],
        ),
        height=22 * max(3, len(drawn)),
    )
