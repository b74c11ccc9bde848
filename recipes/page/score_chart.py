"""Every trained network: latency against test score, with seeds and intervals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo.recipes import output
from accelzoo.recipes.page.altair_parts import data, plain, tooltips
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.page.theme import SERIES
from accelzoo.recipes.units import latency_unit

NAME, TITLE = "networks", "Latency against test score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A trained network.

    Args:
        name: What the run calls it.
        group: What found it: a search, a method; the baseline is one of its own.
        latency_s: As the run compares it.
        scores: Test scores of its seeds, 0 … 1.
        interval: 95 % interval over test images; None where it is not known.
    """

    name: str
    group: str
    latency_s: float
    scores: tuple[float, ...]
    interval: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """Mean test score."""
        return statistics.fmean(self.scores)


def score_figure(material: Material) -> AnyFigure:
    """Returns the figure, or why there is none."""
    comparison = material.comparison
    if comparison is None:
        reason = "A search alone trains nothing." if material.kind == "search" else "The run is not finished."
        return Absent(name=NAME, title=TITLE, reason=reason)
    found = {"product": _product, "width": _width}.get(material.kind, _funnel)(comparison)
    metric = comparison.get("metric", "top-1")
    notes = ["Large marks are means over seeds, small ones the seeds."]
    if any(one.interval for one in found):
        notes.append("Bars are 95 % intervals over test images, ends averaged over seeds.")
    return Figure(name=NAME, title=TITLE, panels=[_panel(found, f"test {metric} (%)")], notes=notes)


def _funnel(comparison: Mapping[str, Any]) -> list[Network]:
    return [
        Network(name=name, group=name, latency_s=comparison[name]["cost"]["latency_s"],
                scores=tuple(comparison[name]["test_top1"]))
        for name in ("baseline", "winner")
    ]  # fmt: skip


def _product(comparison: Mapping[str, Any]) -> list[Network]:
    entries, target = comparison["networks"], comparison["target"]
    # The referee decides only where it compiled every network.
    compiled = all(one["compiled"] is not None for one in entries)
    return [
        Network(
            name=one["name"],
            group=one["title"] or one["search"] or one["name"],
            latency_s=(one["compiled"] if compiled else one["prices"][target]["cost"])["latency_s"],
            scores=tuple([run["test"]["value"] for run in one["runs"]]),
            interval=None if one["test_interval"] is None else tuple(one["test_interval"]),
        )
        for one in entries
    ]


def _width(comparison: Mapping[str, Any]) -> list[Network]:
    return [
        Network(
            name="original" if one["method"] == "original" else f"{100 * one['latency_share']:g} %, {one['method']}",
            group=one["method"],
            latency_s=one["measured_s"],
            scores=tuple(one["test_top1"]),
        )
        for one in comparison["networks"]
    ]


def _panel(found: Sequence[Network], label: str) -> Panel:
    import altair as alt

    unit_s, unit = latency_unit(max(one.latency_s for one in found))
    groups = list(dict.fromkeys(one.group for one in found))
    rest = [role for role in SERIES if role != "@baseline"]
    free = iter(range(len(groups)))
    colours = [
        "@baseline" if group in ("baseline", "original") else rest[next(free) % len(rest)] for group in groups
    ]
    rows = [_row(one, unit_s) for one in found]
    seeds = [{"x": row["x"], "y": round(100 * score, 4), "group": one.group}
             for row, one in zip(rows, found, strict=True) if len(one.scores) > 1 for score in one.scores]  # fmt: skip
    x = alt.X("x:Q", title=f"latency ({unit})", scale=alt.Scale(zero=False, padding=46))
    y = alt.Y("y:Q", title=label, scale=alt.Scale(zero=False, padding=12))
    color = alt.Color("group:N", title=None, scale=alt.Scale(domain=groups, range=colours))
    bars = [row for row in rows if "low" in row]
    hover = tooltips((("name", "network"), ("group", "found by"), ("latency", "latency"), ("score", label)))
    layers: list[Any] = []  # only of what there is: a layer without data has no extent
    if seeds:
        layers.append(alt.Chart(data(seeds)).mark_circle(size=18, opacity=0.8).encode(x, y, color))
    if bars:
        layers.append(alt.Chart(data(bars)).mark_rule().encode(x, alt.Y("low:Q", title=label), color, y2="high:Q"))
    base = alt.Chart(data(rows))
    layers.append(base.mark_point(filled=True, size=90).encode(x, y, color, tooltip=hover))
    layers.append(base.mark_text(dx=8, align="left", fontSize=11, color="@ink").encode(x, y, text="name:N"))
    best, fastest = max(found, key=lambda one: one.mean), min(found, key=lambda one: one.latency_s)
    return Panel(
        title="trained networks",
        spec=plain(alt.layer(*layers)),
        summary=f"Scatter plot of {len(found)} networks; {fastest.name} is the fastest with "
        f"{output.seconds(fastest.latency_s)}, {best.name} has the best mean score, {100 * best.mean:.2f} %.",
        table=Table(
            header=("network", "found by", ">latency", f">{label}"),
            rows=[(row["name"], row["group"], row["latency"], row["score"]) for row in rows],
        ),
        height=300,
        width=420,
    )


def _row(one: Network, unit_s: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "x": round(one.latency_s / unit_s, 6),
        "y": round(100 * one.mean, 4),
        "name": one.name,
        "group": one.group,
        "latency": output.seconds(one.latency_s),
        "score": f"{100 * one.mean:.2f}" + (f" ± {100 * statistics.stdev(one.scores):.2f}" if one.scores[1:] else ""),
    }
    if one.interval is not None:
        row |= {"low": round(100 * one.interval[0], 4), "high": round(100 * one.interval[1], 4)}
    return row
