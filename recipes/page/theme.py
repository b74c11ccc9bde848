"""How charts look on light and on dark paper; a chart names roles, and a theme gives them colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# After Okabe & Ito, 2008: told apart by colour-blind readers too; lighter on dark paper. `@panel` and `@link` are the
# page's alone.
LIGHT: Mapping[str, str] = {
    "@ink": "#222222",
    "@faint": "#d9d9d9",
    "@muted": "#5f6670",
    "@paper": "#ffffff",
    "@panel": "#f6f7f8",
    "@link": "#0b62a3",
    "@front": "#0072B2",
    "@candidate": "#56B4E9",
    "@baseline": "#D55E00",
    "@other": "#E69F00",
    "@green": "#009E73",
    "@purple": "#CC79A7",
}
DARK: Mapping[str, str] = {
    "@ink": "#e6e6e6",
    "@faint": "#3d434b",
    "@muted": "#a3a9b2",
    "@paper": "#16191d",
    "@panel": "#1f2329",
    "@link": "#7cc4ff",
    "@front": "#6cc0f5",
    "@candidate": "#3f7fa8",
    "@baseline": "#ff8f4a",
    "@other": "#f0b840",
    "@green": "#3ecf9f",
    "@purple": "#e3a0c8",
}
VARIABLES: Mapping[str, str] = {role: f"var(--{role[1:]})" for role in LIGHT}
"""Roles as the page's style knows them: its charts follow its theme without being drawn again."""
SERIES = ("@front", "@baseline", "@green", "@purple", "@other", "@candidate")
"""Colours of things of one kind, in the order in which they are given out."""
_DATA = ("data", "datasets")


def config() -> dict[str, Any]:
    """Returns what all charts have in common, as a Vega-Lite configuration of roles."""
    text = {"labelColor": "@ink", "titleColor": "@ink", "labelFontSize": 11, "titleFontSize": 11.5}
    return {
        "background": "transparent",
        "font": "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {**text, "titleFontWeight": "normal", "gridColor": "@faint", "gridWidth": 0.6, "domainColor": "@muted",
                 "tickColor": "@muted"},
        "legend": {**text, "titleFontWeight": "normal", "orient": "bottom", "columns": 2, "labelLimit": 260,
                   "symbolOpacity": 1},
        "title": {"color": "@ink", "fontSize": 13, "anchor": "start", "fontWeight": "normal"},
        "text": {"color": "@ink"},
        "rule": {"color": "@ink"},
    }  # fmt: skip


def style() -> str:
    """Returns the variables of `VARIABLES` as a style sheet; which of the two is taken is up to `color-scheme`."""
    pairs = " ".join(f"--{role[1:]}: light-dark({LIGHT[role]}, {DARK[role]});" for role in LIGHT)
    return f":root {{ {pairs} }}\n"


def coloured(spec: Any, colours: Mapping[str, str]) -> Any:
    """Returns a specification with the roles replaced by colours; data stay as they are."""
    if isinstance(spec, Mapping):
        return {key: value if key in _DATA else coloured(value, colours) for key, value in spec.items()}
    if isinstance(spec, list | tuple):
        return [coloured(value, colours) for value in spec]
    return colours.get(spec, spec) if isinstance(spec, str) else spec
