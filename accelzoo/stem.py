"""The stem: one strided convolution that brings the image into the network, and what may stand around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from accelzoo.errors import check_one_of
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import PADDINGS, Conv, Layer, MaxPool, NormAct, SpaceToDepth
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """k×k convolution, normalisation and activation.

    `space_to_depth` folds squares of so many pixels on a side into channels first, so that the convolution sees a
    smaller and deeper map; `max_pool` halves the map behind it with a 3×3 window (He et al. 2016, §3.3).

    Raises:
        ValueError: If a value is out of its range.
    """

    out_channels: int
    kernel_size: int = 3
    stride: int = 2
    activation: str = "relu"
    padding: str = "symmetric"
    space_to_depth: int = 1
    max_pool: bool = False

    def __post_init__(self) -> None:
        if self.out_channels < 1:
            raise ValueError(f"out_channels (={self.out_channels}) must be at least 1")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size (={self.kernel_size}) must be odd and positive")
        if self.stride not in (1, 2, 4):
            raise ValueError(f"stride (={self.stride}) must be 1, 2 or 4")
        check_one_of("activation", self.activation, ACTIVATIONS)
        check_one_of("padding", self.padding, PADDINGS)
        if self.space_to_depth < 1:
            raise ValueError(f"space_to_depth (={self.space_to_depth}) must be at least 1")

    @property
    def reduction(self) -> int:
        """How many input pixels, along one side, a pixel of the output stands for."""
        return self.space_to_depth * self.stride * (2 if self.max_pool else 1)

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the layers for `in_channels` input channels, under timm's names."""
        layers: list[Layer] = []
        if (side := self.space_to_depth) > 1:
            layers.append(SpaceToDepth("space_to_depth", side * side * in_channels, side))
        out = self.out_channels
        layers.append(Conv("conv_stem", out, self.kernel_size, self.stride, padding=self.padding))
        layers.append(NormAct("bn1", out, self.activation))
        if self.max_pool:
            layers.append(MaxPool("maxpool", out))
        return tuple(layers)

    def lower(self, graph: GraphBuilder, x: str) -> str:
        """Appends the stem's operators; returns the name of its output."""
        for layer in self.layers(graph.shape(x)[0]):
            x = layer.lower(graph, "", x)
        return x

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The stem with its channels scaled and rounded to a multiple of `channel_divisor`."""
        return replace(self, out_channels=make_divisible(self.out_channels * width_multiplier, channel_divisor))
