"""All figures of a run or a release, in the order in which a page shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from accelzoo.recipes.page.agreement_chart import agreement_figure
from accelzoo.recipes.page.block_chart import block_figure
from accelzoo.recipes.page.curve_chart import curve_figure
from accelzoo.recipes.page.figure import Absent, AnyFigure
from accelzoo.recipes.page.knob_chart import knob_figure
from accelzoo.recipes.page.landscape_chart import landscape_figure
from accelzoo.recipes.page.material import Material, Search
from accelzoo.recipes.page.networks import networks_of
from accelzoo.recipes.page.pareto_chart import pareto_figure
from accelzoo.recipes.page.progress_chart import progress_figure
from accelzoo.recipes.page.score_chart import score_figure
from accelzoo.recipes.page.width_chart import width_figure

Figures = Sequence[AnyFigure]


def result_figures(material: Material) -> Figures:
    """Returns what became of the networks that were trained."""
    found = [score_figure(material)]
    if material.kind == "width" and material.comparison is not None:
        found.append(width_figure(material.comparison))
    return found


def front_figures(material: Material) -> Figures:
    """Returns the front of each search."""
    return _of_searches(material, "pareto", "Pareto front", pareto_figure)


def progress_figures(material: Material) -> Figures:
    """Returns how each search got on."""
    return _of_searches(material, "progress", "Search progress", progress_figure)


def knob_figures(material: Material) -> Figures:
    """Returns which knobs matter in each search."""
    return _of_searches(material, "knobs", "Which knobs matter", knob_figure)


def network_figures(material: Material) -> Figures:
    """Returns the networks block by block, and how well they were predicted."""
    return [block_figure(networks_of(material)), agreement_figure(material)]


def training_figures(material: Material) -> Figures:
    """Returns the training curves."""
    return [curve_figure(material)]


def curation_figures(curated: Path | None) -> Figures:
    """Returns the landscape before and after curation."""
    return [landscape_figure(curated)]


def all_figures(material: Material) -> list[AnyFigure]:
    """Returns every figure but that of a curation, those that cannot be drawn with their reasons."""
    groups = (result_figures, front_figures, progress_figures, knob_figures, network_figures, training_figures)
    return [figure for group in groups for figure in group(material)]


def _of_searches(
    material: Material, name: str, title: str, draw: Callable[[Search], AnyFigure | None]
) -> list[AnyFigure]:
    found = [figure for search in material.searches if (figure := draw(search)) is not None]
    if material.searches and not found:
        return [Absent(name=name, title=title, reason="No candidate has an accuracy and a price yet.")]
    if material.missing:
        found.append(Absent(name=name, title=title, reason=material.missing))
    return found
