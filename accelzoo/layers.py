"""The layers that blocks are made of, each described once and turned into operators or modules.

A block lists its layers for a number of input channels. `lower` appends the operators of a layer to a graph, `build`
makes its module; both carry the same name, so that an operator's name is the path of the module that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder

if TYPE_CHECKING:
    from torch import nn

PADDINGS = ("symmetric", "same")
"""How a convolution of stride 2 pads a map of even size: alike on both sides as torch does, or as TensorFlow does."""


class Conv(NamedTuple):
    """Convolution, padded to keep the map's size at stride 1.

    `padding` is one of `PADDINGS`. Without a `bias` of its own it is followed by a normalisation, which leaves one
    when it is folded in.
    """

    name: str
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    padding: str = "symmetric"
    bias: bool = False

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the convolution with its bias."""
        name = path + self.name
        return graph.conv2d(name, x, self.out_channels, self.kernel_size, self.stride, self.dilation, self.groups)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the convolution: `(batch, in_channels, height, width)` → `(batch, out_channels, …)`."""
        from accelzoo import modules

        return modules.conv2d(in_channels, self)


class NormAct(NamedTuple):
    """Batch normalisation, then an activation unless `activation` is empty."""

    name: str
    channels: int
    activation: str

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the activation; the normalisation is folded into the convolution before it."""
        return graph.activation(f"{path}{self.name}.act", x, self.activation) if self.activation else x

    def build(self, in_channels: int) -> nn.Module:
        """Makes the normalisation with its activation."""
        from accelzoo import modules

        return modules.norm_act(in_channels, self.activation)


class Activation(NamedTuple):
    """An activation that follows no normalisation."""

    name: str
    channels: int
    function: str

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the activation."""
        return graph.activation(path + self.name, x, self.function)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the activation."""
        from accelzoo import modules

        return modules.activation(self.function)


class MaxPool(NamedTuple):
    """Maximum over windows of 3×3, every second one in each direction."""

    name: str
    channels: int

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the pooling."""
        return graph.pool(path + self.name, x, 3, 2)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the pooling."""
        from torch import nn

        return nn.MaxPool2d(3, 2, 1)


class SpaceToDepth(NamedTuple):
    """Folds squares of `block_size` pixels into channels; `out_channels` is `block_size²` times the input's."""

    name: str
    out_channels: int
    block_size: int

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends nothing: the next operator reads the elements in another order.

        Raises:
            ShapeError: If the map's sides are no multiples of the block size.
        """
        _, height, width = graph.shape(x)
        if height % self.block_size or width % self.block_size:
            size = f"{height}x{width}"
            raise ShapeError(f"{path}{self.name}: block_size (={self.block_size}) must divide the map's sides, {size}")
        return graph.view(x, (self.out_channels, height // self.block_size, width // self.block_size))

    def build(self, in_channels: int) -> nn.Module:
        """Makes the reordering."""
        from torch import nn

        return nn.PixelUnshuffle(self.block_size)


class ChannelShuffle(NamedTuple):
    """Deals the channels of `groups` groups out in turn, so that the next groups see all (Zhang et al. 2018, §3.1)."""

    name: str
    channels: int
    groups: int

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends nothing: the next operator reads the elements in another order.

        Raises:
            ShapeError: If the groups do not divide the channels.
        """
        if self.channels % self.groups:
            raise ShapeError(f"{path}{self.name}: groups (={self.groups}) must divide {self.channels} channels")
        return x

    def build(self, in_channels: int) -> nn.Module:
        """Makes the reordering."""
        from torch import nn

        return nn.ChannelShuffle(self.groups)


class SqueezeExcite(NamedTuple):
    """Channel gate: pool, reduce, activation, expand, gate function, scale (Hu et al. 2018, §3)."""

    name: str
    channels: int
    reduced_channels: int
    activation: str
    gate: str = "sigmoid"

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the six operators of the gate."""
        name = path + self.name
        gate = graph.global_pool(f"{name}.pool", x)
        gate = graph.conv2d(f"{name}.conv_reduce", gate, self.reduced_channels)
        gate = graph.activation(f"{name}.act1", gate, self.activation)
        gate = graph.conv2d(f"{name}.conv_expand", gate, self.channels)
        gate = graph.activation(f"{name}.gate", gate, self.gate)
        return graph.mul(f"{name}.mul", x, gate)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the gate."""
        from accelzoo import modules

        return modules.SqueezeExcite(in_channels, self.reduced_channels, self.activation, self.gate)


class LayerScale(NamedTuple):
    """A learned factor per channel behind a convolution, `initial` at first (Touvron et al. 2021, §2)."""

    name: str
    channels: int
    initial: float

    @property
    def out_channels(self) -> int:
        """Number of channels, unchanged."""
        return self.channels

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends nothing: the factors are folded into the convolution before them."""
        return x

    def build(self, in_channels: int) -> nn.Module:
        """Makes the factors."""
        from accelzoo import modules

        return modules.layer_scale(in_channels, self.initial)


Layer = Conv | NormAct | Activation | MaxPool | SpaceToDepth | ChannelShuffle | SqueezeExcite | LayerScale
