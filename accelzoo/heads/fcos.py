"""FCOS: detection without anchor boxes, by distances from a cell to the sides of its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.heads._detection import Box
from accelzoo.heads._pyramid import Branch, PyramidHead


@dataclass(frozen=True, slots=True, kw_only=True)
class FCOSHead(PyramidHead):
    """Classes, distances to the left, top, right and bottom side, and centerness (Tian et al. 2019, §3).

    A distance is `relu(output) · stride` pixels: integer devices have no exponential, and the stride does what the
    paper's learned scale per level is for. Centerness is predicted beside the distances, from the same tower. Scores
    are the products of the sigmoids of class and centerness.
    """

    kind: ClassVar[str] = "fcos"

    def branches(self) -> tuple[Branch, ...]:
        """One tower for classes, one for distances and centerness."""
        return (
            Branch("class_tower", (("class_predictor", self.num_classes),)),
            Branch("box_tower", (("box_predictor", 4), ("centerness_predictor", 1))),
        )

    def anchors(self, strides: tuple[int, ...], image: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
        """The cells themselves: one square of the stride's side on every level."""
        return tuple([((float(stride), float(stride)),) for stride in strides])
