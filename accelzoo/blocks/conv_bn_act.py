"""Standard convolution, normalisation, activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks.base import Block
from accelzoo.layers import Conv, Layer, NormAct, SqueezeExcite


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvBnAct(Block):
    """One k×k convolution with normalisation and activation."""

    kind: ClassVar[str] = "conv_bn_act"

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists conv, norm + activation and, if asked for, squeeze-excite."""
        out = self.out_channels
        layers: list[Layer] = [Conv("conv", out, self.kernel_size, self.stride), NormAct("bn1", out, self.activation)]
        if reduced := self.se_channels(in_channels):
            layers.append(SqueezeExcite("se", out, reduced, self.activation))
        return tuple(layers)
