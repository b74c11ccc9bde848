"""Draws why channel counts matter: `python -m accelzoo.recipes.channel_plot docs/channels.png`.

One 3x3 convolution, C channels in and out, on each built-in target: its latency by the analytic model beside the time
its MACs would take if every multiplier were busy. The first climbs in stairs as wide as the target's tiles.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import GraphBuilder, Target, estimate, load_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Target → colour (Okabe & Ito, 2008: told apart by colour-blind readers too).
PANELS = {"camera-npu": "#0072B2", "edge-npu": "#D55E00", "mobile-cpu": "#009E73"}
CHANNELS = range(1, 129)
PIXELS = 28
INK, FAINT = "#333333", "#d9d9d9"
DOTS_PER_INCH = 200  # twice the size it is shown at, for dense screens
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def conv_latency_s(channels: int, target: Target) -> float:
    """Latency of a 3x3 convolution from `channels` to `channels` on a 28x28 image."""
    builder = GraphBuilder((channels, PIXELS, PIXELS))
    builder.conv2d("conv", builder.input, channels, kernel_size=3)
    return estimate(builder.graph(), target).latency_s


def full_rate_latency_s(channels: int, target: Target) -> float:
    """Its MACs, `9 · channels² · 28²`, at the target's peak rate."""
    return 9 * channels**2 * PIXELS**2 / target.peak_macs_per_s


def draw(path: Path) -> None:
    """Draws the picture.

    Raises:
        AccelzooError: If matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError:
        raise AccelzooError("drawing needs matplotlib: pip install 'accelzoo[plot]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, len(PANELS), figsize=(9, 4.2), dpi=DOTS_PER_INCH, layout="constrained")
        for axis, (name, color) in zip(axes, PANELS.items(), strict=True):
            _draw_panel(axis, load_target(name), color)
        axes[0].set_ylabel("latency (µs)")
        figure.suptitle("One 3×3 convolution, C channels in and out, 28×28 pixels", fontsize=11)
        try:
            # Without the date and the version, equal pictures are equal files.
            figure.savefig(path, metadata={"Software": None})
        except OSError as error:
            raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            pyplot.close(figure)


def _draw_panel(axis: Axes, target: Target, color: str) -> None:
    latencies_us = [conv_latency_s(channels, target) * 1e6 for channels in CHANNELS]
    full_rate_us = [full_rate_latency_s(channels, target) * 1e6 for channels in CHANNELS]
    tile = target.output_channels_per_tile
    multiples = CHANNELS[tile - 1 :: tile] if tile > 1 else []
    tops_us = [latencies_us[channels - 1] for channels in multiples]
    axis.vlines(multiples, 0, tops_us, color=FAINT, linewidth=0.8, zorder=0)
    line: dict[str, Any] = {"color": color, "linewidth": 1.8, "label": "latency"}
    # In stairs the channel after a full tile pays for the next; without tiles a smooth curve is clearer.
    axis.plot(CHANNELS, latencies_us, drawstyle="steps-pre" if multiples else "default", **line)
    axis.plot(CHANNELS, full_rate_us, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), label="MACs ÷ peak rate")
    if len(multiples) == 2:
        _note_jump(axis, latencies_us, multiples[0])
    tiles = f"tiles of {tile} channels" if tile > 1 else "no tiles"
    axis.set_title(f"{target.name}: {tiles}", fontsize=10, loc="left", color=color)
    axis.set_xlabel("channels C")
    axis.set_xticks([1, 32, 64, 96, 128])
    axis.set_xlim(0, CHANNELS[-1] + 2)
    axis.set_ylim(0, 1.08 * latencies_us[-1])
    axis.legend(loc="upper left", frameon=False, fontsize=8.5, borderaxespad=0.2)


def _note_jump(axis: Axes, latencies_us: Sequence[float], channels: int) -> None:
    before, after = latencies_us[channels - 1 : channels + 1]
    text = f"{channels + 1} channels take\n{after / before:.1f} times as\nlong as {channels}"
    axis.annotate(text, (channels, (before + after) / 2), (-8, 4), textcoords="offset points", ha="right", va="center",
                  fontsize=8.5)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Draws to the path given; returns the exit code."""
    parser = ArgumentParser(prog="python -m accelzoo.recipes.channel_plot", description="Draws latency over channels.")
    parser.add_argument("path", type=Path, help="the .png to write")
    try:
        draw(parser.parse_args(argv).path)
    except AccelzooError as error:
        print(f"accelzoo: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
