"""Whole random networks of the shapes the zoo uses: stem, stages of mixed blocks, and a head or a pyramid's tail."""

from __future__ import annotations

from typing import NamedTuple

from accelzoo import draw
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.hwmodel.sampling.blocks import (
    BLOCK_KINDS,
    Block,
    Style,
    append_block,
    draw_block,
    draw_style,
)
from accelzoo.hwmodel.sampling.choices import (
    Rng,
    aligned,
    between,
    chance,
    choose,
    log_between,
    weighted,
)

M = 1_000_000
SIZE_CLASSES = {(20 * M, 150 * M): 30, (150 * M, 600 * M): 48, (600 * M, 1500 * M): 15, (1500 * M, 5000 * M): 7}
"""Bounds of a network's MACs, with the weights at which they are drawn."""
LARGEST_WEIGHTS_BYTES = 64 * M
OPERATORS = (30, 170)
"""Bounds of a network's number of operators."""
ATTEMPTS = 100

RESOLUTIONS = {96: 5, 112: 3, 128: 8, 144: 3, 160: 8, 192: 10, 240: 5, 256: 8, 288: 4, 300: 3, 320: 8}
FAMILIES = {"mobile": 76, "resnet": 14, "mixed": 10}


class Plan(NamedTuple):
    """A network before it is built."""

    resolution: int
    style: Style
    stem_channels: int
    stem_kernel: int
    pools_stem: bool
    stages: tuple[tuple[Block, ...], ...]
    head: str
    head_channels: int
    classes: int
    tail_join: str
    tail_method: str


def draw_network(rng: Rng) -> Graph:
    """Draws a network, again and again up to `ATTEMPTS` times until it has the size drawn before; else the nearest."""
    low, high = weighted(rng, SIZE_CLASSES)
    nearest: tuple[float, Graph] | None = None
    for _ in range(ATTEMPTS):
        graph = build_network(draw_plan(rng))
        macs, count = graph.macs, len(graph.ops)
        sizes = (low / macs, macs / high, OPERATORS[0] / count, count / OPERATORS[1])
        distance = max(1.0, *sizes, graph.weight_bytes / LARGEST_WEIGHTS_BYTES)
        if nearest is None or distance < nearest[0]:
            nearest = (distance, graph)
        if distance == 1.0:
            break
    assert nearest is not None
    return nearest[1]


def draw_plan(rng: Rng) -> Plan:
    """Draws everything about a network."""
    style = draw_style(rng)
    family = weighted(rng, FAMILIES)
    resolution = draw_resolution(rng)
    pools_stem = chance(rng, 70 if family == "resnet" else 4)
    stem = aligned(log_between(rng, 32 if pools_stem else 8, 64), min(style.divisor, 16))
    return Plan(
        resolution=resolution,
        style=style,
        stem_channels=stem,
        stem_kernel=7 if pools_stem and chance(rng, 60) else weighted(rng, {3: 85, 5: 15}),
        pools_stem=pools_stem,
        stages=_draw_stages(rng, style, _kinds(rng, family), stem, resolution, 2 if pools_stem else 1),
        head=weighted(rng, {"pool_linear": 30, "conv_pool_linear": 32, "pool_conv_linear": 20, "none": 6, "tail": 12}),
        head_channels=aligned(between(rng, 640, 1960) if chance(rng, 90) else between(rng, 256, 640), style.divisor),
        classes=weighted(rng, {1000: 60, 10: 8, 21: 4, 100: 12, 0: 16}) or log_between(rng, 10, 1000),
        tail_join=choose(rng, ("add", "concat")),
        tail_method=weighted(rng, {"nearest": 70, "bilinear": 30}),
    )


def draw_resolution(rng: Rng) -> int:
    """Draws the height and width of an input: 224 often, other usual sizes, and any from 32 to 320."""
    if chance(rng, 32):
        return 224
    return weighted(rng, RESOLUTIONS) if chance(rng, 60) else log_between(rng, 32, 320)


def _kinds(rng: Rng, family: str) -> dict[str, int]:
    """Returns the kinds of blocks a network may have, with weights."""
    if family == "mixed":
        return BLOCK_KINDS
    if family == "resnet":
        return {choose(rng, ("basic", "bottleneck")): 1}
    mobile = {kind: weight for kind, weight in BLOCK_KINDS.items() if kind not in ("basic", "bottleneck")}
    kinds = [weighted(rng, mobile) for _ in range(weighted(rng, {1: 35, 2: 40, 3: 25}))]
    return {kind: mobile[kind] for kind in kinds}


def _draw_stages(
    rng: Rng, style: Style, kinds: dict[str, int], channels: int, resolution: int, stem_halvings: int
) -> tuple[tuple[Block, ...], ...]:
    resnet = set(kinds) <= {"basic", "bottleneck"}
    count = between(rng, 3, 5) if resnet else between(rng, 4, 7)
    widest = 2048 if "bottleneck" in kinds and resnet else choose(rng, (320, 512, 640, 1280))
    wide = channels * (4 if resnet and "bottleneck" in kinds else 1)
    mixes = chance(rng, 25)  # block by block, not stage by stage
    strided_stages = _draw_strided(rng, count, resolution >> stem_halvings, stem_halvings)
    stages = []
    for index in range(count):
        strided = index in strided_stages
        if index:
            grown = wide * (between(rng, 150, 220) if strided else between(rng, 100, 160)) // 100
            wide = min(grown, widest)
        elif not resnet:
            wide = max(8, wide * between(rng, 50, 150) // 100)
        out = aligned(wide, style.divisor)
        kind = weighted(rng, kinds)
        stage = []
        for position in range(weighted(rng, {1: 18, 2: 28, 3: 22, 4: 18, 5: 8, 6: 6})):
            kind = weighted(rng, kinds) if mixes else kind
            stage.append(draw_block(rng, kind, style, channels, out, 2 if strided and not position else 1))
            channels = out
        if not mixes and chance(rng, 70):
            stage = [_like(block, stage[0]) for block in stage]
        stages.append(tuple(stage))
    return tuple(stages)


def _draw_strided(rng: Rng, count: int, size: int, stem_halvings: int) -> list[int]:
    """Draws which stages halve the map, so that networks mostly end at 1/32 of their input; no map below 2 pixels."""
    halvings = weighted(rng, {5: 66, 4: 20, 3: 6, 6: 8}) - stem_halvings
    halvings = max(0, min(halvings, size.bit_length() - 2, count))
    first = 0 if halvings == count or chance(rng, 30) else 1
    return draw.sample(rng, range(first, count), halvings)


def _like(block: Block, first: Block) -> Block:
    """Returns the first block of a stage with the stride of another."""
    if first.kind == "uib" and not first.kernel_size and not first.start_kernel and block.stride > 1:
        return block
    return first._replace(stride=block.stride)


def build_network(plan: Plan) -> Graph:
    """Writes a plan's operators."""
    builder = GraphBuilder((3, plan.resolution, plan.resolution))
    style = plan.style
    x = builder.conv2d("stem", builder.input, plan.stem_channels, plan.stem_kernel, 2)
    x = builder.activation("stem.act", x, style.activation)
    if plan.pools_stem:
        x = builder.pool("stem.pool", x, 3, 2, "max")
    levels = [x]
    for stage, blocks in enumerate(plan.stages):
        for index, block in enumerate(blocks):
            x = append_block(builder, f"stages.{stage}.{index}", x, block, style)
        if builder.shape(x)[1] == builder.shape(levels[-1])[1]:
            levels[-1] = x
        else:
            levels.append(x)
    if plan.head == "tail":
        _append_tail(builder, levels[-3:], plan)
    else:
        _append_head(builder, x, plan)
    return builder.graph()


def _append_head(builder: GraphBuilder, x: str, plan: Plan) -> None:
    function = plan.style.activation
    if plan.head == "none":
        return
    if plan.head == "conv_pool_linear":
        x = builder.conv2d("head.conv", x, plan.head_channels)
        x = builder.activation("head.conv.act", x, function)
    x = builder.global_pool("head.pool", x)
    if plan.head == "pool_conv_linear":  # MobileNetV3 (Howard et al., ICCV 2019, §5.1)
        x = builder.conv2d("head.conv", x, plan.head_channels)
        x = builder.activation("head.conv.act", x, function)
    builder.linear("head.linear", x, plan.classes)


def _append_tail(builder: GraphBuilder, levels: list[str], plan: Plan) -> None:
    """Appends a feature pyramid's top-down path (Lin et al., CVPR 2017, §3), with sums or concatenations."""
    function = plan.style.activation
    width = aligned(32 + plan.head_channels // 12, plan.style.divisor)
    x = builder.conv2d(f"tail.{len(levels) - 1}.lateral", levels[-1], width)
    for index in range(len(levels) - 2, -1, -1):
        _, height, size = builder.shape(levels[index])
        if (height, size) != tuple(2 * side for side in builder.shape(x)[1:]):
            break  # an odd map: the next level is not twice as large
        lateral = builder.conv2d(f"tail.{index}.lateral", levels[index], width)
        x = builder.resize(f"tail.{index}.resize", x, (height, size), plan.tail_method)
        if plan.tail_join == "concat":
            x = builder.concat(f"tail.{index}.concat", [x, lateral])
            x = builder.conv2d(f"tail.{index}.mix", x, width)
        else:
            x = builder.add(f"tail.{index}.add", x, lateral)
        x = builder.conv2d(f"tail.{index}.depthwise", x, width, 3, groups=width)
        x = builder.activation(f"tail.{index}.depthwise.act", x, function)
        x = builder.conv2d(f"tail.{index}.pointwise", x, width)
        x = builder.activation(f"tail.{index}.pointwise.act", x, function)
    builder.conv2d("tail.predict", x, min(plan.classes, 128))
