"""Which feature levels a neck or a dense head reads, and whether coarser ones can follow."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder

T = TypeVar("T")


def pick_level(levels: Mapping[int, T], stride: int, what: str) -> T:
    """Returns what belongs to the level of a stride.

    Raises:
        ShapeError: If the network has no such level; the message names those that it has.
    """
    if stride not in levels:
        known = ", ".join(map(str, levels))
        raise ShapeError(f"{what} needs the feature level of stride {stride}; the network has levels of stride {known}")
    return levels[stride]


def check_feature_levels(strides: tuple[int, ...] | None) -> None:
    """Refuses strides that do not double from one level to the next.

    Raises:
        ValueError: Naming the strides.
    """
    if strides is None:
        return
    doubles = all(coarse == 2 * fine for fine, coarse in pairwise(strides))
    if not strides or strides[0] < 1 or not doubles:
        raise ValueError(f"feature_levels (={list(strides)}) must be strides that double, such as 8, 16, 32; or null")


def choose_levels(levels: Mapping[int, T], strides: tuple[int, ...] | None, count: int, what: str) -> dict[int, T]:
    """Returns the levels of the strides asked for; without any, the `count` coarsest.

    Raises:
        ShapeError: If the network has no such level; the message names those that it has.
    """
    wanted = tuple(levels)[-count:] if strides is None else strides
    return {stride: pick_level(levels, stride, what) for stride in wanted}


def coarser_strides(strides: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The strides followed by `count` more, each double the one before."""
    return (*strides, *(strides[-1] << step for step in range(1, count + 1)))


def check_levels_fit(graph: GraphBuilder, levels: Mapping[int, str], coarsest: int, what: str) -> None:
    """Refuses inputs so small that a map of one cell would have to shrink further.

    Args:
        graph: Knows the shapes.
        levels: Stride → tensor of the levels that are there.
        coarsest: Stride of the last level that is to follow from them.
        what: Who asks.

    Raises:
        ShapeError: Naming the level, its stride and the size of the input.
    """
    image = graph.shape(graph.input)[1:]
    first = next(iter(levels))
    size = graph.shape(levels[first])[1:]
    stride, number = first, 1
    while stride < coarsest:
        if size == (1, 1):
            raise ShapeError(
                f"{what}: level {number + 1} (stride {2 * stride}) would be smaller than one cell: an input of "
                f"{image[0]}x{image[1]} leaves a map of 1x1 at stride {stride} already; "
                "take a larger input_size or fewer levels"
            )
        stride, number = 2 * stride, number + 1
        size = (-(-size[0] // 2), -(-size[1] // 2))
