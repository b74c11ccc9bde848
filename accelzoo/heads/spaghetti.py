"""SpaghettiNet's end: merging nodes between feature levels, then SSDLite's predictors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.blocks import IBN, Block
from accelzoo.errors import unknown_name
from accelzoo.heads._detection import Box, DetectionHead
from accelzoo.heads.ssdlite import SSDLiteHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.layers import Layer
from accelzoo.necks.levels import pick_level

if TYPE_CHECKING:
    from torch import nn

LEVEL = "level_"
"""What a network's own level is called before its stride: `level_16`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaghettiNode:
    """A map of `stride` that blocks make from others.

    `sources` are nodes before it, or levels of the network such as `level_16`, the finest first. The blocks read a
    single source as it is. Several are brought to the node's size and to the width of its blocks, added up and
    activated: a finer one by a maximum over windows one cell wider than their stride, then a normalised 1×1
    convolution; one of equal size by the convolution alone; one of half the size by the convolution, then by copying
    each cell to four, cut off where the first source ends.

    Raises:
        ValueError: If there are no sources or blocks, or a block has a stride.
    """

    name: str
    stride: int
    sources: tuple[str, ...]
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if self.stride < 1 or self.stride & (self.stride - 1):
            raise ValueError(f"stride (={self.stride}) of node {self.name!r} must be a power of two")
        if not self.sources or not self.blocks:
            raise ValueError(f"node {self.name!r} needs sources (={list(self.sources)}) and blocks, at least one each")
        if max(block.stride for block in self.blocks) > 1:
            raise ValueError(f"node {self.name!r}: its blocks keep the map's size, so each stride must be 1")

    @property
    def merges(self) -> bool:
        """Whether the node adds up several sources."""
        return len(self.sources) > 1

    @property
    def width(self) -> int:
        """Channels that the sources are brought to."""
        return self.blocks[0].out_channels


def _node(name: str, stride: int, *sources: str) -> SpaghettiNode:
    return SpaghettiNode(name=name, stride=stride, sources=sources, blocks=(IBN(out_channels=64, activation="relu6"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaghettiHead(DetectionHead):
    """Merging nodes, and SSDLite's anchors and predictors on those of them that `outputs` names.

    The defaults merge the levels of stride 16 and 32 once upwards and once downwards. With `background` there is a
    logit, the first, for being no object (see `SSDLiteHead`).

    Source: SpaghettiNet of the TensorFlow model garden, `ssd_spaghettinet_feature_extractor.py`. Unlike there, maxima
    are taken over windows around their centre.

    Raises:
        ValueError: If names repeat, a source or output is unknown, or a source's stride does not fit.
    """

    kind: ClassVar[str] = "spaghetti"
    box_weights: ClassVar[tuple[float, float, float, float]] = SSDLiteHead.box_weights

    nodes: tuple[SpaghettiNode, ...] = (
        _node("up", 16, "level_16", "level_32"),
        _node("down", 32, "up", "level_32"),
        _node("last", 32, "down"),
    )
    outputs: tuple[str, ...] = ("up", "down", "last")
    background: bool = True

    def __post_init__(self) -> None:
        super(SpaghettiHead, self).__post_init__()
        strides: dict[str, int] = {}
        for node in self.nodes:
            if node.name in strides or node.name.startswith(LEVEL):
                raise ValueError(f"node {node.name!r} needs a name of its own, without {LEVEL!r} in front")
            _check_sources(node, [_stride_of(source, strides) for source in node.sources])
            strides[node.name] = node.stride
        if not self.outputs:
            raise ValueError("outputs must name at least one node")
        for name in self.outputs:
            if name not in strides:
                raise unknown_name("output", name, strides)

    @property
    def class_logits(self) -> int:
        """Number of logits per box, the background's included."""
        return self.num_classes + self.background

    @property
    def ssd(self) -> SSDLiteHead:
        """The head whose anchors and predictors these are."""
        return SSDLiteHead(
            num_classes=self.num_classes, activation=self.activation, extra_channels=(), background=self.background
        )

    def output_strides(self, available: Mapping[int, object]) -> tuple[int, ...]:
        """Strides of the nodes that are predicted on; two nodes may have one."""
        for stride in self.level_strides():
            pick_level(available, stride, self.kind)
        return tuple([node.stride for node in self.output_nodes()])

    def level_strides(self) -> tuple[int, ...]:
        """Strides of the network's levels that nodes read, from the finest to the coarsest."""
        names = {source for node in self.nodes for source in node.sources if source.startswith(LEVEL)}
        return tuple(sorted(int(name.removeprefix(LEVEL)) for name in names))

    def output_nodes(self) -> tuple[SpaghettiNode, ...]:
        """The nodes that are predicted on."""
        nodes = {node.name: node for node in self.nodes}
        return tuple([nodes[name] for name in self.outputs])

    def anchors(self, strides: tuple[int, ...], image: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
        """Width and height in pixels of the boxes that stand at each cell, output by output."""
        return self.ssd.anchors(strides, image)

    def predictors(self) -> Iterator[tuple[str, int, SpaghettiNode, tuple[Layer, ...]]]:
        """Yields what is predicted (`class` or `box`), the output's index and node, and the layers that predict it."""
        ssd = self.ssd
        for index, (node, boxes) in enumerate(
            zip(self.output_nodes(), ssd.boxes_per_cell(len(self.outputs)), strict=True)
        ):
            channels = node.blocks[-1].out_channels
            yield "class", index, node, ssd.predictor_layers(channels, boxes * self.class_logits)
            yield "box", index, node, ssd.predictor_layers(channels, boxes * 4)

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends nodes, then predictors; returns class logits and boxes of each output in turn."""
        maps = {f"{LEVEL}{stride}": pick_level(levels, stride, self.kind) for stride in self.level_strides()}
        for node in self.nodes:
            x = self._lower_sum(graph, node, maps) if node.merges else maps[node.sources[0]]
            for index, block in enumerate(node.blocks):
                x = block.lower(graph, f"head.nodes.{node.name}.blocks.{index}", x)
            maps[node.name] = x
        outputs = []
        for what, index, node, layers in self.predictors():
            x = maps[node.name]
            for layer in layers:
                x = layer.lower(graph, f"head.{what}_predictors.{index}.", x)
            outputs.append(x)
        return tuple(outputs)

    def _lower_sum(self, graph: GraphBuilder, node: SpaghettiNode, maps: Mapping[str, str]) -> str:
        path, total = f"head.nodes.{node.name}.", ""
        for index, (source, stride) in enumerate(zip(node.sources, self.source_strides(node), strict=True)):
            x, edge = maps[source], f"{path}edges.{index}."
            if stride < node.stride:
                step = node.stride // stride
                x = graph.pool(f"{edge}pool", x, step + 1, step)
            x = graph.conv2d(f"{edge}conv", x, node.width)
            if stride > node.stride:
                _, height, width = graph.shape(total)
                x = graph.resize(f"{edge}resize", x, (height, width))
            total = graph.add(f"{path}add" + (f"_{index - 1}" if index > 1 else ""), total, x) if total else x
        return graph.activation(f"{path}act", total, self.activation)

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the module; see `DetectionHead` for what it returns."""
        from accelzoo.heads._spaghetti_modules import Spaghetti

        return Spaghetti(self, {stride: pick_level(channels, stride, self.kind) for stride in self.level_strides()})

    def source_strides(self, node: SpaghettiNode) -> tuple[int, ...]:
        """Strides of a node's sources."""
        strides = {other.name: other.stride for other in self.nodes}
        return tuple([_stride_of(source, strides) for source in node.sources])

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head with the widths of its nodes scaled."""
        nodes = [
            replace(node, blocks=tuple([block.scaled(width_multiplier, channel_divisor) for block in node.blocks]))
            for node in self.nodes
        ]
        return replace(self, nodes=tuple(nodes))


def _stride_of(source: str, nodes: Mapping[str, int]) -> int:
    """Stride of a source: a level's is in its name."""
    number = source.removeprefix(LEVEL)
    if number != source and number.isdecimal() and int(number):
        return int(number)
    if source not in nodes:
        raise unknown_name("source", source, nodes)
    return nodes[source]


def _check_sources(node: SpaghettiNode, strides: list[int]) -> None:
    if not node.merges and strides[0] != node.stride:
        raise ValueError(f"node {node.name!r} of stride {node.stride} reads a single source, of stride {strides[0]}")
    fits = all(2 * node.stride % stride == 0 for stride in strides)
    if not fits or strides[0] > node.stride or strides != sorted(strides):
        raise ValueError(
            f"node {node.name!r} of stride {node.stride} has sources of strides {strides}: they must rise, begin at or "
            f"below the node's and end at twice that at most"
        )
