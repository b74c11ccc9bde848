"""The torch modules behind SpaghettiNet's head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from accelzoo import modules
from accelzoo.detection.modules import Outputs, SSDLite
from accelzoo.heads.spaghetti import LEVEL, SpaghettiHead, SpaghettiNode
from accelzoo.layers import Conv
from accelzoo.necks._modules import Nearest


class Edge(nn.Module):
    """Brings a source to its node's size and width."""

    def __init__(self, in_channels: int, out_channels: int, source_stride: int, stride: int) -> None:
        super().__init__()
        step = stride // source_stride
        self.pool = nn.MaxPool2d(step + 1, step, step // 2) if step > 1 else None
        self.conv = modules.conv2d(in_channels, Conv("conv", out_channels))
        self.bn = modules.norm_act(out_channels, "")
        self.resize = Nearest() if source_stride > stride else None

    def forward(self, x: torch.Tensor, size: torch.Size | None) -> torch.Tensor:
        """Maps the source to `(batch, out_channels, …)`; a coarser one takes on the height and width given."""
        x = self.bn(self.conv(x if self.pool is None else self.pool(x)))
        return x if self.resize is None else self.resize(x, size)


class MergingNode(nn.Module):
    """A node; see `spaghetti.SpaghettiNode` for what it computes."""

    def __init__(
        self, node: SpaghettiNode, strides: tuple[int, ...], in_channels: tuple[int, ...], activation: str
    ) -> None:
        super().__init__()
        self.edges = nn.ModuleList()
        self.act: nn.Module | None = None
        channels = in_channels[0]
        if node.merges:
            for width, stride in zip(in_channels, strides, strict=True):
                self.edges.append(Edge(width, node.width, stride, node.stride))
            self.act = modules.activation(activation)
            channels = node.width
        blocks = []
        for block in node.blocks:
            blocks.append(block.build(channels))
            channels = block.out_channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, *sources: torch.Tensor) -> torch.Tensor:
        """Maps the sources `(batch, channels, …)` in order to the node's map."""
        if self.act is None:
            return self.blocks(sources[0])
        total: torch.Tensor | None = None
        for edge, source in zip(self.edges, sources, strict=True):
            part = edge(source, None if total is None else total.shape[-2:])
            total = part if total is None else total + part
        return self.blocks(self.act(total))


class Spaghetti(SSDLite):
    """Nodes and SSDLite's predictors; see `spaghetti.SpaghettiHead`."""

    def __init__(self, head: SpaghettiHead, channels: Mapping[int, int]) -> None:
        predictors: dict[str, list[nn.Sequential]] = {"class": [], "box": []}
        for what, _, node, layers in head.predictors():
            predictors[what].append(modules.sequence(node.blocks[-1].out_channels, layers))
        places = tuple(range(len(head.outputs)))
        super().__init__(places, (), predictors["class"], predictors["box"], focal=not head.background)
        widths = {f"{LEVEL}{stride}": width for stride, width in channels.items()}
        nodes: OrderedDict[str, nn.Module] = OrderedDict()
        for node in head.nodes:
            in_channels = tuple([widths[source] for source in node.sources])
            nodes[node.name] = MergingNode(node, head.source_strides(node), in_channels, head.activation)
            widths[node.name] = node.blocks[-1].out_channels
        self.nodes = nn.ModuleDict(nodes)
        self._sources = {node.name: node.sources for node in head.nodes}
        self._output_names = head.outputs

    def forward(self, levels: Mapping[int, torch.Tensor]) -> Outputs:
        """Maps stride → map of the network to class logits and boxes per output."""
        maps = {f"{LEVEL}{stride}": value for stride, value in levels.items()}
        for name, sources in self._sources.items():
            maps[name] = self.nodes[name](*(maps[source] for source in sources))
        return super().forward({place: maps[name] for place, name in enumerate(self._output_names)})
