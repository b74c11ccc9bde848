"""Draws every network of a product run: latency against test score, with intervals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from accelzoo.recipes.channel_plot import FAINT, INK
from accelzoo.recipes.product.figure import draw_figure
from accelzoo.recipes.product.report import ProductComparison, interval_of, scores_of
from accelzoo.recipes.product.values import BASELINE, Trained
from accelzoo.recipes.units import latency_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# A colour and a marker per search (Okabe & Ito, 2008: told apart by colour-blind readers too).
LOOKS = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
AWAY = 7.0  # points from a point to its label
FARTHER = (1.0, 2.2, 3.6)  # times that, until a place is free
_ACROSS: Mapping[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}
_UP: Mapping[int, Literal["bottom", "center", "top"]] = {1: "bottom", 0: "center", -1: "top"}
SIDES = ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))


def draw_front(comparison: ProductComparison, path: Path) -> None:
    """Draws the picture, over one that is there already.

    Latencies are the referee's where it compiled every network, and else estimates.

    Args:
        comparison: The run.
        path: The .png or .svg to write.

    Raises:
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    unit_s, unit = latency_unit(max(map(comparison.latency_s, comparison.trained)))

    def fill(figure: Figure) -> None:
        axis = figure.subplots()
        labels = [_draw_network(axis, one, comparison, unit_s) for one in comparison.trained]
        _draw_baseline_interval(axis, comparison)
        axis.margins(x=0.16, y=0.1)
        by = "of the compiled int8 network" if comparison.is_compiled else "by the estimate"
        axis.set_xlabel(f"latency {by}, {comparison.target} ({unit})")
        axis.set_ylabel(f"test {comparison.metric} on {comparison.data} (%)")
        axis.grid(color=FAINT, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.set_title(_title(comparison), fontsize=9.5, loc="left")
        if any(one.network.search for one in comparison.picks):
            figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8,
                          frameon=False)  # fmt: skip
        figure.draw_without_rendering()  # only now is it known where points and labels lie
        _place(labels, _obstacles(axis, comparison, unit_s))

    draw_figure(path, (6.4, 4.6), fill)


def _title(comparison: ProductComparison) -> str:
    points = "mean of the seeds, each seed as a small point" if _has_seeds(comparison) else "one seed"
    if not any(interval_of(one) for one in comparison.trained):
        return f"Latency and score: {points}"
    band = ", the baseline's as a band" if comparison.picks else ""
    return f"Latency and score: {points};\n95 % intervals over test images{band}"


def _has_seeds(comparison: ProductComparison) -> bool:
    return max(len(one.runs) for one in comparison.trained) > 1


def _draw_network(axis: Axes, one: Trained, comparison: ProductComparison, unit_s: float) -> Annotation:
    """Draws a network's mean with its interval and its seeds, and returns its label, still to be placed."""
    is_baseline = one.network.name == BASELINE
    searches = list(dict.fromkeys(pick.network.search for pick in comparison.picks))
    color, marker = (INK, "*") if is_baseline else LOOKS[searches.index(one.network.search) % len(LOOKS)]
    x, mean = comparison.latency_s(one) / unit_s, 100 * statistics.fmean(scores_of(one))
    interval = interval_of(one)
    bars = None if interval is None else [[mean - 100 * interval[0]], [100 * interval[1] - mean]]
    first = next(each for each in comparison.trained if each.network.search == one.network.search)
    label = (BASELINE if is_baseline else one.network.title or one.network.search) if first is one else None
    axis.errorbar(x, mean, yerr=bars, fmt="none", ecolor=color, elinewidth=1.1, capsize=3)
    if len(one.runs) > 1:
        axis.plot([x] * len(one.runs), [100 * score for score in scores_of(one)], "o", color=color, markersize=3.6,
                  markeredgewidth=0.6, markeredgecolor="white")  # fmt: skip
    axis.plot(x, mean, marker, color=color, markersize=11 if is_baseline else 7, linestyle="none", label=label)
    return axis.annotate(one.network.name, (x, mean), (AWAY, 0), textcoords="offset points", color=color, fontsize=8.5,
                         va="center", annotation_clip=False)  # fmt: skip


def _draw_baseline_interval(axis: Axes, comparison: ProductComparison) -> None:
    """A band across the picture: scores in it cannot be told from the baseline's by these images."""
    interval = interval_of(comparison.baseline)
    if interval is not None and comparison.picks:
        axis.axhspan(100 * interval[0], 100 * interval[1], color=INK, alpha=0.06, linewidth=0, zorder=0)


def _obstacles(axis: Axes, comparison: ProductComparison, unit_s: float) -> list[Bbox]:
    """What labels must not cover: points and their intervals, in pixels."""
    from matplotlib.transforms import Bbox

    half = 0.5 * AWAY * axis.figure.dpi / 72
    boxes = []
    for one in comparison.trained:
        scores = scores_of(one)
        mean = statistics.fmean(scores)
        low, high = interval_of(one) or (mean, mean)
        x = comparison.latency_s(one) / unit_s
        ends = axis.transData.transform([(x, 100 * min(low, *scores)), (x, 100 * max(high, *scores))])
        # The interval is a thin line, the mean a wide marker.
        middle = axis.transData.transform((x, 100 * mean))
        boxes += [Bbox(ends).padded(0.3 * half), Bbox([middle, middle]).padded(half)]
    return boxes


def _place(labels: Sequence[Annotation], obstacles: list[Bbox]) -> None:
    """Moves each label to the nearest side of its point where it covers nothing; if all are taken, it stays right."""
    from matplotlib.transforms import Bbox

    taken = list(obstacles)
    for label in labels:
        assert label.axes is not None
        frame = label.axes.get_window_extent()
        for away in FARTHER:
            free = next((side for side in SIDES if _fits(_moved(label, side, away), taken, frame)), None)
            if free is not None:
                break
        else:
            _moved(label, SIDES[0], FARTHER[0])
        taken.append(Bbox(label.get_window_extent().get_points()))


def _moved(label: Annotation, side: tuple[int, int], away: float) -> Bbox:
    """Puts a label on a side of its point and returns its place in pixels."""
    across, up = side
    label.xyann = AWAY * across * (1.0 if up == 0 else 0.6) * away, 1.2 * AWAY * up * away
    label.set_horizontalalignment(_ACROSS[across])
    label.set_verticalalignment(_UP[up])
    return label.get_window_extent()


def _fits(place: Bbox, taken: Sequence[Bbox], frame: Bbox) -> bool:
    is_inside = frame.x0 <= place.x0 and place.x1 <= frame.x1 and frame.y0 <= place.y0 and place.y1 <= frame.y1
    return is_inside and not any(place.overlaps(other) for other in taken)
