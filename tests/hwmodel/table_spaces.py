"""Small spaces and estimators that put a cost table to the test."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from accelzoo.hwmodel import Cost, Graph, GraphBuilder, OpCost, Target, estimate
from accelzoo.hwmodel.learned import Correction
from accelzoo.hwmodel.subgraph import Subgraph, split
from accelzoo.knobs import Space, choice

KINDS = choice("ibn", "fused_ibn", "conv_bn_act")


def small_space(activation: Any = "relu", hidden: int = 64) -> Space:
    """1,728 genomes with every sort of knob: kind, kernel, expansion, repeats, width, gate, resolution, multiplier."""
    first = {"kind": KINDS, "kernel_size": choice(3, 5), "expansion_ratio": 2, "out_channels": choice(8, 16)}
    second = {
        "kind": choice("ibn", "fused_ibn"),
        "expansion_ratio": choice(1, 4),
        "repeats": choice(1, 3),
        "se_ratio": choice(0, 0.25),
        "stride": 2,
        "out_channels": 16,
        "activation": activation,
    }
    return Space(
        "small",
        {
            "input_size": choice([3, 32, 32], [3, 48, 40], [1, 17, 23]),
            "stem": {"out_channels": 8},
            "stages": [first, second],
            "head": {"kind": "classification", "num_classes": 10, "hidden_channels": hidden},
            "width_multiplier": choice(0.5, 1.0, 1.5),
        },
    )


def layered_space() -> Space:
    """2,592 genomes whose layers are stages that continue one another, some of which may be left out."""
    optional = {"continued": True, "repeats": choice(0, 1)}
    stages: list[dict[str, Any]] = [
        {"kind": "ibn", "out_channels": 8, "stride": 2, "expansion_ratio": choice(2, 4, 6)},
        {"kind": "ibn", "out_channels": 8, "expansion_ratio": choice(2, 4, 6), **optional},
        {"kind": KINDS, "out_channels": 8, "expansion_ratio": 2, **optional},
        {"kind": "fused_ibn", "out_channels": choice(16, 24), "stride": 2, "kernel_size": choice(3, 5)},
        {"kind": "ibn", "out_channels": 16, "expansion_ratio": choice(2, 4, 6), **optional},
    ]
    return Space("layered", {"stem": {"out_channels": 8}, "stages": stages, "input_size": [3, 24, 32]})


class FakeKnob(NamedTuple):
    """A knob, as far as a table looks at it."""

    path: tuple[str | int, ...]


@dataclass(frozen=True)
class Lowered:
    """An architecture that is nothing but its graph."""

    graph: Graph

    def lower(self) -> Graph:
        return self.graph


@dataclass(frozen=True)
class HandMade:
    """A space whose networks a function draws; counts them."""

    knobs: tuple[FakeKnob, ...] | None
    sizes: tuple[int, ...]
    draw: Callable[[Sequence[int]], Graph]

    def decode(self, genome: Sequence[int]) -> Lowered:
        return Lowered(self.draw(genome))


def stage_knobs(*stages: int) -> tuple[FakeKnob, ...]:
    return tuple(FakeKnob(("stages", stage)) for stage in stages)


def chain(repeats: Sequence[int], widths: Sequence[int], activation_first: bool = False) -> GraphBuilder:
    """A stem, then convolutions `blocks.<stage>.<repeat>.conv` with activations behind or in front of them."""
    builder = GraphBuilder((3, 16, 16))
    x = builder.conv2d("stem", builder.input, 8, kernel_size=3)
    for stage, (count, width) in enumerate(zip(repeats, widths, strict=True)):
        for repeat in range(count):
            name = f"blocks.{stage}.{repeat}"
            x = builder.activation(f"{name}.act", x, "relu") if activation_first else x
            x = builder.conv2d(f"{name}.conv", x, width, kernel_size=3)
            x = x if activation_first else builder.activation(f"{name}.act", x, "relu")
    return builder


def grow(builder: GraphBuilder, name: str, x: str, block: str, width: int) -> str:
    """Appends one block of a kind that may begin or end with anything; returns its output."""
    channels = builder.shape(x)[0]
    match block:
        case "conv, act":
            return builder.activation(f"{name}.act", builder.conv2d(f"{name}.conv", x, width, kernel_size=3), "relu")
        case "act, conv":
            return builder.conv2d(f"{name}.conv", builder.activation(f"{name}.act", x, "relu"), width)
        case "act, conv, add":
            y = builder.conv2d(f"{name}.conv", builder.activation(f"{name}.act", x, "relu"), channels, kernel_size=3)
            return builder.add(f"{name}.add", y, x)
        case "conv, add, act":
            y = builder.add(f"{name}.add", builder.conv2d(f"{name}.conv", x, channels), x)
            return builder.activation(f"{name}.act", y, "relu")
        case "conv, gate":
            y = builder.conv2d(f"{name}.conv", x, width)
            gate = builder.conv2d(f"{name}.gate", builder.global_pool(f"{name}.pool", y), width)
            return builder.mul(f"{name}.mul", y, builder.activation(f"{name}.act", gate, "sigmoid"))
        case "strided":
            return builder.conv2d(f"{name}.conv", x, channels, kernel_size=5, stride=2, groups=channels)
        case _:
            return x


BLOCKS = ("conv, act", "act, conv", "act, conv, add", "conv, add, act", "conv, gate", "strided", "nothing")


def random_space(seed: int) -> HandMade:
    """Two to four stages, each with a choice of block, width and repeats (0 among them); in some, two heads."""
    rng = np.random.default_rng(seed)
    stages = int(rng.integers(2, 5))
    menus: list[list[Any]] = []
    for _ in range(stages):
        for menu in (BLOCKS, (8, 12, 16, 24), (0, 1, 2, 3)):
            count = int(rng.integers(1, 4))
            menus.append([menu[index] for index in rng.permutation(len(menu))[:count]])
    two_heads = bool(rng.random() < 0.3)

    def draw(genome: Sequence[int]) -> Graph:
        *choices, hidden, size = genome
        builder = GraphBuilder((3, (16, 15)[size], 16))
        x = builder.conv2d("stem", builder.input, 8, kernel_size=3)
        first = ""
        values = [menu[index] for menu, index in zip(menus, choices, strict=True)]
        for stage in range(stages):
            block, width, repeats = values[3 * stage : 3 * stage + 3]
            for repeat in range(repeats):
                x = grow(builder, f"blocks.{stage}.{repeat}", x, block, width)
            first = first or x
        for head, source in enumerate([first, x] if two_heads else [x]):
            builder.linear(f"head.{head}", builder.global_pool(f"head.{head}.pool", source), (4, 6)[hidden])
        return builder.graph()

    knobs = (*[knob for stage in range(stages) for knob in stage_knobs(stage) * 3], FakeKnob(("head",)))
    return HandMade((*knobs, FakeKnob(("input_size",))), (*[len(menu) for menu in menus], 2, 2), draw)


def far_sighted(graph: Graph, target: Target) -> Cost:
    """An estimator whose every price depends on the fields of all operators within the target's `context_radius`."""
    radius = getattr(target, "context_radius", 0)
    plain = estimate(graph, target)
    facts = [zlib.crc32(repr((op.kind, op[3:])).encode()) / 2**32 for op in graph.ops]
    rows: list[OpCost] = []
    latency_s = energy_j = 0.0
    for index, row in enumerate(plain.by_op):
        near = facts[max(0, index - radius) : index + radius + 1]
        factor = 1 + sum([fact / (3 + place) for place, fact in enumerate(near)])
        rows.append(row._replace(latency_s=row.latency_s * factor, energy_j=row.energy_j / factor))
        latency_s += rows[-1].latency_s
        energy_j += rows[-1].energy_j
    return replace(plain, latency_s=latency_s, energy_j=energy_j, by_op=tuple(rows))


def neighbourly(graph: Graph, target: Target) -> Cost:
    """An estimator that looks one operator to either side, at the makers of inputs and at the readers of outputs."""
    plain = estimate(graph, target)
    rows: list[OpCost] = []
    latency_s = energy_j = 0.0
    for index, (op, row) in enumerate(zip(graph.ops, plain.by_op, strict=True)):
        before = graph.ops[index - 1] if index else None
        after = graph.ops[index + 1] if index + 1 < len(graph.ops) else None
        factor = 1.0 + (0.1 if before and before.kind == op.kind else 0.0)
        factor += 0.01 * before.out_shape[0] / 3 if before else 0.0
        factor += 0.001 * after.kernel_size[0] / 7 if after else 0.0
        factor += 0.3 if after and after.kind == "add" else 0.0
        rows.append(row._replace(latency_s=row.latency_s * factor, energy_j=row.energy_j / factor))
        latency_s += rows[-1].latency_s
        energy_j += rows[-1].energy_j
    return replace(plain, latency_s=latency_s, energy_j=energy_j, by_op=tuple(rows))


def _crest(graph: Graph, name: str) -> int:
    """The most bytes alive while a tensor is."""
    made = next((index for index, op in enumerate(graph.ops) if op.name == name), 0)
    last = max([index for index, op in enumerate(graph.ops) if name in op.inputs], default=made)
    return max(graph.live_bytes()[made : last + 1])


@dataclass
class Cascading:
    """A learned part: fused subgraphs are priced by their neighbours, poolings not at all, weights fetched ahead."""

    kind: str = "test"
    context_radius: int = 1

    @property
    def fusions(self) -> frozenset[tuple[str, str]]:
        joined = ("activation:relu", "add")
        return frozenset((maker, label) for maker in ("conv2d", "depthwise_conv2d") for label in joined)

    def subgraphs(self, graph: Graph) -> list[Subgraph]:
        return split(graph, self.fusions)

    def price(self, graph: Graph, target: Target, rows: Sequence[OpCost]) -> Correction:
        priced = [row._replace(latency_s=0.0, bound="fused") if row.bound != "unpriced" else row for row in rows]
        pieces = [piece.ops for piece in self.subgraphs(graph) if rows[piece.anchor].bound != "unpriced"]
        pieces = [ops for ops in pieces if graph.ops[ops[0]].kind != "pool"]
        for place, ops in enumerate(pieces):
            near = [graph.ops[other[0]] for other in pieces[max(0, place - 1) : place + 2]]
            factor = len(ops) + sum([math.log(op.input_bytes) / (2 + spot) for spot, op in enumerate(near)])
            factor += math.log(_crest(graph, graph.ops[ops[0]].inputs[0])) + math.log(
                _crest(graph, graph.ops[ops[-1]].name)
            )
            priced[ops[0]] = rows[ops[0]]._replace(latency_s=1e-6 * factor, bound="compute")
        return Correction(priced, (), self._live_bytes(graph))

    def _live_bytes(self, graph: Graph) -> tuple[int, ...]:
        alive = list(graph.live_bytes())
        pieces = self.subgraphs(graph)
        for piece, ahead in itertools.pairwise(pieces):
            for index in piece.ops:
                alive[index] += sum([graph.ops[other].weight_bytes for other in ahead.ops]) // 2
        return tuple(alive)

    def parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"kind": self.kind}, {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking(Target):
    """A target that looks at neighbours."""

    context_radius: int = 1
