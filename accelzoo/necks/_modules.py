"""The torch modules behind the necks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from accelzoo import modules
from accelzoo.necks.node import Node

EPS = 1e-4
"""Keeps fusion defined where all weights are 0 (Tan et al. 2020, §3.3)."""


class Nearest(nn.Module):
    """Copies the nearest pixel of a coarser map."""

    def forward(self, x: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Brings `(batch, channels, height, width)` to another height and width."""
        return F.interpolate(x, size=size, mode="nearest")


class FusionNode(nn.Module):
    """A node of a feature pyramid; see `node.Node` for what it computes."""

    weight: nn.Parameter  # only with `fast` fusion: one per source

    def __init__(self, node: Node, in_channels: int) -> None:
        super().__init__()
        for index, source in enumerate(node.sources):
            if source.resampling == "pool":
                self.add_module(f"pool{index}", nn.MaxPool2d(3, 2, 1))
            elif source.resampling == "nearest":
                self.add_module(f"resize{index}", Nearest())
        self._resamplings = [source.resampling for source in node.sources]
        self._layer_names = [layer.name for layer in node.layers]
        for name, child in modules.sequence(in_channels, node.layers).named_children():
            self.add_module(name, child)
        self.weighted = node.fusion == "fast" and len(node.sources) > 1
        if self.weighted:
            self.weight = nn.Parameter(torch.ones(len(node.sources)))

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Maps the sources `(batch, channels, …)` to the node's map."""
        weight = F.relu(self.weight) if self.weighted else None
        x = maps[0]
        for index, part in enumerate(maps):
            if self._resamplings[index] == "pool":
                part = getattr(self, f"pool{index}")(part)
            elif self._resamplings[index] == "nearest":
                part = getattr(self, f"resize{index}")(part, x.shape[-2:])
            if index == 0:
                x = part
            elif weight is None:
                x = x + part
            else:
                share = weight[index] / (weight[: index + 1].sum() + EPS)
                x = torch.lerp(x, part, share.to(x.dtype))
        for name in self._layer_names:
            x = getattr(self, name)(x)
        return x


class Pyramid(nn.Module):
    """A neck: a mapping of stride → map to another, node by node."""

    def __init__(self, nodes: Sequence[Node], outputs: Mapping[int, str], channels: Mapping[int, int]) -> None:
        super().__init__()
        self._outputs = dict(outputs)
        self._sources = {node.name: tuple(source.name for source in node.sources) for node in nodes}
        widths = {f"level_{stride}": width for stride, width in channels.items()}
        for node in nodes:
            in_channels = widths[node.sources[0].name]
            self.add_module(node.name, node.build(in_channels))
            widths[node.name] = node.layers[-1].out_channels if node.layers else in_channels

    def forward(self, levels: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """Maps stride → map of the network to stride → level."""
        maps = {f"level_{stride}": value for stride, value in levels.items()}
        for name, sources in self._sources.items():
            maps[name] = getattr(self, name)(*(maps[source] for source in sources))
        return {stride: maps[name] for stride, name in self._outputs.items()}
