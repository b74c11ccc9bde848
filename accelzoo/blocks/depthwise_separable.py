"""Depthwise-separable convolution (MobileNet-v1's block, with a linear or an activated end)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._gated import GatedBlock
from accelzoo.layers import Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseSeparable(GatedBlock):
    """Depthwise k×k convolution, then pointwise convolution (Howard et al. 2017, §3.1).

    `activate_output` puts an activation behind the pointwise convolution as MobileNet-v1 does; MobileNetV2's first
    block and EfficientNet's leave it linear. Without `depthwise_norm` a bias takes the place of the normalisation and
    the activation between the two, as in SpaghettiNet.

    Memory: two maps are alive at a time, and with a residual the block's input beside them.
    """

    kind: ClassVar[str] = "depthwise_separable"

    activate_output: bool = False
    depthwise_norm: bool = True

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists depthwise conv, squeeze-excite if asked for, and the pointwise conv, each with its norm."""
        depthwise = self.spatial_conv("conv_dw", in_channels, groups=in_channels)
        normed = depthwise, NormAct("bn1", in_channels, self.activation)
        return (
            *(normed if self.depthwise_norm else (depthwise._replace(bias=True),)),
            *self.gate(in_channels, in_channels),
            Conv("conv_pw", self.out_channels),
            NormAct("bn2", self.out_channels, self.activation if self.activate_output else ""),
        )
