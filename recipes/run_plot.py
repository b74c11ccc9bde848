"""Draws a run: its Pareto front, how that grew, and which knobs matter."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import AccelzooError
from accelzoo.recipes.channel_plot import DOTS_PER_INCH, FAINT, INK, STYLE
from accelzoo.recipes.run_front import Front
from accelzoo.recipes.run_view import RunView, cost_label, cost_text
from accelzoo.search.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from accelzoo.search.importance import Importance

# Okabe & Ito, 2008: told apart by colour-blind readers too.
CANDIDATE, FRONT, BASELINE, OTHER = "#56B4E9", "#0072B2", "#D55E00", "#E69F00"
PANELS = 3  # costs in a row
LISTED = 12  # knobs that are drawn
STEPS = 200  # at which a growing front is measured
VECTORS = 3000  # points of a picture in SVG; more are drawn as an image in it
_UNITS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "j": ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")),
    "bytes": ((float(1 << 20), "MiB"), (1024.0, "KiB"), (1.0, "B")),
    "macs": ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
}


class Knobs(NamedTuple):
    """What one panel of knobs shows: a value's name, and the shares or why there are none."""

    title: str
    shares: Importance | str


class Picture:
    """The pictures of one run.

    Args:
        view: What the run is.
        records: Its candidates.
        front: Its front; None if the search had no costs.
        knobs: A panel for each value whose variance was split.
    """

    def __init__(self, view: RunView, records: Sequence[Record], front: Front | None, knobs: Sequence[Knobs]) -> None:
        self._view = view
        self._records = records
        self._front = front
        self._knobs = knobs

    def draw(self, folder: Path) -> list[Path]:
        """Draws each picture into a file of its own and returns the files."""
        parts: dict[str, tuple[tuple[float, float], Callable[[Any], None]]] = {}
        if self._front is not None:
            parts["pareto.png"] = ((0.6 + 4.4 * self._width, 4.2), self._pareto)
        parts["progress.png"] = ((5.6, 3.8), self._progress)
        parts["knobs.png"] = ((9.0, self._height), self._shares)
        for name, (size, fill) in parts.items():
            _save(folder / name, size, fill)
        return [folder / name for name in parts]

    def draw_one(self, path: Path) -> list[Path]:
        """Draws all into one file and returns it."""
        _save(path, (5.4 + 4.2 * self._width, 4.0 + self._height), self._all)
        return [path]

    @property
    def _width(self) -> int:
        return 0 if self._front is None else min(PANELS, len(self._front.fields))

    @property
    def _height(self) -> float:
        """Inches that the knobs take."""
        most = max((len(_drawn(panel.shares)) for panel in self._knobs if not isinstance(panel.shares, str)), default=0)
        return 1.4 + 0.26 * most if most else 0.8

    def _all(self, figure: Figure) -> None:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[4.0, self._height])[:, 0]
        if self._front is None:
            self._progress(above)
        else:
            left, right = above.subfigures(1, 2, squeeze=False, width_ratios=[0.4 + 4.2 * self._width, 5.0])[0]
            self._pareto(left)
            self._progress(right)
        self._shares(below)

    def _pareto(self, figure: Figure | SubFigure) -> None:
        assert self._front is not None
        row = figure.subplots(1, self._width, sharey=True, squeeze=False)[0]
        for axis, field in zip(row, self._front.fields, strict=False):
            self._pareto_panel(axis, field, self._front)
        row[0].set_ylabel("accuracy in the search (%)" if self._view.shares else "accuracy in the search")
        over = sum(record.status == "infeasible" for record in self._records)
        scored = sum(record.status == "ok" for record in self._records)
        title = f"{scored:,} candidates, {len(self._front.members)} on the front; {over:,} over budget"
        figure.suptitle(title, fontsize=10, x=0.02, ha="left")
        shown = {label: handle for axis in row for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend([*shown.values()], [*shown], loc="outside lower center", ncols=1 + self._width, fontsize=8,
                      frameon=False)  # fmt: skip

    def _pareto_panel(self, axis: Axes, field: str, front: Front) -> None:
        scale = 100 if self._view.shares else 1
        scored = [record for record in self._records if record.status == "ok"]
        budget, baseline = self._view.header["budgets"].get(field), self._view.baseline
        most = max([*_costs(scored, field), budget or 0.0, getattr(baseline.cost, field) if baseline else 0.0])
        unit, name = _unit(field, most)
        accuracies = [scale * (record.accuracy or 0.0) for record in scored]
        axis.scatter([cost / unit for cost in _costs(scored, field)], accuracies, s=12, color=CANDIDATE, alpha=0.6,
                     linewidths=0, rasterized=len(scored) > VECTORS, label="candidate")  # fmt: skip
        over = [cost / unit for cost in _costs(self._records, field, "infeasible") if cost <= 1.05 * most]
        # They were never given to the signal, so that they have a price and no accuracy: marks along the axis.
        if over:
            axis.plot(over, [0.012] * len(over), "|", color="#888888", markersize=7, markeredgewidth=0.7, alpha=0.7,
                      transform=axis.get_xaxis_transform(), label="over a budget, not evaluated")  # fmt: skip
        members = [(one, scale * (one.accuracy or 0.0)) for one in front.members]
        points = sorted((getattr(one.cost, field) / unit, accuracy) for one, accuracy in members)
        line: dict[str, Any] = {"color": FRONT, "drawstyle": "steps-post", "linewidth": 1.2, "markersize": 4}
        if len(front.fields) == 1:
            axis.plot(*zip(*points, strict=True), "o-", label="Pareto front", **line)
        else:
            axis.plot(*zip(*points, strict=True), "o", color=FRONT, markersize=4, label="Pareto front")
            axis.plot(*zip(*_stairs(points), strict=True), label="most accurate up to this cost", **line)
        if budget is not None:
            axis.axvline(budget / unit, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="budget")
        if baseline is not None:
            axis.axvline(getattr(baseline.cost, field) / unit, color=BASELINE, linewidth=1.5, linestyle=(0, (1, 1)),
                         label=f"price of {baseline.name}")  # fmt: skip
        axis.set_xlim(0, 1.05 * most / unit)
        axis.margins(y=0.08)
        axis.set_xlabel(name)

    def _progress(self, figure: Figure | SubFigure) -> None:
        axis = figure.subplots()
        evaluations, values, bounds = _volumes(self._records, self._front)
        if self._front is not None and len(values) > 1:
            values = [100 * volume for volume in values] if self._view.shares else values
            names = [f"accuracy ≥ {self._view.accuracy(bounds[0])}"]
            costs = zip(self._front.fields, bounds[1:], strict=True)
            names += [f"{cost_label(name)} ≤ {cost_text(name, cost)}" for name, cost in costs]
            axis.set_ylabel("hypervolume (points of accuracy)" if self._view.shares else "hypervolume")
            unbroken = ", ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names)
            title = textwrap.fill(f"Hypervolume within {unbroken}", 56)
        else:
            evaluations, values = _best_scores(self._records)
            axis.set_ylabel("best score so far")
            title = "Best score"
        axis.plot(evaluations, values, color=FRONT, linewidth=1.6, drawstyle="steps-post")
        if values:
            axis.annotate(f"{values[-1]:.4g}", (evaluations[-1], values[-1]), (-2, 5), textcoords="offset points",
                          ha="right", fontsize=8.5, color=FRONT)  # fmt: skip
        axis.set_xlabel("evaluations")
        axis.locator_params(axis="x", integer=True)
        axis.set_xlim(left=0)
        axis.margins(y=0.1)
        axis.grid(axis="y", color=FAINT, linewidth=0.6)
        axis.set_title(title, fontsize=10, loc="left")

    def _shares(self, figure: Figure | SubFigure) -> None:
        ratios = [0.5 if isinstance(panel.shares, str) else 1.0 for panel in self._knobs]
        halves = figure.subfigures(1, len(self._knobs), squeeze=False, width_ratios=ratios)[0]
        for half, panel, color in zip(halves, self._knobs, (FRONT, OTHER), strict=False):
            _draw_shares(half, panel, self._view.knob_names, color)


def _draw_shares(figure: SubFigure, panel: Knobs, names: Sequence[str], color: str) -> None:
    title = f"What decides {panel.title}"
    if isinstance(panel.shares, str):
        figure.suptitle(f"{title}:\n{textwrap.fill(panel.shares, 36)}", fontsize=9, x=0.03, ha="left")
        return
    found, drawn = panel.shares, _drawn(panel.shares)
    axis, rows = figure.subplots(), range(len(drawn))
    axis.barh(rows, [100 * found.shares[position] for position in drawn], color=color, height=0.7,
              xerr=[100 * found.deviations[position] for position in drawn],
              error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2})  # fmt: skip
    axis.set_yticks(rows, [names[position] for position in drawn], fontsize=8.5)
    axis.invert_yaxis()
    end = axis.get_xlim()[1]
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= 0.96 * end])  # one at the end would be cut off
    axis.set_xlim(0, end)
    axis.set_xlabel("share of the variance (%) ± standard error")
    alone = sum(share for share in found.shares if not math.isnan(share))
    shown = sum(found.shares[position] for position in drawn)
    rest = [f"{found.candidates:,} candidates", f"R² of unseen ones {found.explained:.2f}"]
    if len(drawn) < len(found.ranked()):
        rest.append(f"other knobs {100 * (alone - shown):.0f} %")
    if alone < 0.995:
        rest.append(f"several together {100 * (1 - alone):.0f} %")
    unbroken = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in rest)
    figure.suptitle(f"{title}\n{textwrap.fill(unbroken, 64)}", fontsize=9, x=0.02, ha="left")


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that are the most accurate ones up to their cost, the cheapest first."""
    kept: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or accuracy > kept[-1][1]:
            kept.append((cost, accuracy))
    return kept


def _drawn(found: Importance) -> list[int]:
    return found.ranked()[:LISTED]


def _costs(records: Sequence[Record], field: str, status: str = "") -> list[float]:
    return [
        getattr(record.cost, field)
        for record in records
        if record.cost is not None and (not status or record.status == status)
    ]


def _unit(field: str, most: float) -> tuple[float, str]:
    """The unit in which the highest value reads best, in the field's own, and what the axis is called."""
    units = _UNITS[field.rsplit("_", 1)[-1]]
    scale, unit = next((pair for pair in units if most >= pair[0]), units[-1])
    return scale, f"{cost_label(field)} ({unit})" if unit else cost_label(field)


def _volumes(records: Sequence[Record], front: Front | None) -> tuple[list[int], list[float], tuple[float, ...]]:
    """Hypervolume after so many evaluations, and its bounds; nothing if the front is too large to be measured."""
    bounds = () if front is None else front.widest(records)
    if front is None or front.hypervolume(bounds) is None:
        return [], [], bounds
    growing = front.fresh()
    evaluations, volumes, evaluated = [], [], 0
    step = max(1, math.ceil(len(records) / STEPS))
    for start in range(0, len(records), step):
        evaluated += sum(record.evaluated for record in records[start : start + step])
        if growing.update(records[start : start + step]):
            volumes.append(growing.hypervolume(bounds) or 0.0)
            evaluations.append(evaluated)
    return [*evaluations, evaluated], [*volumes, *volumes[-1:]], bounds


def _best_scores(records: Sequence[Record]) -> tuple[list[int], list[float]]:
    evaluations: list[int] = []
    scores: list[float] = []
    evaluated = 0
    for record in records:
        evaluated += record.evaluated
        if record.status == "ok" and record.score is not None and (not scores or record.score > scores[-1]):
            scores.append(record.score)
            evaluations.append(evaluated)
    return [*evaluations, evaluated], [*scores, *scores[-1:]]


def _save(path: Path, size: tuple[float, float], fill: Callable[[Any], None]) -> None:
    """Draws into a file that is not there yet.

    Raises:
        AccelzooError: If it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {**STYLE, "svg.hashsalt": "accelzoo"}  # equal pictures are equal files
    with pyplot.rc_context(style):
        figure = pyplot.figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        try:
            fill(figure)
            with path.open("xb") as stream:
                dated = {"Date": None} if path.suffix == ".svg" else {"Software": None}
                figure.savefig(stream, format=path.suffix.removeprefix("."), metadata=dated)
        except OSError as error:
            raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            pyplot.close(figure)
