"""Draws networks as strips of blocks, one below the other, with what each block takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.recipes.channel_plot import FAINT, INK
from accelzoo.recipes.product.block_parts import BlockPart, block_parts
from accelzoo.recipes.product.figure import draw_figure
from accelzoo.recipes.product.report import ProductComparison, change_text
from accelzoo.recipes.product.values import Trained
from accelzoo.recipes.report import number_text
from accelzoo.recipes.units import latency_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

Place = tuple[int, int]

# Okabe & Ito, 2008: told apart by colour-blind readers too; the fused ones are hatched as well.
COLORS: Mapping[str, str] = {"ibn": "#56B4E9", "fused_ibn": "#E69F00", "other": "#b3b3b3"}
LABELS: Mapping[str, str] = {"ibn": "IBN", "fused_ibn": "fused IBN", "other": "other"}
HATCH = "////"
WIDTH = 0.82  # of a box, where the next begins at 1
ROOM = 1.25  # of the tallest block's bar


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """What all strips have in common: columns, scales, and the baseline's parts by place."""

    columns: Mapping[Place, int]
    baseline: Mapping[Place, BlockPart]
    unit_s: float
    unit: str
    most_s: float  # of the axis of latencies
    widest: float  # of the axis of channels

    def relative(self, part: BlockPart) -> float | None:
        """Channels over those of the baseline's block at this place, or of the last one of its stage."""
        own = self.baseline.get(part.place)
        stage = [one for place, one in self.baseline.items() if place[0] == part.place[0]]
        base = own or (stage[-1] if stage else None)
        if base is None or part.out_channels is None or base.out_channels is None:
            return None
        return part.out_channels / base.out_channels


def draw_strips(comparison: ProductComparison, path: Path) -> None:
    """Draws the picture, over one that is there already.

    Each network is a strip of boxes, as high as its channels are relative to the baseline's; blocks of one place stand
    below each other. Bars that hang below are the estimated latencies, beside the baseline's as lines.

    Args:
        comparison: The run.
        path: The .png or .svg to write.

    Raises:
        ValueError: If a network's price has no rows.
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    networks = [(one, block_parts(one.network.arch, comparison.cost(one))) for one in comparison.trained]
    baseline = next(parts for one, parts in networks if one is comparison.baseline)
    grid = _grid([parts for _, parts in networks], baseline)

    def fill(figure: Figure) -> None:
        rows = figure.subplots(len(networks), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (one, parts) in zip(rows, networks, strict=True):
            _draw_strip(axis, parts, grid, is_baseline=one is comparison.baseline)
            axis.set_title(_title(one, comparison), fontsize=9, loc="left", pad=3)
        _label_columns(rows[-1], grid)
        kinds = {part.kind for _, parts in networks for part in parts}
        figure.legend(handles=_legend(kinds, has_picks=len(networks) > 1), loc="outside lower center", ncols=4,
                      fontsize=8, frameon=False, handlelength=1.6)  # fmt: skip

    size = max(6.4, 1.6 + 0.34 * len(grid.columns)), 0.9 + 1.45 * len(networks)
    draw_figure(path, size, fill)


def _grid(networks: Sequence[Sequence[BlockPart]], baseline: Sequence[BlockPart]) -> _Grid:
    places = sorted({part.place for parts in networks for part in parts})
    blocks = [part.latency_s for parts in networks for part in parts if part.kind != "head"]
    unit_s, unit = latency_unit(max(blocks))
    by_place = {part.place: part for part in baseline}
    columns = {place: index for index, place in enumerate(places)}
    grid = _Grid(columns=columns, baseline=by_place, unit_s=unit_s, unit=unit, most_s=ROOM * max(blocks), widest=1.0)
    widest = max(grid.relative(part) or 0.0 for parts in networks for part in parts)
    return replace(grid, widest=1.3 * max(widest, 1.0))


def _draw_strip(axis: Axes, parts: Sequence[BlockPart], grid: _Grid, *, is_baseline: bool) -> None:
    """Boxes above the line, bars below it; each half of the axis has its own scale, 0 … 1 and 0 … −1."""
    for part in parts:
        x, look, share = grid.columns[part.place], _look(part), grid.relative(part)
        if share is not None:
            axis.bar(x, share / grid.widest, WIDTH, **look)
            _number(axis, str(part.out_channels), (x, share / grid.widest))
        taken = part.latency_s / grid.most_s
        axis.bar(x, -min(taken, 1.0), 0.5 * WIDTH, **look)
        if taken > 1:  # cut off: only a head may be so much slower than all blocks
            _number(axis, number_text(part.latency_s / grid.unit_s), (x, -1.0))
    for place, base in {} if is_baseline else grid.baseline.items():
        x, y = grid.columns[place], -min(base.latency_s / grid.most_s, 1.0)
        axis.hlines(y, x - 0.5 * WIDTH, x + 0.5 * WIDTH, color=INK, linewidth=1.3)
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.axhline(1 / grid.widest, color=INK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)
    axis.set_ylim(-1.05, 1.05)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="x", length=0)
    _label_scales(axis, grid)


def _number(axis: Axes, text: str, point: tuple[float, float]) -> None:
    axis.annotate(text, point, (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=6.5, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})  # fmt: skip


def _label_scales(axis: Axes, grid: _Grid) -> None:
    """Ticks of both scales: 1 for the baseline's channels, and round latencies."""
    from matplotlib.ticker import MaxNLocator

    most = grid.most_s / grid.unit_s
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, most) if 0 < tick <= most]
    axis.set_yticks(
        [1 / grid.widest, 0, *(-tick / most for tick in ticks)], ["1×", "0", *map(number_text, ticks)], fontsize=7
    )
    axis.hlines([-tick / most for tick in ticks], -0.6, len(grid.columns) - 0.4, color=FAINT, linewidth=0.5, zorder=0)
    for height, text in ((0.76, "channels"), (0.26, f"latency ({grid.unit})")):
        axis.annotate(text, (0, height), (-24, 0), xycoords="axes fraction", textcoords="offset points", rotation=90,
                      ha="right", va="center", fontsize=7, color=INK)  # fmt: skip


def _label_columns(axis: Axes, grid: _Grid) -> None:
    last = max(grid.columns)
    names = {place: f"{place[0]}.{place[1]}" for place in grid.columns} | {(-1, 0): "stem", last: "head"}
    axis.set_xticks(range(len(grid.columns)), [names[place] for place in grid.columns], fontsize=7)
    axis.set_xlim(-0.6, len(grid.columns) - 0.4)
    axis.set_xlabel("block (stage.repeat)", fontsize=8.5)


def _title(one: Trained, comparison: ProductComparison) -> str:
    """Name, what may change, and the whole network's estimate."""
    ours, theirs = (comparison.cost(each).latency_s for each in (one, comparison.baseline))
    scale, unit = latency_unit(theirs)
    change = "" if one is comparison.baseline else f" ({change_text(ours, theirs)})"
    title = f" · {one.network.title}" if one.network.title else ""
    return f"{one.network.name}{title} · {number_text(ours / scale)} {unit}{change}"


def _look(part: BlockPart) -> dict[str, Any]:
    is_fused = part.family == "fused_ibn"
    return {"color": COLORS[part.family], "edgecolor": "white", "linewidth": 0, "hatch": HATCH if is_fused else None}


def _legend(kinds: set[str], *, has_picks: bool) -> list[Patch | Line2D]:
    """One entry per colour that is there, the other kinds by name, and the baseline's marks."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    others = sorted(kind.replace("_", " ") for kind in kinds - {"ibn", "fused_ibn", "stem", "head"})
    entries: list[Patch | Line2D] = []
    for family, label in LABELS.items():
        if family == "other":
            label = ", ".join(["stem and head", *others])
        if family == "other" or family in kinds:
            hatch = HATCH if family == "fused_ibn" else None
            entries.append(Patch(facecolor=COLORS[family], edgecolor="white", linewidth=0, hatch=hatch, label=label))
    if has_picks:
        entries.append(Line2D([], [], color=INK, linewidth=1.3, label="baseline's latency"))
    return entries
