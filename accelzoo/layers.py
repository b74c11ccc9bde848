"""The layers that blocks are made of, each described once and turned into operators or modules.

A block lists its layers for a number of input channels. `lower` appends the operators of a layer to a graph, `build`
makes its module; both carry the same name, so that an operator's name is the path of the module that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from accelzoo.hwmodel.ir import GraphBuilder

if TYPE_CHECKING:
    from torch import nn


class Conv(NamedTuple):
    """Convolution without bias, padded to keep the map's size at stride 1."""

    name: str
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1

    def lower(self, graph: GraphBuilder, path: str, x: str) -> str:
        """Appends the convolution with the bias that folding its normalisation leaves."""
        name = path + self.name
        return graph.conv2d(name, x, self.out_channels, self.kernel_size, self.stride, 1, self.groups)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the convolution: `(batch, in_channels, height, width)` → `(batch, out_channels, …)`."""
        from accelzoo import modules

        return modules.conv2d(in_channels, self.out_channels, self.kernel_size, self.stride, self.groups)


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


class SqueezeExcite(NamedTuple):
    """Channel gate: pool, reduce, activation, expand, sigmoid, scale (Hu et al. 2018, §3)."""

    name: str
    channels: int
    reduced_channels: int
    activation: str

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
        gate = graph.activation(f"{name}.gate", gate, "sigmoid")
        return graph.mul(f"{name}.mul", x, gate)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the gate."""
        from accelzoo import modules

        return modules.SqueezeExcite(in_channels, self.reduced_channels, self.activation)


Layer = Conv | NormAct | SqueezeExcite
