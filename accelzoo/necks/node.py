"""The node of a feature pyramid: maps brought to one size, added up, and run through some layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Conv, Layer, NormAct

if TYPE_CHECKING:
    from torch import nn

FUSIONS = ("sum", "fast")
"""How a node adds maps: as they are, or with learned weights (Tan et al. 2020, §3.3, "fast normalized fusion")."""
RESAMPLINGS = ("", "nearest", "pool")
"""How a map comes to the size of its node: as it is, copied from a coarser level, or by the maximum of a finer one."""


class Source(NamedTuple):
    """One input of a node: the name of a node or level, and how it is resampled (one of `RESAMPLINGS`)."""

    name: str
    resampling: str = ""


class Node(NamedTuple):
    """A map made from others.

    The first source has the node's size once it is resampled; the others are brought to it and added one by one. With
    `fast` fusion the sum of x₀, x₁ … is Σ wᵢ·xᵢ / Σ wᵢ, each weight wᵢ ≥ 0. It runs as a chain of interpolations
    `s ← s + tᵢ·(xᵢ − s)` with tᵢ = wᵢ / (w₀ + … + wᵢ), which is equal to it. The factors depend on weights alone, so
    what remains at inference is one operator per addition that reads two maps and writes one: an `add`, whose inputs an
    integer device rescales in any case. Nothing else of the fusion costs time.
    """

    name: str
    sources: tuple[Source, ...]
    layers: tuple[Layer, ...] = ()
    fusion: str = "sum"

    def lower(self, graph: GraphBuilder, path: str, maps: Mapping[str, str]) -> str:
        """Appends the node's operators; returns the name of its output.

        Args:
            graph: Takes the operators.
            path: What their names get in front, with the dot.
            maps: Name of a source → tensor.
        """
        path = f"{path}{self.name}."
        x = ""
        for index, source in enumerate(self.sources):
            part = maps[source.name]
            if source.resampling == "pool":
                part = graph.pool(f"{path}pool{index}", part, 3, 2)
            elif source.resampling == "nearest":
                _, height, width = graph.shape(x)
                part = graph.resize(f"{path}resize{index}", part, (height, width))
            x = graph.add(f"{path}add" + (f"_{index - 1}" if index > 1 else ""), x, part) if x else part
        for layer in self.layers:
            x = layer.lower(graph, path, x)
        return x

    def build(self, in_channels: int) -> nn.Module:
        """Makes the node's module, whose inputs are its sources in order, all of `in_channels` channels."""
        from accelzoo.necks._modules import FusionNode

        return FusionNode(self, in_channels)


def projection(channels: int) -> tuple[Layer, ...]:
    """A normalised 1×1 convolution."""
    return Conv("conv", channels), NormAct("bn", channels, "")


def convolution(channels: int, separable: bool, stride: int = 1, activation: str = "") -> tuple[Layer, ...]:
    """A normalised 3×3 convolution that keeps `channels`, in depthwise and 1×1 parts if `separable`."""
    if not separable:
        return Conv("conv", channels, 3, stride), NormAct("bn", channels, activation)
    return (
        Conv("conv_dw", channels, 3, stride, groups=channels),
        NormAct("bn_dw", channels, ""),
        Conv("conv_pw", channels),
        NormAct("bn_pw", channels, activation),
    )
