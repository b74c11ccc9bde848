"""Pairs of the same inverted bottleneck with and without its depthwise convolution."""

from __future__ import annotations

from accelzoo import draw
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.hwmodel.sampling.blocks import Block, Style, append_block, block_channels
from accelzoo.hwmodel.sampling.choices import Rng, chance, choose, log_between, weighted

STREAM = 3
LARGEST_WORK = 1_500_000_000
USUAL_SIZES = (7, 8, 10, 14, 16, 20, 28, 32, 40, 56, 64, 80, 112)


def fused_ibn_pairs(count: int, seed: int) -> list[tuple[Graph, Graph]]:
    """Draws blocks that differ only in being fused: which of the two is faster decides where an architect fuses.

    The fused form replaces expansion and depthwise convolution by one full convolution (EfficientNet-EdgeTPU; Xiong et
    al., MobileDets, CVPR 2021, §3.2.1). Both have equal widths, stride, expansion ratio, kernel and resolution.

    Args:
        count: How many pairs.
        seed: Pair i depends on the seed and i alone.

    Returns:
        The fused block and the block with the depthwise convolution, as graphs of one block each.
    """
    return [_draw_pair(draw.generator(seed, STREAM, index)) for index in range(count)]


def _draw_pair(rng: Rng) -> tuple[Graph, Graph]:
    size = choose(rng, USUAL_SIZES) if chance(rng, 70) else log_between(rng, 7, 128)
    in_channels = block_channels(rng, size)
    stride = weighted(rng, {1: 65, 2: 35})
    out_channels = in_channels if stride == 1 and chance(rng, 70) else block_channels(rng, size // stride)
    expansion = weighted(rng, {2: 15, 3: 20, 4: 25, 6: 25, 8: 15})
    kernel_size = weighted(rng, {3: 75, 5: 25})
    while in_channels > 8 and _macs(in_channels, expansion, kernel_size, size, stride) > LARGEST_WORK:
        same = in_channels == out_channels
        in_channels = max(8, in_channels // 2)
        out_channels = in_channels if same else out_channels
    style = Style(weighted(rng, {"relu": 50, "relu6": 50}), "sigmoid", "relu", 0, "input", 1, residual=True)
    pair = []
    for kind in ("fused_ibn", "ibn"):
        builder = GraphBuilder((in_channels, size, size))
        block = Block(kind, out_channels, kernel_size, stride, expansion)
        append_block(builder, "block", builder.input, block, style)
        pair.append(builder.graph())
    return pair[0], pair[1]


def _macs(in_channels: int, expansion: int, kernel_size: int, size: int, stride: int) -> int:
    return in_channels**2 * expansion * kernel_size**2 * (size // stride) ** 2
