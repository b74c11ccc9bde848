"""Atrous spatial pyramid pooling with a decoder: segmentation from two maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import check_one_of
from accelzoo.heads._segmentation import lower_resize, pointwise, separable, two_levels
from accelzoo.heads.base import Head, check_at_least_one
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn

RATES_AT_STRIDE_16 = (6, 12, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepLabHead(Head):
    """Maps two feature maps to logits `(batch, num_classes, height / low_stride, width / low_stride)`.

    DeepLabV3+ with separable convolutions throughout (Chen et al. 2018, §3.1–3.2). The coarse map is seen through a 1×1
    convolution, a 3×3 one at each of `atrous_rates` and its average; what these see is concatenated, projected to
    `hidden_channels` and brought to the size of the fine map. That one joins with `low_channels`, and `decoder_repeats`
    3×3 convolutions and the classifier follow. `high_stride` None is the coarsest map. `atrous_rates` None looks
    equally far on the image at any stride: 6, 12, 18 at 16 and twice that at 8 (Chen et al. 2017, §3.3).

    The normalisation of the average needs batches of two or more in training.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "deeplab"
    task: ClassVar[str] = "segmentation"

    num_classes: int = 21
    hidden_channels: int = 256
    low_channels: int = 48
    decoder_repeats: int = 2
    atrous_rates: tuple[int, ...] | None = None
    low_stride: int = 4
    high_stride: int | None = None
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_at_least_one(
            num_classes=self.num_classes,
            hidden_channels=self.hidden_channels,
            low_channels=self.low_channels,
            decoder_repeats=self.decoder_repeats,
            low_stride=self.low_stride,
            high_stride=self.high_stride,
        )
        if self.atrous_rates is not None and min(self.atrous_rates, default=1) < 1:
            raise ValueError(f"atrous_rates (={list(self.atrous_rates)}) must all be at least 1")
        check_one_of("activation", self.activation, ACTIVATIONS)

    def rates(self, high_stride: int) -> tuple[int, ...]:
        """How far apart the 3×3 convolutions read, in pixels of a map of stride `high_stride`."""
        if self.atrous_rates is not None:
            return self.atrous_rates
        return tuple([max(1, rate * 16 // high_stride) for rate in RATES_AT_STRIDE_16])

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends pyramid and decoder; returns the name of the logits."""
        low, high, stride = two_levels(levels, self.low_stride, self.high_stride, self.kind)
        width, function = self.hidden_channels, self.activation
        near = pointwise(width, function)
        seen = [near.lower(graph, "head.pyramid.point", high)]
        for index, rate in enumerate(self.rates(stride)):
            seen.append(separable(width, function, rate).lower(graph, f"head.pyramid.atrous.{index}", high))
        average = near.lower(graph, "head.pyramid.image", graph.global_pool("head.pyramid.pool", high))
        seen.append(lower_resize(graph, "head.pyramid.resize", average, high))
        x = near.lower(graph, "head.pyramid.project", graph.concat("head.pyramid.concat", seen))
        x = lower_resize(graph, "head.resize", x, low)
        fine = pointwise(self.low_channels, function).lower(graph, "head.low", low)
        x = graph.concat("head.concat", [x, fine])
        for index in range(self.decoder_repeats):
            x = separable(width, function).lower(graph, f"head.decoder.{index}", x)
        return (graph.conv2d("head.classifier", x, self.num_classes),)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the head's module."""
        from torch import nn

        from accelzoo.heads import _segmentation_modules as modules

        strides = {stride: stride for stride in channels}
        low, high, _ = two_levels(strides, self.low_stride, self.high_stride, self.kind)
        width, function = self.hidden_channels, self.activation
        rates, coarse = self.rates(high), channels[high]
        atrous = [separable(width, function, rate).build(coarse) for rate in rates]
        near = pointwise(width, function)
        project = near.build((len(rates) + 2) * width)
        pyramid = modules.Pyramid(near.build(coarse), atrous, near.build(coarse), project)
        inputs = [width + self.low_channels, *[width] * (self.decoder_repeats - 1)]
        decoder = nn.Sequential(*[separable(width, function).build(count) for count in inputs])
        fine = pointwise(self.low_channels, function).build(channels[low])
        return modules.DeepLab(low, high, pyramid, fine, decoder, nn.Conv2d(width, self.num_classes, 1))

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its hidden and low-level widths scaled."""
        hidden, low = [
            make_divisible(width * width_multiplier, channel_divisor)
            for width in (self.hidden_channels, self.low_channels)
        ]
        return replace(self, hidden_channels=hidden, low_channels=low)
