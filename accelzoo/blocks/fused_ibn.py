"""Fused inverted bottleneck (FusedIBN; fused MBConv; timm's EdgeResidual): expand k×k, project 1×1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.blocks._groups import check_group_size, count_groups
from accelzoo.layers import Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedIBN(ExpandingBlock):
    """IBN whose expansion and depthwise convolution are one standard convolution (Gupta & Akin 2020, §3.1).

    With a `group_size`, so many expanded channels make a group of the k×k convolution: the group-convolution IBN of
    MobileNetEdgeTPU v2, between the plain IBN and the fused one.

    Memory: the expanded tensor beside the block's input, then beside its output (and the input, with a residual).
    """

    kind: ClassVar[str] = "fused_ibn"

    group_size: int | None = None

    def __post_init__(self) -> None:
        super(FusedIBN, self).__post_init__()
        check_group_size(self.group_size)

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the k×k expansion, squeeze-excite if asked for, and the projection, each with its norm."""
        expanded = self.expanded(in_channels)
        return (
            self.spatial_conv("conv_exp", expanded, count_groups(self.group_size, expanded)),
            NormAct("bn1", expanded, self.activation),
            *self.gate(in_channels, expanded),
            Conv("conv_pwl", self.out_channels),
            NormAct("bn2", self.out_channels, ""),
        )
