"""The page of a run or a release: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from accelzoo.recipes.page import html
from accelzoo.recipes.page.examples import Example, example_of
from accelzoo.recipes.page.figure import AnyFigure, Table
from accelzoo.recipes.page.figures import (
    curation_figures,
    front_figures,
    network_figures,
    progress_figures,
    result_figures,
    training_figures,
)
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.page.overview import (
    description,
    environment_facts,
    run_facts,
    search_facts,
    searches_table,
    target_facts,
)
from accelzoo.recipes.page.tables import comparison_table
from accelzoo.recipes.page.theme import style

_ENTRY = "window.accelzooEmbed = vegaEmbed;\n"
_LONGEST = 400_000  # characters of a lock that a page shows


def make_page(material: Material, curated: Path | None = None) -> str:
    """Returns the page as HTML.

    The page's policy allows no request and no script but the two that are in it, whatever a recipe's texts hold.

    Args:
        material: The run or release.
        curated: What `accelzoo curate … --json` printed, if a space was curated.

    Raises:
        AccelzooError: If `curated` is something else, or what draws is not installed.
    """
    charts = html.Charts()
    drawn: dict[str, tuple[str, Sequence[AnyFigure]]] = {
        "front": ("Pareto front", front_figures(material)),
        "progress": ("Search progress", progress_figures(material)),
        "networks": ("The networks", network_figures(material)),
        "landscape": ("Landscape before and after curation", curation_figures(curated)),
        "trainings": ("Training curves", training_figures(material)),
    }
    parts = {
        "searched": ("What was searched", _searched(material)),
        "result": ("Baseline against what was found", _result(material, charts)),
        **{name: (title, charts.show(figures, title)) for name, (title, figures) in drawn.items()},
        "examples": ("Example predictions", _examples(material)),
        "lock": ("Environment and lock", _environment(material)),
    }
    links = "".join(f'<li><a href="#{name}">{html.text(title)}</a></li>' for name, (title, _) in parts.items())
    sections = "".join(html.section(name, title, content) for name, (title, content) in parts.items())
    return _document(material, links, sections, html.json_script("specs", charts.specs))


@cache
def bundle() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return vl_convert.javascript_bundle(_ENTRY)


def _document(material: Material, links: str, sections: str, specs: str) -> str:
    sheet, script = style() + _file("page.css"), _file("page.js")
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in (bundle(), script))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"
    policy += "; base-uri 'none'; form-action 'none'"
    name, lead = html.text(material.name), html.text(description(material))
    source = "the release holds" if material.digest else "the run's folder holds"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{name} · accelzoo</title>
<style>{sheet}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><div><h1>{name}</h1><p class="lead">{lead}</p></div>
<button type="button" id="theme" hidden>Dark page</button></header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main id="main" tabindex="-1">
<noscript><p class="absent">Charts need JavaScript; the numbers behind each are in the tables.</p></noscript>
{sections}
</main>
<footer>Made by <code>accelzoo report</code> from what {source}.</footer>
{specs}
<script>{bundle()}</script>
<script>{script}</script>
</body>
</html>
"""


def _searched(material: Material) -> str:
    parts = [html.facts(run_facts(material)), html.facts(target_facts(material))]
    if len(material.searches) == 1:
        parts.append(html.facts(search_facts(material.searches[0])))
    elif material.searches:
        parts.append(html.table(searches_table(material.searches), "The searches"))
    return "<hr>".join(part for part in parts if part)


def _result(material: Material, charts: html.Charts) -> str:
    found = comparison_table(material)
    shown = charts.show(result_figures(material))
    if found is None:
        return shown
    table, notes = found
    return html.table(table, "Baseline against what was found") + html.paragraphs(notes) + shown


def _examples(material: Material) -> str:
    found = example_of(material)
    if isinstance(found, Example):
        return html.picture(found.uri, found.alternative, found.caption)
    return html.absent(found)


def _environment(material: Material) -> str:
    lock, parts = material.lock, []
    if lock is None:
        parts.append(html.absent("There is no lock: it is written when a recipe's run has ended."))
    else:
        parts.append(html.facts(environment_facts(lock)))
        if results := lock.get("results"):
            rows = [[str(one.get(key, "")) for key in ("what", "metric", "split", "value", "unit", "command")]
                    for one in results]  # fmt: skip
            made = Table(header=("what", "metric", "split", ">value", "unit", "command that prints it"), rows=rows)
            parts.append(html.details("Results and their commands", html.table(made, "Results")))
        written = json.dumps(lock, indent=1, ensure_ascii=False)
        cut = "" if len(written) <= _LONGEST else "\n… (the rest is in lock.json)"
        parts.append(html.details("lock.json", html.preformatted(written[:_LONGEST] + cut, "The lock")))
    if material.recipe is not None:
        parts.append(html.details("recipe.yaml", html.preformatted(material.recipe, "The recipe")))
    return "".join(parts)


def _file(name: str) -> str:
    return files("accelzoo.recipes.page").joinpath(name).read_text("utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
