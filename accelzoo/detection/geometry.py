"""A detector's levels as numbers: how many cells and boxes each has, for its input size."""

from __future__ import annotations

from typing import NamedTuple

from accelzoo.arch import Arch
from accelzoo.heads import head_kinds
from accelzoo.heads._detection import Box, DetectionHead


class Level(NamedTuple):
    """One level of predictions; `boxes` are the width and height in pixels of those at each cell."""

    stride: int
    height: int
    width: int
    boxes: tuple[Box, ...]

    @property
    def box_count(self) -> int:
        """Number of boxes on the level."""
        return self.height * self.width * len(self.boxes)


def detection_head(arch: Arch) -> DetectionHead:
    """The architecture's head, which must be one for detection.

    Raises:
        TypeError: If it is another kind of head.
    """
    if not isinstance(arch.head, DetectionHead):
        detectors = [kind for kind, head in head_kinds().items() if issubclass(head, DetectionHead)]
        raise TypeError(f"a {arch.head.kind!r} head predicts no boxes; take one of {', '.join(detectors)}")
    return arch.head


def levels_of(arch: Arch) -> tuple[Level, ...]:
    """The levels that an architecture predicts on, from the finest to the coarsest.

    Raises:
        TypeError: If its head is none for detection.
        ShapeError: If the head does not fit the network.
    """
    head = detection_head(arch)
    _, height, width = arch.input_size
    strides = head.output_strides({level.stride: level for level in arch.feature_levels()})
    boxes = head.anchors(strides, (height, width))
    return tuple(
        [
            Level(stride, -(-height // stride), -(-width // stride), at_cell)
            for stride, at_cell in zip(strides, boxes, strict=True)
        ]
    )
