"""What detection heads have in common: which levels they predict on, and what a predicted number means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from accelzoo.errors import check_one_of
from accelzoo.heads.base import Head
from accelzoo.hwmodel.ir import ACTIVATIONS

Box = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionHead(Head):
    """Predicts objects at every cell of several levels.

    The module returns a list with a tuple per level, from the finest to the coarsest: class logits
    `(batch, boxes · classes, height, width)`, box regression `(batch, boxes · 4, height, width)` and, where the head
    has it, centerness `(batch, 1, height, width)`; channels run over the boxes of a cell first, then over what is
    predicted for one. Turning them into boxes is no part of the network: see `accelzoo.detection`.

    Raises:
        ValueError: If a value is out of its range.
    """

    task: ClassVar[str] = "detection"
    box_weights: ClassVar[tuple[float, float, float, float]] = (1.0, 1.0, 1.0, 1.0)

    num_classes: int = 90
    activation: str = "relu6"

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(f"num_classes (={self.num_classes}) must be at least 1, as every box has a class")
        check_one_of("activation", self.activation, ACTIVATIONS)

    @property
    def class_logits(self) -> int:
        """Number of logits per box."""
        return self.num_classes

    def output_strides(self, available: Mapping[int, object]) -> tuple[int, ...]:
        """Strides of the levels that are predicted on, from a network's levels.

        Raises:
            ShapeError: If the network lacks a level; the message names those that it has.
        """
        raise NotImplementedError

    def anchors(self, strides: tuple[int, ...], image: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
        """Width and height in pixels of the boxes that stand at each cell, level by level.

        Args:
            strides: Those of the levels.
            image: Height and width of the input.
        """
        raise NotImplementedError
