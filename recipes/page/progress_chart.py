"""How a search got on: the volume that its front dominates, and its best candidate beside what chance would give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from accelzoo.recipes.page.altair_parts import by_role, data, plain
from accelzoo.recipes.page.cost_units import cost_unit
from accelzoo.recipes.page.figure import AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Search
from accelzoo.recipes.run_front import Front
from accelzoo.recipes.run_view import cost_label, cost_text
from accelzoo.search.record import Record

STEPS = 200  # at which a growing front is measured, and chance is worked out
_SEARCH, _CHANCE, _BASELINE = "the search", "the same candidates in random order", "the baseline"
_ROWS = 12  # of the table behind a curve

Points = list[tuple[int, float]]


def progress_figure(search: Search) -> AnyFigure | None:
    """Returns the figure; None before any candidate has a score."""
    panels = []
    if search.front is not None:
        panels += [panel for panel in (_volume_panel(search, search.front), _fastest_panel(search)) if panel]
    best = best_scores(search.records)
    # A search for a front has no best candidate: its score is accuracy alone.
    if best and not (panels and search.view.header["objective"].get("minimise")):
        panels.append(_score_panel(search, best))
    if not panels:
        return None
    title = f"Search progress{f' of {search.name}: {search.title}' if search.name else ''}"
    return Figure(name=f"progress-{search.name}" if search.name else "progress", title=title, panels=panels)


def best_scores(records: Sequence[Record]) -> Points:
    """Returns the best score after each evaluation that raised it, and after the last."""
    points: Points = []
    evaluated = 0
    for record in records:
        evaluated += record.evaluated
        if record.status == "ok" and record.score is not None and (not points or record.score > points[-1][1]):
            points.append((evaluated, record.score))
    return [*points, (evaluated, points[-1][1])] if points else []


def chance(values: Sequence[float], draws: Sequence[int]) -> list[float]:
    """Returns the expected highest of so many values, drawn without putting any back.

    Of n values in ascending order the highest of k is at most the j-th with the probability C(j, k) / C(n, k).

    Args:
        values: All of them.
        draws: How many are drawn, each 1 … n.
    """
    from scipy.special import gammaln

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = np.arange(len(ordered) + 1, dtype=np.float64)
    found = []
    for drawn in draws:
        # The logarithm of C(j, k) / C(n, k), in which k! cancels.
        with np.errstate(all="ignore"):
            logs = gammaln(count + 1) - gammaln(count - drawn + 1)
            reached = np.where(count < drawn, 0.0, np.exp(logs - logs[-1]))
        found.append(float(ordered @ np.diff(reached)))
    return found


def volumes(records: Sequence[Record], front: Front) -> tuple[Points, tuple[float, ...]]:
    """Returns the hypervolume after so many evaluations, and its bounds; nothing if the front is too large for it."""
    if not front.members:
        return [], ()
    bounds = front.widest(records)
    if front.hypervolume(bounds) is None:
        return [], bounds
    growing, points, evaluated = front.fresh(), [], 0
    step = max(1, math.ceil(len(records) / STEPS))
    for start in range(0, len(records), step):
        evaluated += sum(record.evaluated for record in records[start : start + step])
        if growing.update(records[start : start + step]):
            points.append((evaluated, growing.hypervolume(bounds) or 0.0))
    return [*points, (evaluated, points[-1][1])] if points else [], bounds


def fastest_so_far(records: Sequence[Record], field: str, least: float) -> Points:
    """Returns the lowest cost of the candidates of at least some accuracy, after each evaluation that lowered it."""
    points: Points = []
    evaluated = 0
    for record in records:
        evaluated += record.evaluated
        if record.status != "ok" or record.cost is None or record.accuracy is None or record.accuracy < least:
            continue
        cost = float(getattr(record.cost, field))
        if not points or cost < points[-1][1]:
            points.append((evaluated, cost))
    return [*points, (evaluated, points[-1][1])] if points else []


def _volume_panel(search: Search, front: Front) -> Panel | None:
    points, bounds = volumes(search.records, front)
    if len({value for _, value in points}) < 2:
        return None
    scale, unit = (100, " (points of accuracy)") if search.view.shares else (1, "")
    within = [f"{search.quality} ≥ {search.view.accuracy(bounds[0])}"]
    costs = zip(front.fields, bounds[1:], strict=True)
    within += [f"{cost_label(name)} ≤ {cost_text(name, cost)}" for name, cost in costs]
    named = {_SEARCH: [(count, scale * value) for count, value in points]}
    return _panel(f"hypervolume within {', '.join(within)}", f"hypervolume{unit}", named)


def _fastest_panel(search: Search) -> Panel | None:
    """Of a signal that is 0 for the baseline: the least cost at which it is reached, beside the baseline's own."""
    view, front = search.view, search.front
    if view.shares or view.baseline is None or front is None:
        return None
    field = front.fields[0]
    points = fastest_so_far(search.records, field, 0.0)
    if not points:
        return None
    base = float(getattr(view.baseline.cost, field))
    unit, label = cost_unit(field, max(base, points[0][1]))
    named = {
        _SEARCH: [(count, cost / unit) for count, cost in points],
        _BASELINE: [(0, base / unit), (points[-1][0], base / unit)],
    }
    return _panel(f"least {cost_label(field)} with at least the baseline's signal", label, named)


def _score_panel(search: Search, best: Points) -> Panel:
    scores = [one.score for one in search.records if one.status == "ok" and one.score is not None]
    counts = sorted({round(1 + place * (len(scores) - 1) / STEPS) for place in range(STEPS + 1)})
    # Failed candidates were evaluated, too: chance draws among all at the same rate as the search did.
    rate = best[-1][0] / len(scores)
    blind = list(zip([round(count * rate) for count in counts], chance(scores, counts), strict=True))
    return _panel("best score so far", "score", {_SEARCH: best, _CHANCE: blind})


def _panel(title: str, label: str, curves: dict[str, Points]) -> Panel:
    import altair as alt

    looks = {_SEARCH: "@front", _CHANCE: "@muted", _BASELINE: "@baseline"}
    rows = [{"x": x, "y": round(y, 6), "who": name} for name, points in curves.items() for x, y in points]
    chart = (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            alt.X("x:Q", title="evaluations", axis=alt.Axis(tickMinStep=1)),
            alt.Y("y:Q", title=label, scale=alt.Scale(zero=False)),
            alt.Color("who:N", title=None, scale=by_role({name: looks[name] for name in curves})),
            tooltip=[alt.Tooltip("who:N", title="of"), alt.Tooltip("x:Q", title="evaluations"),
                     alt.Tooltip("y:Q", title=label, format=".4~g")],
        )
    )  # fmt: skip
    points = curves[_SEARCH]
    thinned = points[:: max(1, math.ceil(len(points) / _ROWS))]
    thinned = thinned if thinned[-1] == points[-1] else [*thinned, points[-1]]
    return Panel(
        title=title,
        spec=plain(chart),
        summary=f"Line chart: {label} goes from {points[0][1]:.4g} after {points[0][0]:,} evaluations to "
        f"{points[-1][1]:.4g} after {points[-1][0]:,}.",
        table=Table(header=(">evaluations", f">{label}"), rows=[(f"{x:,}", f"{y:.5g}") for x, y in thinned]),
    )
