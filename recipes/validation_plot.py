"""Draws predicted against measured latency, a colour per family, with the band of ±10 %.

Measured and predicted are both drawn in milliseconds on logarithmic scales, so that equal relative errors are equally
far from the diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel.validate import Prediction, Report
from accelzoo.recipes.channel_plot import DOTS_PER_INCH, INK, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito, 2008: told apart by colour-blind readers too. Beyond eight families the marker changes as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "^", "s", "D", "v")
BAND = 0.10
MARGIN = 1.25
LISTED = 20  # families in the legend: more leave no room for the points
MILLISECOND = 1e-3


def draw(report: Report, path: Path) -> None:
    """Draws the picture; networks that were not predicted are not in it, and the title says how many.

    Raises:
        DataError: If no network was predicted.
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    points = [entry for entry in report.networks if entry.predicted_s]
    if not points:
        raise DataError(f"nothing to draw: {report.target} can run none of the networks")
    require()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(6.2, 5.6), dpi=DOTS_PER_INCH, layout="constrained")
        _draw_band(axis, points)
        _draw_points(axis, points)
        axis.set_xlabel("measured (ms)")
        axis.set_ylabel("predicted (ms)")
        axis.set_title(_title(report), fontsize=10, loc="left")
        axis.legend(loc="upper left", frameon=False, fontsize=8.5, borderaxespad=0.2)
        try:
            # Without the date and the version, equal pictures are equal files.
            figure.savefig(path, metadata={"Software": None})
        except (OSError, ValueError) as error:
            raise AccelzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        finally:
            pyplot.close(figure)


def require() -> None:
    """Raises an AccelzooError that names the extra to install if there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise AccelzooError("drawing needs matplotlib: pip install 'accelzoo[plot]'") from None


def limits_ms(points: Sequence[Prediction]) -> tuple[float, float]:
    """Returns the ends of both axes: all points, with a margin."""
    values = [value / MILLISECOND for entry in points for value in (entry.measured_s, entry.predicted_s or 0.0)]
    return min(values) / MARGIN, max(values) * MARGIN


def _draw_band(axis: Axes, points: Sequence[Prediction]) -> None:
    ends = limits_ms(points)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(*ends)
    axis.set_ylim(*ends)
    axis.set_aspect("equal")
    low, high = ([end * factor for end in ends] for factor in (1 - BAND, 1 + BAND))
    axis.fill_between(ends, low, high, color="#eeeeee", linewidth=0, zorder=0, label="±10 %")
    axis.plot(ends, ends, color=INK, linewidth=0.8, zorder=1)


def _draw_points(axis: Axes, points: Sequence[Prediction]) -> None:
    families = list(dict.fromkeys(entry.family for entry in points))
    for number, family in enumerate(families):
        members = [entry for entry in points if entry.family == family]
        axis.scatter(
            [entry.measured_s / MILLISECOND for entry in members],
            [(entry.predicted_s or 0.0) / MILLISECOND for entry in members],
            s=16,
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number // len(COLORS) % len(MARKERS)],
            alpha=0.85,
            linewidths=0,
            zorder=2,
            label=f"{family} ({len(members)})" if number < LISTED else None,
        )
    if len(families) > LISTED:
        axis.plot([], [], linestyle="", label=f"… and {len(families) - LISTED} more families")


def _title(report: Report) -> str:
    scores = report.whole
    against = f" against {report.against}" if report.against else ""
    missing = f", {scores.not_predicted} not predicted" if scores.not_predicted else ""
    return (
        f"{report.target}{against}\n{scores.n} samples{missing}, {100 * (scores.within_10_percent or 0):.0f} % within "
        f"±10 %, MAPE {100 * (scores.mape or 0):.1f} %"
    )
