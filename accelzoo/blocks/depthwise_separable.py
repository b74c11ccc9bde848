"""Depthwise-separable convolution (MobileNet-v1's block, with a linear or an activated end)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks.base import Block
from accelzoo.layers import Conv, Layer, NormAct, SqueezeExcite


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseSeparable(Block):
    """Depthwise k×k convolution, then pointwise convolution (Howard et al. 2017, §3.1).

    `activate_output` puts an activation behind the pointwise convolution as MobileNet-v1 does; MobileNetV2's first
    block and EfficientNet's leave it linear.
    """

    kind: ClassVar[str] = "depthwise_separable"

    activate_output: bool = False

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists depthwise conv, squeeze-excite if asked for, and the pointwise conv, each with its norm."""
        layers: list[Layer] = [
            Conv("conv_dw", in_channels, self.kernel_size, self.stride, groups=in_channels),
            NormAct("bn1", in_channels, self.activation),
        ]
        if reduced := self.se_channels(in_channels):
            layers.append(SqueezeExcite("se", in_channels, reduced, self.activation))
        end = self.activation if self.activate_output else ""
        return (*layers, Conv("conv_pw", self.out_channels), NormAct("bn2", self.out_channels, end))
