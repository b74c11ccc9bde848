"""Draws a width run: the widths that each method chose, and test accuracy over latency."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError
from accelzoo.recipes.channel_plot import DOTS_PER_INCH, FAINT, INK, STYLE
from accelzoo.recipes.report import deviation
from accelzoo.recipes.units import latency_unit
from accelzoo.recipes.validation_plot import require
from accelzoo.recipes.width.report import Row, WidthComparison
from accelzoo.recipes.width.schema import Method

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation


@dataclass(frozen=True, slots=True)
class Look:
    """How a method is drawn; the marker tells it too where colours do not."""

    color: str
    marker: str
    shift: float  # points to the right, so that error bars of equal latency do not hide each other


# Okabe & Ito, 2008: told apart by colour-blind readers too.
LOOKS: Mapping[Method, Look] = {
    "uniform": Look("#8c8c8c", "s", -3.0),
    "greedy": Look("#D55E00", "^", -1.0),
    "optimal": Look("#0072B2", "o", 1.0),
    "narrowed": Look("#009E73", "D", 3.0),
}
LABEL_DISTANCE = 11.0  # points from label to label, at least
LABEL_SHIFT = 14.0  # points from a label to what it names
DODGE = 0.16  # of a layer, from method to method
END = 0.6  # of a layer, beyond the first and the last
ROOM = 0.2  # of the axis, on the left of the first points, for their labels


def draw_widths(comparison: WidthComparison, path: Path, share: float | None = None) -> None:
    """Draws the picture, over one that is there already.

    Args:
        comparison: The run.
        path: The .png or .svg to write.
        share: The budget whose widths are shown; None: the middle one.

    Raises:
        ValueError: If the run has no such budget.
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    if share is None:
        share = comparison.shares[(len(comparison.shares) - 1) // 2]
    if share not in comparison.shares:
        raise ValueError(f"share (={share}) must be one of {list(comparison.shares)}")
    require()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({**STYLE, "svg.hashsalt": "accelzoo"}):
        wide = 2.8 + 0.22 * max(10, len(comparison.groups))  # inches
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(wide + 4.6, 4.2), dpi=DOTS_PER_INCH,
                                                layout="constrained", width_ratios=(wide, 4.6))  # fmt: skip
        labels = _draw_widths(left, comparison, share), _draw_accuracies(figure, right, comparison)
        figure.draw_without_rendering()  # only now is it known where the labels' points lie
        for column in labels:
            _move_apart(column)
        try:
            # Without the date and the version, equal pictures are equal files.
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
        except (OSError, ValueError) as error:
            raise AccelzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        finally:
            pyplot.close(figure)


def relative_widths(row: Row, original: Sequence[int]) -> list[tuple[float, float, float]]:
    """Returns mean, least and most channels of each group over the seeds, relative to the original's."""
    columns = zip(*(one.choice.widths for one in row), strict=True)
    return [
        (statistics.fmean(widths) / base, min(widths) / base, max(widths) / base)
        for widths, base in zip(columns, original, strict=True)
    ]


def spread_apart(places: Sequence[float], distance: float) -> list[float]:
    """Returns the places closest to those given, by squares, that keep their order and a distance from each other.

    Less the distance of those before it, each must be at least as high as the last: an isotonic regression, solved by
    pooling neighbours that are in the wrong order (Ayer et al. 1955, Annals of Mathematical Statistics 26).
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([places[index] - rank * distance])
        while len(pools) > 1 and statistics.fmean(pools[-2]) > statistics.fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    levels = [statistics.fmean(pool) for pool in pools for _ in pool]
    spread = [0.0] * len(places)
    for rank, index in enumerate(order):
        spread[index] = levels[rank] + rank * distance
    return spread


def _draw_widths(axis: Axes, comparison: WidthComparison, share: float) -> list[Annotation]:
    """Draws the widths of every group and returns the labels to be moved apart."""
    original, last = comparison.original[0].choice.widths, len(comparison.groups) - 1
    axis.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    labels = [_label(axis, "original", (last + END, 1), INK, 1)]
    shown = [(method, row) for method in comparison.methods if (row := comparison.row(method, share))]
    for place, (method, row) in enumerate(shown):
        values, look = relative_widths(row, original), LOOKS[method]
        positions = [index + DODGE * (place - (len(shown) - 1) / 2) for index in range(len(values))]
        means = [mean for mean, _, _ in values]
        bars = [[mean - least for mean, least, _ in values], [most - mean for mean, _, most in values]]
        axis.plot(positions, means, color=look.color, linewidth=0.9, alpha=0.5)
        axis.errorbar(positions, means, yerr=bars if len(row) > 1 else None, fmt=look.marker, color=look.color,
                      markersize=3.5, elinewidth=0.9)  # fmt: skip
        labels.append(_label(axis, method, (last + END, means[-1]), look.color, 1))
    axis.set_xticks(range(last + 1), comparison.groups, rotation=90, fontsize=8)
    axis.set_xlim(-END, last + END)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("channels relative to the original")
    axis.grid(axis="x", color=FAINT, linewidth=0.5)
    axis.set_axisbelow(True)
    bars_text = "; mean and range of seeds" if len(comparison.seeds) > 1 else ""
    axis.set_title(f"Widths at {100 * share:g} % of the latency{bars_text}", fontsize=10, loc="left")
    return labels


def _draw_accuracies(figure: Figure, axis: Axes, comparison: WidthComparison) -> list[Annotation]:
    """Draws test accuracy over latency and returns the labels to be moved apart."""
    from matplotlib.transforms import ScaledTranslation

    unit_s, unit = latency_unit(max(one.choice.measured_s for one in comparison.trained))
    bars: dict[str, Any] = {"elinewidth": 1, "capsize": 2}
    labels = []
    for method in comparison.methods:
        rows = [row for share in comparison.shares if (row := comparison.row(method, share))]
        latencies, means, spreads = zip(*sorted(_point(row, unit_s) for row in rows), strict=True)
        look = LOOKS[method]
        drawn = axis.errorbar(latencies, means, yerr=spreads if any(spreads) else None, fmt=f"{look.marker}-",
                              color=look.color, markersize=4.5, linewidth=1.4, **bars)  # fmt: skip
        for artist in drawn.get_children():
            artist.set_transform(axis.transData + ScaledTranslation(look.shift / 72, 0, figure.dpi_scale_trans))
        labels.append(_label(axis, method, (latencies[0], means[0]), look.color, -1))
    latency, mean, spread = _point(comparison.original, unit_s)
    axis.errorbar(latency, mean, yerr=spread or None, fmt="*", color=INK, markersize=9, **bars)
    axis.annotate("original", (latency, mean + spread), (0, 7), textcoords="offset points", ha="center", color=INK)
    axis.margins(y=0.14)
    _scale_latencies(axis, [one.choice.measured_s / unit_s for one in comparison.trained])
    known = comparison.measured_by and f"latency by {comparison.measured_by}"
    axis.set_xlabel(f"{known or f'estimated latency, {comparison.target}'} ({unit})")
    axis.set_ylabel(f"test top-1 on {comparison.data} (%)")
    axis.grid(color=FAINT, linewidth=0.5)
    axis.set_axisbelow(True)
    title = "Accuracy; mean and standard deviation of seeds" if len(comparison.seeds) > 1 else "Accuracy"
    axis.set_title(title, fontsize=10, loc="left")
    return labels


def _scale_latencies(axis: Axes, latencies: Sequence[float]) -> None:
    """Makes the axis of latencies logarithmic, with room on the left for labels, and ticks of plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = math.log10(min(latencies)), math.log10(max(latencies))
    span = max(high - low, 0.1)
    axis.set_xscale("log")
    axis.set_xlim(10 ** (low - (ROOM + 0.15) * span), 10 ** (high + 0.12 * span))
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span > 0.5 else range(1, 10)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _point(row: Row, unit_s: float) -> tuple[float, float, float]:
    """Mean latency, and mean and standard deviation of the test accuracy in per cent."""
    top1 = [100 * one.test.top1 for one in row]
    return statistics.fmean(one.choice.measured_s for one in row) / unit_s, statistics.fmean(top1), deviation(top1)


def _label(axis: Axes, text: str, point: tuple[float, float], color: str, side: int) -> Annotation:
    """A label beside a point: on its right if `side` is 1, on its left if it is −1."""
    return axis.annotate(text, point, (LABEL_SHIFT * side, 0), textcoords="offset points", color=color, va="center",
                         ha="left" if side > 0 else "right", annotation_clip=False,
                         arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4},
                         )  # fmt: skip


def _move_apart(labels: Sequence[Annotation]) -> None:
    """Moves labels up and down until none is over another."""
    places = [72 / DOTS_PER_INCH * label.axes.transData.transform(label.xy)[1] for label in labels if label.axes]
    for label, place, free in zip(labels, places, spread_apart(places, LABEL_DISTANCE), strict=True):
        label.xyann = (label.xyann[0], free - place)
