"""What ResNet's blocks share: a shortcut that is projected where shapes differ, and an activation behind the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from accelzoo.blocks._gated import GatedBlock
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Activation, Conv, Layer, NormAct

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedBlock(GatedBlock):
    """A block that activates the sum of its layers and its input, or of a 1×1 projection of it where shapes differ.

    Without `residual` there is neither shortcut nor projection.

    Source: He et al. 2016, §3.2 (equation 2) and §3.3 (option B).
    """

    end: ClassVar[str]
    """Name of the activation behind the sum."""

    def shortcut(self, in_channels: int) -> tuple[Layer, ...]:
        """The projection of the input with its norm; empty where the input is added as it is, or not at all."""
        if not self.residual or self.adds_input(in_channels):
            return ()
        out = self.out_channels
        return Conv("downsample.0", out, stride=self.stride), NormAct("downsample.1", out, "")

    def lower_body(self, graph: GraphBuilder, x: str) -> str:
        """Appends the layers, the projection, the sum and its activation."""
        in_channels = graph.shape(x)[0]
        y, shortcut = x, x
        for layer in self.layers(in_channels):
            y = layer.lower(graph, "", y)
        for layer in self.shortcut(in_channels):
            shortcut = layer.lower(graph, "", shortcut)
        if self.residual:
            y = graph.add("add", y, shortcut)
        return self._end().lower(graph, "", y)

    def build(self, in_channels: int) -> nn.Module:
        """Makes the block's module."""
        from torch import nn

        from accelzoo import modules

        made = modules.named_modules(in_channels, self.layers(in_channels))
        made |= modules.named_modules(in_channels, self.shortcut(in_channels))
        made[self.end] = self._end().build(self.out_channels)
        return modules.ProjectedResidual(made) if self.residual else nn.Sequential(made)

    def _end(self) -> Activation:
        return Activation(self.end, self.out_channels, self.activation)
