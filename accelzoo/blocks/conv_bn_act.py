"""Standard convolution, normalisation, activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._gated import GatedBlock
from accelzoo.blocks._groups import check_group_size, count_groups
from accelzoo.layers import Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvBnAct(GatedBlock):
    """One k×k convolution with normalisation and activation; `group_size` input channels to a group, if given.

    Without `activate_output` it ends linear.

    Memory: input and output are alive together; the activation is written over the convolution's output.
    """

    kind: ClassVar[str] = "conv_bn_act"

    group_size: int | None = None
    activate_output: bool = True

    def __post_init__(self) -> None:
        super(ConvBnAct, self).__post_init__()
        check_group_size(self.group_size)

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists conv, norm + activation and, if asked for, squeeze-excite."""
        out = self.out_channels
        conv = self.spatial_conv("conv", out, count_groups(self.group_size, in_channels))
        activation = self.activation if self.activate_output else ""
        return (conv, NormAct("bn1", out, activation), *self.gate(in_channels, out))
