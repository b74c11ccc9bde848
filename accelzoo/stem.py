"""The stem: one strided convolution that brings the image into the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from accelzoo.errors import suggestion
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import Conv, NormAct
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """k×k convolution, normalisation and activation.

    Raises:
        ValueError: If a value is out of its range.
    """

    out_channels: int
    kernel_size: int = 3
    stride: int = 2
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.out_channels < 1:
            raise ValueError(f"out_channels (={self.out_channels}) must be at least 1")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size (={self.kernel_size}) must be odd and positive")
        if self.stride not in (1, 2, 4):
            raise ValueError(f"stride (={self.stride}) must be 1, 2 or 4")
        if self.activation not in ACTIVATIONS:
            hint = suggestion(self.activation, ACTIVATIONS)
            raise ValueError(f"unknown activation {self.activation!r}{hint}; allowed: {', '.join(ACTIVATIONS)}")

    def layers(self) -> tuple[Conv, NormAct]:
        """The convolution and its normalisation with activation, under timm's names."""
        conv = Conv("conv_stem", self.out_channels, self.kernel_size, self.stride)
        return conv, NormAct("bn1", self.out_channels, self.activation)

    def lower(self, graph: GraphBuilder, x: str) -> str:
        """Appends the stem's operators; returns the name of its output."""
        for layer in self.layers():
            x = layer.lower(graph, "", x)
        return x

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The stem with its channels scaled and rounded to a multiple of `channel_divisor`."""
        return replace(self, out_channels=make_divisible(self.out_channels * width_multiplier, channel_divisor))
