"""Random operators, blocks and networks over the ranges the zoo uses, for oracles to measure.

Sample i depends on the seed, the kind and i alone, so that sampling can be stopped, resumed and shared out; equal seeds
give equal graphs on every machine, as long as `SPACE_VERSION` is the same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from accelzoo import draw
from accelzoo.errors import unknown_name
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.hwmodel.sampling.blocks import BLOCK_KINDS, append_block, block_channels, draw_block, draw_style
from accelzoo.hwmodel.sampling.choices import Rng, chance, log_between, weighted
from accelzoo.hwmodel.sampling.networks import draw_network
from accelzoo.hwmodel.sampling.operators import OPERATOR_KINDS, draw_operator
from accelzoo.hwmodel.sampling.pairs import fused_ibn_pairs

__all__ = ["KINDS", "SPACE_VERSION", "Kind", "Sample", "draw_sample", "fused_ibn_pairs"]

SPACE_VERSION = 1
"""Raised whenever equal seeds begin to give other graphs."""

Kind = Literal["op", "block", "network"]
KINDS: tuple[str, ...] = get_args(Kind)


class Sample(NamedTuple):
    """A graph to measure; `source` is its kind, a colon and its family, as in `block:ibn`."""

    graph: Graph
    source: str


def draw_sample(kind: str, seed: int, index: int) -> Sample:
    """Draws one sample.

    Args:
        kind: One of `KINDS`: a single operator, one to three blocks of one form, or a whole network.
        seed: The seed of all samples.
        index: Which of them.

    Raises:
        UnknownNameError: If there is no such kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind of sample", kind, KINDS)
    rng = draw.generator(seed, KINDS.index(kind), index)
    if kind == "network":
        return Sample(draw_network(rng), "network:random")
    family = weighted(rng, OPERATOR_KINDS if kind == "op" else BLOCK_KINDS)
    graph = draw_operator(rng, family) if kind == "op" else _draw_blocks(rng, family)
    return Sample(graph, f"{kind}:{family}")


def _draw_blocks(rng: Rng, kind: str) -> Graph:
    size = weighted(rng, {7: 12, 14: 14, 28: 12, 56: 10, 112: 7, 10: 3, 20: 3, 40: 3, 0: 36}) or log_between(
        rng, 1, 160
    )
    style = draw_style(rng)._replace(se_percent=40)
    in_channels = block_channels(rng, size)
    builder = GraphBuilder((in_channels, size, size))
    stride = weighted(rng, {1: 68, 2: 32})
    out_channels = in_channels if stride == 1 and chance(rng, 60) else block_channels(rng, -(-size // stride))
    block = draw_block(rng, kind, style, in_channels, out_channels, stride)
    x = append_block(builder, "block.0", builder.input, block, style)
    for index in range(1, weighted(rng, {1: 60, 2: 25, 3: 15})):
        x = append_block(builder, f"block.{index}", x, block._replace(stride=1), style)
    return builder.graph()
