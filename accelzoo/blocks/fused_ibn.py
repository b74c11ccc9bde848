"""Fused inverted bottleneck (FusedIBN; fused MBConv; timm's EdgeResidual): expand k×k, project 1×1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.layers import Conv, Layer, NormAct, SqueezeExcite


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedIBN(ExpandingBlock):
    """IBN whose expansion and depthwise convolution are one standard convolution (Gupta & Akin 2020, §3.1)."""

    kind: ClassVar[str] = "fused_ibn"

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the k×k expansion, squeeze-excite if asked for, and the projection, each with its norm."""
        expanded = self.expanded(in_channels)
        layers: list[Layer] = [
            Conv("conv_exp", expanded, self.kernel_size, self.stride),
            NormAct("bn1", expanded, self.activation),
        ]
        if reduced := self.se_channels(in_channels):
            layers.append(SqueezeExcite("se", expanded, reduced, self.activation))
        return (*layers, Conv("conv_pwl", self.out_channels), NormAct("bn2", self.out_channels, ""))
