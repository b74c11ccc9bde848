"""Accuracy over each cost that counted: candidates, the front, budgets and the baseline's price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from accelzoo.recipes.page.altair_parts import by_role, data, plain
from accelzoo.recipes.page.arch_text import candidate_text
from accelzoo.recipes.page.cost_units import cost_unit
from accelzoo.recipes.page.figure import AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Search
from accelzoo.recipes.run_front import Front
from accelzoo.recipes.run_view import cost_label, cost_text
from accelzoo.search.record import Record

PANELS = 3  # costs that are drawn
_DIGITS = 12  # of a digest: enough to tell networks apart
MOST = 1200  # candidates off the front that are drawn; more are drawn evenly spaced
CANDIDATE, FRONT, BUDGET, BASELINE = "candidate", "Pareto front", "budget", "price of the baseline"


def pareto_figure(search: Search) -> AnyFigure | None:
    """Returns the figure; None of a search without costs or without scored candidates."""
    front = search.front
    scored = [record for record in search.records if record.status == "ok" and record.cost is not None]
    if front is None or not scored:
        return None
    over = [record for record in search.records if record.status == "infeasible" and record.cost is not None]
    said = f"{len(scored):,} candidates, {len(front.members)} on the front; {len(over):,} over budget"
    notes = [f"{said}." if len(scored) <= MOST else f"{said}; off the front {MOST:,} are drawn, evenly spaced."]
    if over:
        notes.append("Candidates over a budget were priced and not evaluated: they are marks along the axis.")
    panels = [_panel(search, front, field, scored, over) for field in front.fields[:PANELS]]
    title = f"Pareto front{f' of {search.name}: {search.title}' if search.name else ''}"
    name = f"pareto-{search.name}" if search.name else "pareto"
    return Figure(name=name, title=title, panels=panels, notes=notes)


def stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points that are the most accurate ones up to their cost, the cheapest first."""
    kept: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or accuracy > kept[-1][1]:
            kept.append((cost, accuracy))
    return kept


def evenly(records: Sequence[Record], most: int) -> list[Record]:
    """Returns at most so many records, evenly spaced."""
    step = max(1.0, len(records) / most)
    return [records[int(place * step)] for place in range(min(most, len(records)))]


def _panel(search: Search, front: Front, field: str, scored: Sequence[Record], over: Sequence[Record]) -> Panel:
    import altair as alt

    view = search.view
    baseline = None if view.baseline is None else float(getattr(view.baseline.cost, field))
    budget = view.header["budgets"].get(field)
    most = max([*(float(getattr(one.cost, field)) for one in scored), budget or 0.0, baseline or 0.0])
    unit, label = cost_unit(field, most)
    off = evenly([one for one in scored if one not in front.members], MOST)
    points = [_row(one, search, field, unit) for one in off]
    members = [_row(one, search, field, unit) | {"network": candidate_text(one, search.view)} for one in front.members]
    line = [{"x": x, "y": y, "kind": FRONT} for x, y in stairs([(row["x"], row["y"]) for row in members])]
    roles = {CANDIDATE: "@candidate", FRONT: "@front"}
    x = alt.X("x:Q", title=label, scale=alt.Scale(zero=True, nice=False, domainMin=0, domainMax=1.05 * most / unit))
    y = alt.Y("y:Q", title=search.measure, scale=alt.Scale(zero=False))
    hover = [
        alt.Tooltip("who:N", title="candidate"),
        alt.Tooltip("y:Q", title=search.measure, format=".4~g"),
        alt.Tooltip("x:Q", title=label, format=".4~g"),
        alt.Tooltip("arch:N", title="digest"),
    ]
    rules = [(BUDGET, budget, "@ink"), (BASELINE, baseline, "@baseline")]
    lines = [{"x": value / unit, "kind": name} for name, value, _ in rules if value is not None]
    roles |= {name: role for name, value, role in rules if value is not None}
    color = alt.Color("kind:N", title=None, scale=by_role(roles))
    off_front, on_front = alt.ColorDatum(CANDIDATE), alt.ColorDatum(FRONT)
    layers: list[Any] = [
        alt.Chart(data(line)).mark_line(interpolate="step-after", strokeWidth=1.3).encode(x, y, color),
        alt.Chart(data(members)).mark_circle(size=48, opacity=1).encode(
            x, y, on_front, tooltip=[*hover, alt.Tooltip("network:N")]),
    ]
    if points:  # a layer without data has no extent
        off_marks = alt.Chart(data(points)).mark_circle(size=22, opacity=0.55)
        layers.insert(0, off_marks.encode(x, y, off_front, tooltip=hover))
    for record in scored:
        if name := search.ours.get(record.index):
            row = _row(record, search, field, unit) | {"name": name}
            layers += _pick(row, record in front.members, x, y)
    if lines:
        layers.append(alt.Chart(data(lines)).mark_rule(strokeWidth=1.4, strokeDash=[5, 3]).encode(x=x, color=color))
    if shown := _over(over, field, unit, most):
        tick = alt.Chart(data(shown)).mark_tick(orient="vertical", size=9, thickness=1, color="@muted", opacity=0.7)
        layers.append(tick.encode(x=x, y=alt.value(256)))
    return Panel(
        title=f"{search.quality} over {cost_label(field)}",
        spec=plain(alt.layer(*layers)),
        summary=_summary(search, front, field, scored),
        table=_table(search, front),
    )


def _pick(row: dict[str, Any], on_front: bool, x: Any, y: Any) -> list[Any]:
    """A ring around a network that came of the search, and its name on the side away from the front."""
    import altair as alt

    base = alt.Chart(data([row]))
    ring = base.mark_point(size=130, color="@ink", strokeWidth=1.6, fill=None, tooltip=None).encode(x, y)
    align: Literal["left", "right"] = "right" if on_front else "left"
    name = base.mark_text(dx=-9 if on_front else 9, dy=-9, align=align, fontSize=11.5, fontWeight="bold", color="@ink")
    return [ring, name.encode(x, y, text="name:N")]


def _row(record: Record, search: Search, field: str, unit: float) -> dict[str, Any]:
    """A point as short as can be: there may be thousands of them."""
    return {
        "x": round(float(getattr(record.cost, field)) / unit, 6),
        "y": round((100 if search.view.shares else 1) * (record.accuracy or 0.0), 5),
        "who": _who(record, search),
        "arch": (record.arch or "").removeprefix("sha256:")[:_DIGITS],
    }


def _who(record: Record, search: Search) -> str:
    """`12`, or `12 (winner)`."""
    name = search.ours.get(record.index)
    return str(record.index) if name is None else f"{record.index} ({name})"


def _over(over: Sequence[Record], field: str, unit: float, most: float) -> list[dict[str, float]]:
    costs = [float(getattr(one.cost, field)) for one in evenly(over, MOST)]
    return [{"x": round(cost / unit, 6)} for cost in costs if cost <= 1.05 * most]


def _summary(search: Search, front: Front, field: str, scored: Sequence[Record]) -> str:
    view, ends = search.view, (front.members[0], front.members[-1])
    first, last = (
        f"{view.accuracy(one.accuracy or 0.0)} at {cost_text(field, float(getattr(one.cost, field)))}" for one in ends
    )
    return f"Scatter plot of {len(scored):,} candidates. The front reaches from {first} to {last}."


def _table(search: Search, front: Front) -> Table:
    header = ["candidate", f">{search.quality}", *(f">{cost_label(name)}" for name in front.fields), "network"]
    rows = []
    for record in front.members:
        prices = [cost_text(name, float(getattr(record.cost, name))) for name in front.fields]
        text = candidate_text(record, search.view)
        rows.append([_who(record, search), search.view.accuracy(record.accuracy or 0.0), *prices, text])
    return Table(header=header, rows=rows)
