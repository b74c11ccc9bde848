"""The cost landscape over a space's two widest knobs, before curation and after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelzoo.errors import DataError
from accelzoo.hwmodel import load_target
from accelzoo.recipes.landscape_plot import Landscape, landscape, widest
from accelzoo.recipes.page.altair_parts import data, plain
from accelzoo.recipes.page.figure import Absent, AnyFigure, Figure, Panel, Table
from accelzoo.registry import get_space, list_spaces

NAME, TITLE = "landscape", "Landscape before and after curation"
_KEYS = ("space", "target", "field", "changes", "size_before", "size_after")


def landscape_figure(path: Path | None) -> AnyFigure:
    """Returns the figure, or why there is none.

    Args:
        path: What `accelzoo curate SPACE --target T --json` printed; None if nothing was curated.

    Raises:
        DataError: If the file is no such report, or of a space that does not ship.
        AccelzooError: If the target is not there, or the space has not two open widths.
    """
    if path is None:
        reason = (
            "No curation was given: `accelzoo curate SPACE --target T --json > FILE` and `accelzoo report RUN "
            "--curated FILE` show what it did to the space."
        )
        return Absent(name=NAME, title=TITLE, reason=reason)
    report = _read(path)
    space, target = get_space(report["space"]), load_target(report["target"])
    whole = landscape(space, widest(space), target, report["field"])
    left = {change["knob"]: change["after"] for change in report["changes"]}
    sizes = f"{report['size_before']:.3g} genomes before, {report['size_after']:.3g} after"
    kept = _left(whole, left, 0), _left(whole, left, 1)
    panels = [
        _panel("before curation", whole, whole.values),
        _panel("after curation", whole, kept),
    ]
    notes = [f"Space {report['space']} on {report['target']}: {sizes}; the other knobs are at their middle value."]
    if not set(whole.names) & left.keys():
        notes.append(f"Curation left {whole.names[0]} and {whole.names[1]} as they were.")
    return Figure(name=NAME, title=TITLE, panels=panels, notes=notes)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        report: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        hint = "; the space that -o writes is not it" if path.suffix in (".yaml", ".yml") else ""
        raise DataError(f"{path}: not what `accelzoo curate --json` prints{hint}: {error}") from None
    if not isinstance(report, dict) or (missing := [key for key in _KEYS if key not in report]):
        missing = missing if isinstance(report, dict) else [*_KEYS]
        raise DataError(f"{path}: not what `accelzoo curate --json` prints: {', '.join(missing)} missing")
    if report["space"] not in list_spaces():
        raise DataError(f"{path}: space {report['space']!r} is none that accelzoo ships")
    return report


def _left(whole: Landscape, changes: Mapping[str, Any], place: int) -> list[float]:
    """The values that curation has left of a knob."""
    return [float(value) for value in changes.get(whole.names[place], whole.values[place])]


def _panel(title: str, whole: Landscape, kept: tuple[Any, Any]) -> Panel:
    import altair as alt

    rows = [
        {"first": one, "second": other, "cost": float(f"{whole.costs[row, column]:.5g}")}
        for row, one in enumerate(whole.values[0])
        for column, other in enumerate(whole.values[1])
        if one in kept[0] and other in kept[1]
    ]
    domain = [float(whole.costs.min()), float(whole.costs.max())]
    chart = (
        alt.Chart(data(rows))
        .mark_rect()
        .encode(
            alt.X("second:O", title=whole.names[1], scale=alt.Scale(domain=[*whole.values[1]]),
                  axis=alt.Axis(labelAngle=0)),
            # A scale's first value is at the top.
            alt.Y("first:O", title=whole.names[0], scale=alt.Scale(domain=[*reversed(whole.values[0])])),
            alt.Color("cost:Q", title=whole.label, scale=alt.Scale(scheme="viridis", domain=domain)),
            tooltip=[alt.Tooltip("first:O", title=whole.names[0]), alt.Tooltip("second:O", title=whole.names[1]),
                     alt.Tooltip("cost:Q", title=whole.label)],
        )
    )  # fmt: skip
    ends = min(row["cost"] for row in rows), max(row["cost"] for row in rows)
    return Panel(
        title=title,
        spec=plain(chart),
        summary=f"Heat map of {len(rows)} networks, {whole.label} from {ends[0]:.4g} to {ends[1]:.4g}.",
        table=Table(
            header=(whole.names[0], whole.names[1], f">{whole.label}"),
            rows=[(f"{row['first']:g}", f"{row['second']:g}", f"{row['cost']:.4g}") for row in rows],
        ),
    )
