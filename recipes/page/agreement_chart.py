"""Predicted against compiled or measured latency of the networks that a run chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo.recipes import output
from accelzoo.recipes.page.altair_parts import by_role, data, plain, tooltips
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.page.theme import SERIES

NAME, TITLE = "predicted", "Predicted against compiled or measured"
BAND = 0.10
MARGIN = 1.2
_MS = 1e-3
_NONE = {
    "funnel": "Nothing was compiled or measured: latencies are the target's estimates; `accelzoo compile` checks one.",
    "search": "Nothing was compiled or measured: prices are the target's estimates.",
    "product": "No tool that compiles for the target was there.",
    "width": "Nothing was measured: latencies are the target's estimates.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A latency that was predicted, in seconds, and what another tool says of it."""

    network: str
    target: str
    predicted_s: float
    found_s: float
    by: str


def pairs_of(material: Material) -> list[Pair]:
    """Returns every network's predicted latency that has another to be held to."""
    comparison, lock = material.comparison, material.lock
    if comparison is None or lock is None:
        return []
    if material.kind == "width":
        if comparison["measured_by"] is None:
            return []
        return [
            Pair(network=one["name"], target=comparison["target"], predicted_s=one["choice"]["predicted_s"],
                 found_s=one["choice"]["measured_s"], by=comparison["measured_by"])
            for one in comparison["trained"]
        ]  # fmt: skip
    return [pair for one in comparison.get("networks", []) for pair in _pairs(one, comparison["target"])]


def agreement_figure(material: Material) -> AnyFigure:
    """Returns the figure, or why there is none."""
    if material.lock is None and material.kind != "search":
        return Absent(name=NAME, title=TITLE, reason="The run is not finished.")
    pairs = pairs_of(material)
    if not pairs:
        return Absent(name=NAME, title=TITLE, reason=_NONE[material.kind])
    errors = [abs(pair.predicted_s / pair.found_s - 1) for pair in pairs]
    within = sum(error <= BAND for error in errors)
    said = f"{within} of {len(pairs)} predictions are within ±10 %; on average they are {_percent(errors)} off"
    notes = [f"{said}. The line is equality, the band ±10 %."]
    return Figure(name=NAME, title=TITLE, panels=[_panel(pairs, said)], notes=notes)


def _pairs(one: Mapping[str, Any], target: str) -> list[Pair]:
    found = []
    if one["compiled"] is not None:
        predicted_s = one["prices"][target]["cost"]["latency_s"]
        by = f"{one['compiled']['tool']}, trained int8 network"
        found.append(Pair(network=one["name"], target=target, predicted_s=predicted_s,
                          found_s=one["compiled"]["latency_s"], by=by))  # fmt: skip
    for name, price in one["prices"].items():
        if price["referee"] is not None and not (name == target and found):
            found.append(Pair(network=one["name"], target=name, predicted_s=price["cost"]["latency_s"],
                              found_s=price["referee"]["latency_s"], by=price["referee"]["tool"]))  # fmt: skip
    return found


def _panel(pairs: list[Pair], said: str) -> Panel:
    import altair as alt

    values = [value / _MS for pair in pairs for value in (pair.predicted_s, pair.found_s)]
    low, high = min(values) / MARGIN, max(values) * MARGIN
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X("x:Q", title="compiled or measured (ms)", scale=scale)
    y = alt.Y("y:Q", title="predicted (ms)", scale=scale)
    ends = [{"x": end, "y": end, "low": end * (1 - BAND), "high": end * (1 + BAND)} for end in (low, high)]
    targets = list(dict.fromkeys(pair.target for pair in pairs))
    roles = {name: SERIES[place % len(SERIES)] for place, name in enumerate(targets)}
    color = alt.Color("target:N", title=None, scale=by_role(roles))
    shape = alt.Shape("target:N", title=None, scale=alt.Scale(domain=targets))
    hover = tooltips((("network", "network"), ("target", "target"), ("by", "by"), ("predicted", "predicted"),
                      ("found", "found"), ("error", "error")))  # fmt: skip
    band = alt.Chart(data(ends)).mark_area(color="@faint", opacity=0.5, clip=True).encode(
        x, alt.Y("low:Q", scale=scale), alt.Y2("high:Q"))  # fmt: skip
    line = alt.Chart(data(ends)).mark_line(color="@muted", strokeWidth=1).encode(x, y)
    points = alt.Chart(data([_row(pair) for pair in pairs])).mark_point(filled=True, size=60).encode(
        x, y, color, shape, tooltip=hover)  # fmt: skip
    return Panel(
        title="latency of each network on each target",
        spec=plain(alt.layer(band, line, points)),
        summary=f"Scatter plot around the line of equality: {said}.",
        table=Table(
            header=("network", "target", ">predicted", ">found", ">error", "by"),
            rows=[[row[key] for key in ("network", "target", "predicted", "found", "error", "by")]
                  for row in map(_row, pairs)],
        ),
        height=320,
    )  # fmt: skip


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "x": round(pair.found_s / _MS, 7),
        "y": round(pair.predicted_s / _MS, 7),
        "network": pair.network,
        "target": pair.target,
        "by": pair.by,
        "predicted": output.seconds(pair.predicted_s),
        "found": output.seconds(pair.found_s),
        "error": f"{100 * (pair.predicted_s / pair.found_s - 1):+.1f} %",
    }


def _percent(errors: list[float]) -> str:
    return f"{100 * sum(errors) / len(errors):.1f} %"
