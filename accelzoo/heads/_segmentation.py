"""What heads for dense prediction share: convolutions with their normalisation, and maps brought to one size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from accelzoo.blocks.conv_bn_act import ConvBnAct
from accelzoo.blocks.depthwise_separable import DepthwiseSeparable
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.necks.levels import pick_level

T = TypeVar("T")


def pointwise(out_channels: int, activation: str) -> ConvBnAct:
    """1×1 convolution, normalisation, activation."""
    return ConvBnAct(out_channels=out_channels, kernel_size=1, residual=False, activation=activation)


def separable(out_channels: int, activation: str, dilation: int = 1) -> DepthwiseSeparable:
    """Depthwise 3×3 and pointwise convolution, each with normalisation and activation (Chen et al. 2018, §3.1)."""
    return DepthwiseSeparable(
        out_channels=out_channels, activation=activation, dilation=dilation, residual=False, activate_output=True
    )


def two_levels(levels: Mapping[int, T], low_stride: int, high_stride: int | None, what: str) -> tuple[T, T, int]:
    """Picks a fine and a coarse level; without a `high_stride` the coarsest.

    Returns:
        What belongs to the fine and to the coarse level, and the coarse level's stride.

    Raises:
        ShapeError: If there is no such level, or the coarse one is the finer.
    """
    high = [*levels][-1] if high_stride is None else high_stride
    picked = pick_level(levels, low_stride, what), pick_level(levels, high, what)
    if high < low_stride:
        raise ShapeError(f"{what}: low_stride (={low_stride}) must not be above the coarse map's stride, {high}")
    return *picked, high


def levels_from(levels: Mapping[int, T], finest_stride: int, what: str) -> dict[int, T]:
    """The levels from the coarsest down to the one of `finest_stride`, in that order.

    Raises:
        ShapeError: If there is no level of that stride.
    """
    pick_level(levels, finest_stride, what)
    return {stride: levels[stride] for stride in sorted(levels, reverse=True) if stride >= finest_stride}


def lower_resize(graph: GraphBuilder, name: str, x: str, like: str, function: str = "bilinear") -> str:
    """Appends what brings a map to the size of another, unless it has that size."""
    size = graph.shape(like)[1:]
    return x if graph.shape(x)[1:] == size else graph.resize(name, x, size, function)
