"""Inverted bottleneck (IBN; MBConv): expand 1×1, depthwise k×k, project 1×1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.layers import Conv, Layer, NormAct, SqueezeExcite


@dataclass(frozen=True, slots=True, kw_only=True)
class IBN(ExpandingBlock):
    """Inverted bottleneck with a linear end (Sandler et al. 2018, §3.3); no expansion convolution at ratio 1."""

    kind: ClassVar[str] = "ibn"

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists expansion, depthwise conv, squeeze-excite if asked for, and projection, each with its norm."""
        expanded = self.expanded(in_channels)
        layers: list[Layer] = []
        if expanded != in_channels:
            layers += [Conv("conv_pw", expanded), NormAct("bn1", expanded, self.activation)]
        layers += [
            Conv("conv_dw", expanded, self.kernel_size, self.stride, groups=expanded),
            NormAct("bn2", expanded, self.activation),
        ]
        if reduced := self.se_channels(in_channels):
            layers.append(SqueezeExcite("se", expanded, reduced, self.activation))
        return (*layers, Conv("conv_pwl", self.out_channels), NormAct("bn3", self.out_channels, ""))
