"""Inverted bottleneck with grouped pointwise convolutions and a channel shuffle, as FBNet's space has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.layers import ChannelShuffle, Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleIBN(ExpandingBlock):
    """IBN with `pointwise_groups` groups in both 1×1 convolutions (Wu et al. 2019, §3.1 and figure 3).

    Behind the first, the channels of the groups are dealt out in turn (Zhang et al. 2018, §3.1). There is no expansion
    convolution where it would not widen (ratio 1), unless `always_expand` asks for one; the shuffle stays.

    Memory: as an IBN's: grouping changes weights and MACs, not maps, and the shuffle is free.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "shuffle_ibn"

    pointwise_groups: int = 2
    always_expand: bool = False

    def __post_init__(self) -> None:
        super(ShuffleIBN, self).__post_init__()
        if self.pointwise_groups < 1:
            raise ValueError(f"pointwise_groups (={self.pointwise_groups}) must be at least 1")

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists expansion, shuffle, depthwise conv, squeeze-excite if asked for, and projection, each with its norm."""
        expanded, groups = self.expanded(in_channels), self.pointwise_groups
        layers: list[Layer] = []
        if expanded != in_channels or self.always_expand:
            layers += [Conv("conv_pw", expanded, groups=groups), NormAct("bn1", expanded, self.activation)]
        if groups > 1:
            layers.append(ChannelShuffle("shuffle", expanded, groups))
        return (
            *layers,
            self.spatial_conv("conv_dw", expanded, groups=expanded),
            NormAct("bn2", expanded, self.activation),
            *self.gate(in_channels, expanded),
            Conv("conv_pwl", self.out_channels, groups=groups),
            NormAct("bn3", self.out_channels, ""),
        )
