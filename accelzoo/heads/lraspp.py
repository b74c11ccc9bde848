"""Lite reduced atrous spatial pyramid pooling: segmentation from two maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import check_one_of
from accelzoo.heads._segmentation import lower_resize, pointwise, two_levels
from accelzoo.heads.base import Head, check_at_least_one
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class LrAsppHead(Head):
    """Maps two feature maps to logits `(batch, num_classes, height / low_stride, width / low_stride)`.

    The coarse map goes through a 1×1 convolution of `hidden_channels`, scaled channel by channel with a gate made of
    its average, and is brought to the size of the fine one; each of the two is classified, and the logits are added
    (Howard et al. 2019, §6.4, with the gate's average over the whole map). `high_stride` None is the coarsest map; the
    paper's networks have it at 16 (`output_stride=16`).

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "lraspp"
    task: ClassVar[str] = "segmentation"

    num_classes: int = 21
    hidden_channels: int = 128
    low_stride: int = 8
    high_stride: int | None = None
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_at_least_one(
            num_classes=self.num_classes,
            hidden_channels=self.hidden_channels,
            low_stride=self.low_stride,
            high_stride=self.high_stride,
        )
        check_one_of("activation", self.activation, ACTIVATIONS)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends both branches; returns the name of the logits."""
        low, high, _ = two_levels(levels, self.low_stride, self.high_stride, self.kind)
        x = pointwise(self.hidden_channels, self.activation).lower(graph, "head.project", high)
        gate = graph.global_pool("head.gate.pool", high)
        gate = graph.conv2d("head.gate.conv", gate, self.hidden_channels, bias=False)
        gate = graph.activation("head.gate.act", gate, "sigmoid")
        x = lower_resize(graph, "head.resize", graph.mul("head.mul", x, gate), low)
        fine = graph.conv2d("head.low_classifier", low, self.num_classes)
        return (graph.add("head.add", fine, graph.conv2d("head.high_classifier", x, self.num_classes)),)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the head's module."""
        from accelzoo.heads import _segmentation_modules as modules

        strides = {stride: stride for stride in channels}
        low, high, _ = two_levels(strides, self.low_stride, self.high_stride, self.kind)
        project = pointwise(self.hidden_channels, self.activation).build(channels[high])
        return modules.LrAspp(low, high, channels, project, self.hidden_channels, self.num_classes)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its hidden width scaled."""
        return replace(self, hidden_channels=make_divisible(self.hidden_channels * width_multiplier, channel_divisor))
