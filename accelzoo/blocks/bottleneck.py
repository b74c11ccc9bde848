"""ResNet's bottleneck block, which RegNet shares: 1×1, k×k, 1×1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._groups import check_group_size, count_groups
from accelzoo.blocks._projected import ProjectedBlock
from accelzoo.layers import Conv, Layer, NormAct
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck(ProjectedBlock):
    """1×1 convolution to the inner width, k×k with the stride in groups of `group_size`, 1×1 to the output's width.

    The inner width is `inner_ratio` times the output channels, rounded to a multiple of `inner_divisor`. Ratio 1/4 and
    one group make ResNet's block (He et al. 2016, figure 5 right, with the stride on the k×k convolution), ratio 1 with
    groups RegNet's X block and, with squeeze-excite behind the k×k convolution, its Y block (Radosavovic et al. 2020).

    Memory: the block's input stays alive beside two inner maps, then beside an inner map and the output, then, where
    shapes differ, beside the output and the projected input.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "bottleneck"
    end: ClassVar[str] = "act3"

    inner_ratio: float = 0.25
    inner_divisor: int = 8
    group_size: int | None = None

    def __post_init__(self) -> None:
        super(Bottleneck, self).__post_init__()
        check_group_size(self.group_size)
        if self.inner_ratio <= 0:
            raise ValueError(f"inner_ratio (={self.inner_ratio}) must be positive")
        if self.inner_divisor < 1:
            raise ValueError(f"inner_divisor (={self.inner_divisor}) must be at least 1")

    @property
    def inner_channels(self) -> int:
        """Channels between the 1×1 convolutions; the output's as they are at ratio 1."""
        if self.inner_ratio == 1:
            return self.out_channels
        return make_divisible(self.out_channels * self.inner_ratio, self.inner_divisor)

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the three convolutions, each with its norm, and squeeze-excite if asked for."""
        inner, out = self.inner_channels, self.out_channels
        return (
            Conv("conv1", inner),
            NormAct("bn1", inner, self.activation),
            self.spatial_conv("conv2", inner, count_groups(self.group_size, inner)),
            NormAct("bn2", inner, self.activation),
            *self.gate(in_channels, inner),
            Conv("conv3", out),
            NormAct("bn3", out, ""),
        )
