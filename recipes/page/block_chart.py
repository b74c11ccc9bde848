"""Networks as strips of blocks: the latency of each by the target's estimate, with its channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelzoo.recipes import output
from accelzoo.recipes.page.altair_parts import by_role, data, plain, tooltips
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.networks import BASELINE, Networks, Shown
from accelzoo.recipes.product.block_parts import BlockPart, block_parts
from accelzoo.recipes.units import latency_unit

NAME, TITLE = "blocks", "Latency per block"
ROLES = {"IBN": "@candidate", "fused IBN": "@other", "other block": "@green", "stem, head": "@muted"}
_LABELS = {"ibn": "IBN", "fused_ibn": "fused IBN", "stem": "stem, head", "head": "stem, head"}
_MARK = "baseline's latency"
_HOVER = (("block", "block"), ("what", "kind"), ("channels", "channels"), ("latency", "latency"), ("share", "share"))


def block_figure(networks: Networks | str) -> AnyFigure:
    """Returns the figure, or why there is none."""
    if isinstance(networks, str):
        return Absent(name=NAME, title=TITLE, reason=networks)
    parts = {one.name: block_parts(one.arch, one.cost) for one in networks.shown}
    most_s = max(part.latency_s for each in parts.values() for part in each)
    panels = [_panel(one, parts[one.name], parts.get(BASELINE), most_s) for one in networks.shown]
    notes = [
        f"Estimated for {networks.target.name}, operator by operator; the number above a bar is the block's output "
        "channels; all networks have one scale.",
        *networks.notes,
    ]
    return Figure(name=NAME, title=TITLE, panels=panels, notes=notes)


def block_name(part: BlockPart) -> str:
    """`stem`, `2.0` (stage and repeat), `head`."""
    return part.name.removeprefix("blocks.")


def _panel(one: Shown, parts: Sequence[BlockPart], baseline: Sequence[BlockPart] | None, most_s: float) -> Panel:
    import altair as alt

    unit_s, unit = latency_unit(most_s)
    rows = [_row(part, unit_s, one.cost.latency_s) for part in parts]
    x = alt.X("block:N", title="block (stage.repeat)", sort=None, axis=alt.Axis(labelAngle=-90, labelOverlap=False))
    scale = alt.Scale(domain=[0, 1.15 * most_s / unit_s], nice=False)
    y = alt.Y("y:Q", title=f"latency ({unit})", scale=scale)
    marks = {} if baseline is None or one.name == BASELINE else {_MARK: "@ink"}
    there = {row["kind"] for row in rows}
    roles = {label: role for label, role in ROLES.items() if label in there} | marks
    color = alt.Color("kind:N", title=None, scale=by_role(roles), legend=alt.Legend(columns=3))
    bars = alt.Chart(data(rows)).mark_bar().encode(x, y, color, tooltip=tooltips(_HOVER))
    labels = alt.Chart(data(rows)).mark_text(fontSize=9, color="@ink").encode(x, y=alt.value(7), text="channels:N")
    layers: list[Any] = [bars, labels]
    if marks and baseline is not None:
        own = {block_name(part) for part in parts}
        shown = [row | {"kind": _MARK} for row in (_row(part, unit_s, 1.0) for part in baseline) if row["block"] in own]
        tick = alt.Chart(data(shown)).mark_tick(thickness=2, orient="horizontal")
        layers.append(tick.encode(x, y, color))
    slowest = max(parts, key=lambda part: part.latency_s)
    return Panel(
        title=f"{one.name}: {output.seconds(one.cost.latency_s)}",
        spec=plain(alt.layer(*layers)),
        summary=f"Bar chart of {len(parts)} blocks; {block_name(slowest)} is the slowest with "
        f"{output.seconds(slowest.latency_s)} of {output.seconds(one.cost.latency_s)}.",
        table=Table(
            header=("block", "kind", ">channels", ">latency", ">share"),
            rows=[(row["block"], row["what"], row["channels"], row["latency"], row["share"]) for row in rows],
        ),
        height=150,
        width=max(220, 24 * len(parts)),
    )


def _row(part: BlockPart, unit_s: float, whole_s: float) -> dict[str, Any]:
    return {
        "block": block_name(part),
        "what": part.kind.replace("_", " "),
        "kind": _LABELS.get(part.kind, "other block"),
        "channels": "" if part.out_channels is None else str(part.out_channels),
        "y": round(part.latency_s / unit_s, 6),
        "latency": output.seconds(part.latency_s),
        "share": output.percent(part.latency_s / whole_s),
    }
