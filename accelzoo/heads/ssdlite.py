"""SSDLite: boxes and classes by separable convolutions on maps of falling size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.heads._detection import Box, DetectionHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Conv, Layer, NormAct
from accelzoo.necks.levels import check_feature_levels, check_levels_fit, choose_levels, coarser_strides
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn

LOWEST_BOX = 0.1
"""Side of the smallest box of a reduced first level, as a share of the image's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SSDLiteHead(DetectionHead):
    """Single-shot detector with separable predictors (Liu et al. 2016, §2; Sandler et al. 2018, §6.2).

    Predicts on the maps of `feature_levels` (strides; null takes the two coarsest) and on one more for each of
    `extra_channels`, which halves the map before it by 1×1 (half the channels), depthwise 3×3 and 1×1 convolutions.

    Anchor boxes grow evenly from `min_scale` to `max_scale` of the image; each level has one of every aspect ratio
    (width / height) and a square one between its scale and the next (Liu et al. 2016, §2.2). With
    `reduce_lowest_level` the first level has three instead: a square of a tenth of the image, and its own scale at 2:1
    and 1:2. The defaults are those of MobileDets (Xiong et al. 2021): 3, 6, 6, 6, 6, 6 boxes. With `background` there
    is a logit, the first, for being no object, and scores are a softmax; else each class has a sigmoid of its own.
    """

    kind: ClassVar[str] = "ssdlite"
    box_weights: ClassVar[tuple[float, float, float, float]] = (10.0, 10.0, 5.0, 5.0)

    feature_levels: tuple[int, ...] | None = None
    extra_channels: tuple[int, ...] = (512, 256, 256, 128)
    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 1 / 3)
    reduce_lowest_level: bool = True
    background: bool = True

    def __post_init__(self) -> None:
        DetectionHead.__post_init__(self)
        check_feature_levels(self.feature_levels)
        if min(self.extra_channels, default=2) < 2:
            raise ValueError(f"extra_channels (={list(self.extra_channels)}) must be at least 2 each")
        if not 0 < self.min_scale < self.max_scale <= 1:
            scales = f"min_scale (={self.min_scale}) and max_scale (={self.max_scale})"
            raise ValueError(f"{scales} must rise and lie in 0 … 1, 0 excluded")
        if not self.aspect_ratios or min(self.aspect_ratios) <= 0:
            raise ValueError(f"aspect_ratios (={list(self.aspect_ratios)}) must be positive, at least one")

    @property
    def class_logits(self) -> int:
        """Number of logits per box, the background's included."""
        return self.num_classes + self.background

    def output_strides(self, available: Mapping[int, object]) -> tuple[int, ...]:
        """Strides of the network's levels and of the extra ones."""
        chosen = choose_levels(available, self.feature_levels, 2, self.kind)
        return coarser_strides(tuple(chosen), len(self.extra_channels))

    def anchors(self, strides: tuple[int, ...], image: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
        """Width and height in pixels of the boxes that stand at each cell, level by level."""
        height, width = image
        last = max(len(strides) - 1, 1)
        scales = [self.min_scale + (self.max_scale - self.min_scale) * index / last for index in range(len(strides))]
        scales.append(1.0)
        levels = []
        for index, scale in enumerate(scales[:-1]):
            shapes = [(scale, ratio) for ratio in self.aspect_ratios] + [(math.sqrt(scale * scales[index + 1]), 1.0)]
            if index == 0 and self.reduce_lowest_level:
                shapes = [(LOWEST_BOX, 1.0), (scale, 2.0), (scale, 0.5)]
            sizes = [(side * math.sqrt(ratio) * width, side / math.sqrt(ratio) * height) for side, ratio in shapes]
            levels.append(tuple(sizes))
        return tuple(levels)

    def boxes_per_cell(self, levels: int) -> tuple[int, ...]:
        """Number of boxes at a cell of each of so many levels."""
        every = len(self.aspect_ratios) + 1
        return (3 if self.reduce_lowest_level else every, *[every] * (levels - 1))

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends extra levels, then predictors; returns class logits and boxes of each level in turn."""
        chosen = choose_levels(levels, self.feature_levels, 2, self.kind)
        check_levels_fit(graph, chosen, self.output_strides(levels)[-1], self.kind)
        maps = [*chosen.values()]
        for index, width in enumerate(self.extra_channels):
            maps.append(_run(graph, f"head.extras.{index}.", maps[-1], self._extra_layers(width)))
        outputs = []
        for index, (x, boxes) in enumerate(zip(maps, self.boxes_per_cell(len(maps)), strict=True)):
            channels = graph.shape(x)[0]
            for name, values in (("class", self.class_logits), ("box", 4)):
                layers = self.predictor_layers(channels, boxes * values)
                outputs.append(_run(graph, f"head.{name}_predictors.{index}.", x, layers))
        return tuple(outputs)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the module; see `DetectionHead` for what it returns."""
        from accelzoo import modules
        from accelzoo.detection.modules import SSDLite

        chosen = choose_levels(channels, self.feature_levels, 2, self.kind)
        widths = [*chosen.values(), *self.extra_channels]
        extras = [
            modules.sequence(before, self._extra_layers(width))
            for before, width in zip(widths[len(chosen) - 1 :], self.extra_channels, strict=False)
        ]
        boxes = self.boxes_per_cell(len(widths))
        classes, regressions = (
            [
                modules.sequence(width, self.predictor_layers(width, count * values))
                for width, count in zip(widths, boxes, strict=True)
            ]
            for values in (self.class_logits, 4)
        )
        return SSDLite(tuple(chosen), extras, classes, regressions, focal=not self.background)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its extra levels' widths scaled; the predictors are as wide as what they read."""
        widths = tuple([make_divisible(width * width_multiplier, channel_divisor) for width in self.extra_channels])
        return replace(self, extra_channels=widths)

    def _extra_layers(self, width: int) -> tuple[Layer, ...]:
        half = width // 2
        return (
            Conv("conv_reduce", half),
            NormAct("bn1", half, self.activation),
            Conv("conv_dw", half, 3, 2, groups=half),
            NormAct("bn2", half, self.activation),
            Conv("conv_expand", width),
            NormAct("bn3", width, self.activation),
        )

    def predictor_layers(self, channels: int, out_channels: int) -> tuple[Layer, ...]:
        """The layers that predict `out_channels` values at each cell of a map of `channels`."""
        return (
            Conv("conv_dw", channels, 3, groups=channels),
            NormAct("bn", channels, self.activation),
            Conv("conv", out_channels, bias=True),
        )


def _run(graph: GraphBuilder, path: str, x: str, layers: tuple[Layer, ...]) -> str:
    for layer in layers:
        x = layer.lower(graph, path, x)
    return x
