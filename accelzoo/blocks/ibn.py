"""Inverted bottleneck (IBN; MBConv): expand 1×1, depthwise k×k, project 1×1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.layers import Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class IBN(ExpandingBlock):
    """Inverted bottleneck with a linear end (Sandler et al. 2018, §3.3).

    There is no expansion convolution where it would not widen (ratio 1), unless `always_expand` asks for one.

    Memory: input and expanded tensor, then two expanded tensors, then one of them beside the output; with a residual
    the input stays alive throughout and the sum is written in place.
    """

    kind: ClassVar[str] = "ibn"

    always_expand: bool = False

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists expansion, depthwise conv, squeeze-excite if asked for, and projection, each with its norm."""
        expanded = self.expanded(in_channels)
        layers: list[Layer] = []
        if expanded != in_channels or self.always_expand:
            layers += [Conv("conv_pw", expanded), NormAct("bn1", expanded, self.activation)]
        return (
            *layers,
            self.spatial_conv("conv_dw", expanded, groups=expanded),
            NormAct("bn2", expanded, self.activation),
            *self.gate(in_channels, expanded),
            Conv("conv_pwl", self.out_channels),
            NormAct("bn3", self.out_channels, ""),
        )
