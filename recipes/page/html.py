"""Pieces of HTML: whatever comes from a run is escaped here, once."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from accelzoo.recipes.page.figure import AnyFigure, Figure, Panel, Table
from accelzoo.recipes.page.theme import VARIABLES, coloured, config


def text(value: object) -> str:
    """Returns plain text as HTML; characters that no text has (ANSI escapes) are made visible."""
    return html.escape(_visible(str(value)), quote=True)


def prose(value: str) -> str:
    """Returns plain text as HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(value))


def paragraphs(lines: Iterable[str]) -> str:
    """Returns plain texts as small paragraphs."""
    return "".join(f'<p class="note">{prose(line)}</p>' for line in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns pairs of a name and a plain text as a list of facts; empty texts are left out."""
    items = [f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs if value]
    return f'<dl class="facts">{"".join(items)}</dl>' if items else ""


def table(content: Table, label: str) -> str:
    """Returns a table in a box of its own that scrolls where it is too wide."""
    sides = ["right" if heading.startswith(">") else "left" for heading in content.header]
    head = "".join(
        f'<th scope="col" class="{side}">{text(heading.removeprefix(">"))}</th>'
        for heading, side in zip(content.header, sides, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, sides)}</tr>" for row in content.rows)
    rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}"><table>{rows}</table></div>'


def details(summary: str, content: str) -> str:
    """Returns something folded away."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def preformatted(content: str, label: str) -> str:
    """Returns a text whose lines are kept, in a box that scrolls."""
    return f'<pre class="scroll" tabindex="0" role="region" aria-label="{text(label)}">{text(content)}</pre>'


def absent(reason: str) -> str:
    """Returns why something is not there."""
    return f'<p class="absent">{prose(reason)}</p>'


def picture(uri: str, alternative: str, caption: str) -> str:
    """Returns an inlined picture."""
    return (
        f'<figure class="picture"><div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<img src="{text(uri)}" alt="{text(alternative)}"></div><figcaption>{text(caption)}</figcaption></figure>'
    )


def section(name: str, title: str, content: str) -> str:
    """Returns a part of the page that the table of contents names."""
    return f'<section id="{text(name)}" aria-labelledby="h-{text(name)}"><h2 id="h-{text(name)}">{text(title)}</h2>{content}</section>'  # noqa: E501


def json_script(name: str, value: Any) -> str:
    """Returns data for the page's script; nothing in it can end the element."""
    written = json.dumps(_visible_strings(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        written = written.replace(char, f"\\u{ord(char):04x}")
    return f'<script type="application/json" id="{text(name)}">{written}</script>'


class Charts:
    """The charts of one page: their places in the text, and their specifications."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []

    def show(self, figures: Sequence[AnyFigure], section: str = "") -> str:
        """Returns figures, or the reasons why they are not there.

        Args:
            figures: What a section of the page shows.
            section: Its title: a figure of the same title has no heading of its own.
        """
        headings = ["" if one.title == section else f"<h3>{text(one.title)}</h3>" for one in figures]
        contents = [self._figure(one) if isinstance(one, Figure) else absent(one.reason) for one in figures]
        return "".join(heading + content for heading, content in zip(headings, contents, strict=True))

    def _figure(self, figure: Figure) -> str:
        panels = "".join(self._panel(panel) for panel in figure.panels)
        return f'<div class="panels">{panels}</div>{paragraphs(figure.notes)}'

    def _panel(self, panel: Panel) -> str:
        size = {"width": "container", "height": panel.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        self.specs.append(coloured({**panel.spec, **size, "config": config()}, VARIABLES))
        wide = ' class="wide"' if panel.width > 400 else ""
        numbers = details("Numbers behind this chart", table(panel.table, f"Numbers: {panel.title}"))
        chart = f'<div class="chart" id="chart-{len(self.specs) - 1}" role="img" aria-label="{text(panel.summary)}"'
        return (
            f"<figure{wide}><figcaption>{text(panel.title)}</figcaption>"
            f'{chart} style="min-height:{panel.height + 60}px"></div>{numbers}</figure>'
        )


def _visible(content: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in content)


def _visible_strings(value: Any) -> Any:
    """Plain data with every text in it made visible."""
    if isinstance(value, dict):
        return {_visible(key): _visible_strings(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible_strings(item) for item in value]
    return _visible(value) if isinstance(value, str) else value


def _cells(row: Sequence[str], sides: Sequence[str]) -> str:
    cells = zip(row, sides, strict=True)
    return "".join(f'<td class="{side}">{text(cell)}</td>' for cell, side in cells)
