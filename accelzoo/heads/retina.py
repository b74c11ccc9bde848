"""RetinaNet with separable convolutions: anchor boxes on the levels of a feature pyramid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from accelzoo.heads._detection import Box
from accelzoo.heads._pyramid import Branch, PyramidHead


@dataclass(frozen=True, slots=True, kw_only=True)
class RetinaHead(PyramidHead):
    """Classes and boxes on every level of a neck, trained with focal loss (Lin et al. 2017b, §4).

    At each cell stand anchor boxes of `anchor_scale` strides, of `scales_per_octave` sizes up to the next level's, and
    of every aspect ratio (width / height) at equal area. Scores are sigmoids.
    """

    kind: ClassVar[str] = "retina"

    anchor_scale: float = 4.0
    scales_per_octave: int = 3
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        PyramidHead.__post_init__(self)
        if self.anchor_scale <= 0 or self.scales_per_octave < 1:
            scales = f"anchor_scale (={self.anchor_scale}) and scales_per_octave (={self.scales_per_octave})"
            raise ValueError(f"{scales} must be positive")
        if not self.aspect_ratios or min(self.aspect_ratios) <= 0:
            raise ValueError(f"aspect_ratios (={list(self.aspect_ratios)}) must be positive, at least one")

    def branches(self) -> tuple[Branch, ...]:
        """One tower for classes, one for boxes."""
        boxes = self.scales_per_octave * len(self.aspect_ratios)
        return (
            Branch("class_tower", (("class_predictor", boxes * self.num_classes),)),
            Branch("box_tower", (("box_predictor", boxes * 4),)),
        )

    def anchors(self, strides: tuple[int, ...], image: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
        """Width and height in pixels of the boxes that stand at each cell, level by level."""
        levels = []
        for stride in strides:
            octave = [2 ** (step / self.scales_per_octave) for step in range(self.scales_per_octave)]
            sides = [self.anchor_scale * stride * scale for scale in octave]
            roots = [math.sqrt(ratio) for ratio in self.aspect_ratios]
            levels.append(tuple([(side * root, side / root) for side in sides for root in roots]))
        return tuple(levels)
