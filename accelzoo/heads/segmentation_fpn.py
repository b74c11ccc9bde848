"""Feature pyramid for segmentation: every map down to a stride, merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import check_one_of
from accelzoo.heads._segmentation import levels_from, lower_resize, separable
from accelzoo.heads.base import Head, check_at_least_one
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationFpnHead(Head):
    """Maps feature maps to logits `(batch, num_classes, height / finest_stride, width / finest_stride)`.

    From the coarsest map to that of `finest_stride`, each is brought to `hidden_channels` by a 1×1 convolution and
    added to the coarser result, enlarged to its nearest pixels (Lin et al. 2017, §3). A separable 3×3 convolution
    follows at every level; their results are added, enlarged bilinearly from level to level, and classified (Kirillov
    et al. 2019, §3.1, with one convolution per level and batch normalisation). As enlarging is linear, the running sum
    gives the paper's sum of maps that are enlarged one by one.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "segmentation_fpn"
    task: ClassVar[str] = "segmentation"

    num_classes: int = 21
    hidden_channels: int = 128
    finest_stride: int = 4
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_at_least_one(
            num_classes=self.num_classes, hidden_channels=self.hidden_channels, finest_stride=self.finest_stride
        )
        check_one_of("activation", self.activation, ACTIVATIONS)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends the way down and the merging; returns the name of the logits."""
        total, coarser = "", ""
        for stride, level in levels_from(levels, self.finest_stride, self.kind).items():
            name = f"head.lateral.{stride}"
            x = graph.conv2d(f"{name}.conv", level, self.hidden_channels)
            coarser = _lower_merge(graph, name, x, coarser, "nearest")
            name = f"head.merge.{stride}"
            x = separable(self.hidden_channels, self.activation).lower(graph, f"{name}.conv", coarser)
            total = _lower_merge(graph, name, x, total, "bilinear")
        return (graph.conv2d("head.classifier", total, self.num_classes),)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the head's module."""
        from torch import nn

        from accelzoo.heads import _segmentation_modules as modules

        lateral, merge = {}, {}
        for stride, count in levels_from(channels, self.finest_stride, self.kind).items():
            lateral[stride] = modules.Merge(nn.Conv2d(count, self.hidden_channels, 1), "nearest")
            block = separable(self.hidden_channels, self.activation)
            merge[stride] = modules.Merge(block.build(self.hidden_channels), "bilinear")
        return modules.SegmentationFpn(lateral, merge, nn.Conv2d(self.hidden_channels, self.num_classes, 1))

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with its hidden width scaled."""
        return replace(self, hidden_channels=make_divisible(self.hidden_channels * width_multiplier, channel_divisor))


def _lower_merge(graph: GraphBuilder, name: str, x: str, coarser: str, function: str) -> str:
    if not coarser:  # the coarsest level itself
        return x
    return graph.add(f"{name}.add", x, lower_resize(graph, f"{name}.resize", coarser, x, function))
