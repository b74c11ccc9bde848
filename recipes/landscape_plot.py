"""Draws cost landscapes over two widths: `python -m accelzoo.recipes.landscape_plot docs/curation.png`.

Three panels: what the networks cost in MACs (smooth), on the accelerator (rocky), and on it after curation (it climbs).
In each the same evolution looks, with as many evaluations, for the best network within a budget of the panel's cost;
line and dots are what it evaluated in its run with seed 0. Below stands how good the best that it found is, from 0 (the
worst network) to 100 % (the best within the budget), in the mean of 100 seeds.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw as draws
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Target, estimate, load_target
from accelzoo.knobs import Space, choice
from accelzoo.recipes.channel_plot import DOTS_PER_INCH, INK, STYLE
from accelzoo.recipes.validation_plot import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from accelzoo.search.curation import CuratedSpace

TARGET = "ethos-u65-512"  # of three tried the one that gains most: docs/curation.md gives the others
EVALUATIONS = 60
SEEDS = 100
POPULATION, SAMPLE = 10, 4
AFFORDABLE = 0.4  # share of the networks within the budget
PATH = "#D55E00"
LEVELS = 15
_FIELDS = {"latency_s": ("latency", "ms", 1e3), "energy_j": ("energy", "µJ", 1e6), "macs": ("MACs", "M", 1e-6)}

Floats = npt.NDArray[np.float64]


def example_space() -> Space:
    """A small classifier of two IBN stages at 96×96 whose widths are open in steps of two channels."""

    def stage(first: int, last: int) -> dict[str, Any]:
        widths = choice(*range(first, last + 1, 2))
        return {"kind": "ibn", "stride": 2, "expansion_ratio": 4, "out_channels": widths}

    return Space(
        "two widths",
        {
            "input_size": [3, 96, 96],
            "stem": {"out_channels": 24, "stride": 2},
            "stages": [stage(16, 64), stage(32, 96)],
            "head": {"kind": "classification", "num_classes": 10},
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """The genomes over two knobs.

    Attributes:
        names: The knobs' names.
        values: Their values, ascending.
        costs: `(values of the first, values of the second)`.
        quality: Of the same genomes.
        label: What the cost is, with its unit.
    """

    names: tuple[str, str]
    values: tuple[Sequence[float], Sequence[float]]
    costs: Floats
    quality: Floats
    label: str

    def part(self, kept: tuple[Sequence[int], Sequence[int]]) -> Landscape:
        """The landscape of some of the values, by their places."""
        values = tuple([values[place] for place in places] for values, places in zip(self.values, kept, strict=True))
        return Landscape(
            names=self.names,
            values=(values[0], values[1]),
            costs=self.costs[np.ix_(*kept)],
            quality=self.quality[np.ix_(*kept)],
            label=self.label,
        )

    def budget(self) -> float:
        """The cost that a share of the genomes does not exceed."""
        return float(np.quantile(self.costs, AFFORDABLE))

    def searched(self, budget: float, seed: int = 0) -> npt.NDArray[np.int64]:
        """What evolution evaluates, `(evaluations, 2)`: the best quality within the budget counts."""
        from accelzoo.search.algorithms.evolution import AgingEvolution

        sizes = (len(self.values[0]), len(self.values[1]))
        algorithm = AgingEvolution(sizes, draws.generator(seed), population=POPULATION, sample_size=SAMPLE)
        found = []
        for _ in range(EVALUATIONS):
            genomes = algorithm.ask(1)
            if not len(genomes):
                break
            algorithm.tell(genomes, self.scores(budget)[tuple(genomes.T)])
            found.append(genomes[0])
        return np.array(found)

    def reached(self, budget: float, best: float) -> float:
        """Score of the best that is found, as a share of `best`, in the mean over seeds."""
        scores = self.scores(budget)
        found = [scores[tuple(self.searched(budget, seed).T)].max() for seed in range(SEEDS)]
        return float(np.mean(found)) / best

    def scores(self, budget: float) -> Floats:
        """Quality from 0 to 1 within the budget; below 0 over it, by how much."""
        spread = float(np.ptp(self.quality)) or 1.0
        over = self.costs / budget - 1
        scores: Floats = np.where(over <= 0, (self.quality - self.quality.min()) / spread, -over)
        return scores


def landscape(space: Space, positions: tuple[int, int], target: Target | None, field: str) -> Landscape:
    """Prices a space over two knobs, the others at their middle value; without a target only `macs`."""
    from accelzoo.search.scores import get_score

    middle = [size // 2 for size in space.sizes]
    first, second = positions
    orders = [np.argsort([float(value) for value in space.knobs[position].values]) for position in positions]
    costs = np.empty((len(orders[0]), len(orders[1])))
    quality = np.empty_like(costs)
    score = get_score("trainability")
    for row, one in enumerate(orders[0].tolist()):
        for column, other in enumerate(orders[1].tolist()):
            genome = list(middle)
            genome[first], genome[second] = one, other
            arch = space.decode(genome)
            graph = arch.lower()
            costs[row, column] = graph.macs if target is None else getattr(estimate(graph, target), field)
            quality[row, column] = score(graph)
    name, unit, scale = _FIELDS.get(field, (field, "", 1.0))
    values = [[float(space.knobs[p].values[i]) for i in order] for p, order in zip(positions, orders, strict=True)]
    return Landscape(
        names=(space.knobs[first].name, space.knobs[second].name),
        values=(values[0], values[1]),
        costs=costs * scale,
        quality=quality,
        label=f"{name} ({unit})" if unit else name,
    )


def widest(space: Space) -> tuple[int, int]:
    """The two widths with most values, in the order of the network.

    Raises:
        AccelzooError: If there are not two.
    """
    widths = [place for place, knob in enumerate(space.knobs) if knob.path[-1] == "out_channels"]
    if len(widths) < 2:
        raise AccelzooError(f"a landscape needs two knobs out_channels; space {space.name!r} has {len(widths)}")
    first, second = sorted(sorted(widths, key=lambda place: -len(space.knobs[place].values))[:2])
    return first, second


def draw_curated(path: Path, curated: CuratedSpace, target: Target, field: str = "latency_s") -> None:
    """Draws the three panels.

    Args:
        path: The .png to write.
        curated: The space; it knows what it was made of.
        target: The accelerator.
        field: The cost on it.

    Raises:
        AccelzooError: If matplotlib is not installed, there are no two widths, or the file cannot be written.
    """
    require()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    positions = widest(curated.source)
    smooth = landscape(curated.source, positions, None, "macs")
    rocky = landscape(curated.source, positions, target, field)
    climbing = rocky.part(_kept(curated, rocky))
    budget = rocky.budget()
    panels = (
        ("MACs", smooth, smooth.budget()),
        (f"on {target.name}", rocky, budget),
        (f"on {target.name}, curated", climbing, budget),
    )
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, 3, figsize=(11.5, 4.3), dpi=DOTS_PER_INCH, layout="constrained")
        for axis, (title, panel, limit) in zip(axes, panels, strict=True):
            _draw_panel(axis, title, panel, limit, rocky if panel is climbing else panel)
        axes[0].set_ylabel(rocky.names[0])
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
        try:
            figure.savefig(path, metadata={"Software": None})
        except (OSError, ValueError) as error:
            raise AccelzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
        finally:
            pyplot.close(figure)


def _kept(curated: CuratedSpace, whole: Landscape) -> tuple[list[int], list[int]]:
    """Places of the values that curation left of the two knobs."""
    left = []
    changes = {change.knob: change.after for change in curated.report.changes}
    for name, values in zip(whole.names, whole.values, strict=True):
        after = [float(value) for value in changes.get(name, values)]
        left.append([place for place, value in enumerate(values) if value in after])
    return left[0], left[1]


def _draw_panel(axis: Axes, title: str, panel: Landscape, budget: float, scale: Landscape) -> None:
    rows, columns = panel.values
    levels = np.linspace(scale.costs.min(), scale.costs.max(), LEVELS)
    filled: Any
    if min(panel.costs.shape) > 1:
        filled = axis.contourf(columns, rows, panel.costs, levels=levels, cmap="viridis", extend="both")
        axis.contour(columns, rows, panel.costs, levels=levels, colors="white", linewidths=0.4, alpha=0.7)
        axis.contour(columns, rows, panel.costs, levels=[budget], colors="white", linewidths=2)
    else:  # a width with a single value has no contours
        filled = axis.scatter(*np.meshgrid(columns, rows), c=panel.costs.ravel(), cmap="viridis", marker="s", s=60,
                              vmin=levels[0], vmax=levels[-1])  # fmt: skip
    axis.plot([], [], color="#bbbbbb", linewidth=2, label="budget (white line)")
    _draw_search(axis, panel, budget)
    if panel is not scale:  # ticks are the values that are left
        axis.set_xticks(columns, minor=True)
        axis.set_yticks(rows, minor=True)
        axis.tick_params(which="minor", length=5, width=1.4, color=PATH)
    axis.set_xlim(scale.values[1][0] - 1, scale.values[1][-1] + 1)
    axis.set_ylim(scale.values[0][0] - 1, scale.values[0][-1] + 1)
    axis.set_title(title, fontsize=10, loc="left")
    reached = panel.reached(budget, float(scale.scores(budget).max()))
    axis.set_xlabel(f"{panel.names[1]}\n\n{EVALUATIONS} evaluations reach {reached:.1%} of the best")
    bar = axis.figure.colorbar(filled, ax=axis, label=panel.label, shrink=0.9, format="%.3g")
    bar.ax.plot([0, 1], [budget, budget], color="white", linewidth=2, transform=bar.ax.get_yaxis_transform())


def _draw_search(axis: Axes, panel: Landscape, budget: float) -> None:
    rows, columns = (np.array(values) for values in panel.values)
    asked = panel.searched(budget)
    xs, ys = columns[asked[:, 1]], rows[asked[:, 0]]
    scores = panel.scores(budget)[tuple(asked.T)]
    records = np.flatnonzero(scores > np.maximum.accumulate(np.append(-np.inf, scores))[:-1])
    style: dict[str, Any] = {"color": PATH, "zorder": 4, "clip_on": False}
    axis.scatter(xs, ys, s=9, color="white", edgecolors=INK, linewidths=0.4, zorder=3, clip_on=False,
                 label="evaluated")  # fmt: skip
    axis.plot(xs[records], ys[records], linewidth=1.6, marker="o", markersize=3.5, label="best so far", **style)
    axis.plot(xs[records[-1]], ys[records[-1]], marker="*", markersize=14, markeredgecolor="white", linestyle="",
              label=f"best of {EVALUATIONS}", **style)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Curates the example and draws to the path given; returns the exit code."""
    from accelzoo.search.curation import curate

    parser = ArgumentParser(prog="python -m accelzoo.recipes.landscape_plot", description="Draws cost landscapes.")
    parser.add_argument("path", type=Path, help="the .png to write")
    parser.add_argument("--target", default=TARGET, help=f"the accelerator (default: {TARGET})")
    options = parser.parse_args(argv)
    try:
        target = load_target(options.target)
        curated = curate(example_space(), target, tolerance=0.003, agreement=0.05, keep="front", regret=0.01)
        draw_curated(options.path, curated, target)
    except AccelzooError as error:
        print(f"accelzoo: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
