"""Figures as pictures: the specifications of the page, rendered to PNG or SVG without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelzoo.errors import AccelzooError
from accelzoo.recipes.page.figure import Figure, Panel
from accelzoo.recipes.page.theme import LIGHT, coloured, config

SUFFIXES = (".png", ".svg")
COLUMNS = 3  # panels in a row
SCALE = 2.0  # for dense screens


def draw_figures(figures: Sequence[Figure], path: Path) -> None:
    """Draws figures below each other into a file that is not there yet; equal pictures are equal files.

    Args:
        figures: At least one.
        path: The .png or .svg to write.

    Raises:
        AccelzooError: If it is there by now, or cannot be written.
    """
    import vl_convert

    spec = picture(figures)
    if path.suffix == ".svg":
        content = vl_convert.vegalite_to_svg(spec).encode()
    else:
        content = vl_convert.vegalite_to_png(spec, scale=SCALE)
    try:
        with path.open("xb") as stream:
            stream.write(content)
    except OSError as error:
        raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None


def picture(figures: Sequence[Figure]) -> dict[str, Any]:
    """Returns one Vega-Lite specification of figures, on light paper."""
    rows = [_figure(figure) for figure in figures]
    whole = rows[0] if len(rows) == 1 else {"vconcat": rows, "spacing": 30}
    schema = figures[0].panels[0].spec["$schema"]
    # Data are named by their content; a specification within another has none of its own.
    panels = [panel for figure in figures for panel in figure.panels]
    data = {name: rows for panel in panels for name, rows in panel.spec.get("datasets", {}).items()}
    paper = {"$schema": schema, "datasets": data, "background": "@paper", "padding": 12, "config": config()}
    coloured_whole: dict[str, Any] = coloured({**whole, **paper}, LIGHT)
    return coloured_whole


def _figure(figure: Figure) -> dict[str, Any]:
    panels = [_panel(panel) for panel in figure.panels]
    title = {"text": figure.title, "fontSize": 15, "fontWeight": "bold"}
    # Each panel has colours and scales of its own, as on the page.
    resolve = {"scale": dict.fromkeys(("color", "shape"), "independent")}
    return {"title": title, "concat": panels, "columns": COLUMNS, "resolve": resolve, "spacing": 24}


def _panel(panel: Panel) -> dict[str, Any]:
    spec = {key: value for key, value in panel.spec.items() if key not in ("$schema", "datasets")}
    return spec | {"title": _lines(panel.title, panel.width), "width": panel.width, "height": panel.height}


def _lines(title: str, width: int) -> list[str]:
    """A title in lines that are not wider than the plot below."""
    import textwrap

    return textwrap.wrap(title, max(24, width // 7))
