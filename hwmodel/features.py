"""What the learned estimator knows of a subgraph: whole numbers, ratios of them, and the physics prior of its time.

Everything here is made by counting, division and rounding up, which give the same bits on every machine and at every
place of an array; a subgraph's features depend on its own operators, on what is alive while it runs, and on the
subgraphs just before and after it in the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel.ir import INPUT, Graph, Op
from accelzoo.hwmodel.peak import Step, steps
from accelzoo.hwmodel.subgraph import Subgraph
from accelzoo.hwmodel.target import Target
from accelzoo.hwmodel.tiling import Blocks, Layers, Tiling, cut

Matrix = npt.NDArray[np.float64]

CLASSES = ("matrix", "depthwise", "elementwise", "activation", "global_pool", "window_pool", "other")
"""Kinds of work; each has regressors of its own."""
CONTEXT_RADIUS = 1  # subgraphs before and after
BRICK = 16  # channels that accelerators store together
VERSION = 1
"""Raised whenever a feature changes its meaning; regressors fitted to other features are refused."""

KINDS_WITH_FEATURES = (
    "conv2d", "linear", "matmul", "depthwise_conv2d", "add", "mul", "activation", "pool", "resize", "concat", "softmax",
)  # fmt: skip
_CODE = {kind: code for code, kind in enumerate(KINDS_WITH_FEATURES)}
_CLASS = {"conv2d": 0, "linear": 0, "matmul": 0, "depthwise_conv2d": 1, "add": 2, "mul": 2, "activation": 3, "pool": 5}
_GLOBAL_POOL, _OTHER = 4, 6
_FUNCTIONS = (
    "", "relu", "relu6", "silu", "gelu", "sigmoid", "hard_swish", "hard_sigmoid", "tanh", "avg", "max", "global",
    "nearest", "bilinear",
)  # fmt: skip
_FUNCTION = {name: code for code, name in enumerate(_FUNCTIONS)}
_READS_INPUT, _NOTHING = -1, -2

OWN = (
    "kind", "in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width", "kernel_height",
    "kernel_width", "stride", "groups", "function", "fused_function", "fused_add", "broadcast", "weight_bytes",
    "input_bytes", "output_bytes", "macs",
)  # fmt: skip
CONTEXT = (
    "input_peak_bytes", "second_peak_bytes", "output_peak_bytes", "producer", "consumer", "before_weight_bytes",
    "before_input_bytes", "before_output_bytes", "before_macs", "before_kernel", "after_weight_bytes",
    "after_input_bytes", "after_output_bytes", "after_macs", "after_kernel",
)  # fmt: skip
FIELDS = OWN + CONTEXT
_AT = {name: index for index, name in enumerate(FIELDS)}


@lru_cache(maxsize=1 << 16)
def _own(kind: str, fields: tuple[object, ...], fused: tuple[tuple[str, str], ...]) -> tuple[float, ...]:
    op = Op("", kind, (), *fields)  # type: ignore[arg-type]
    first, out = op.in_shapes[0], op.out_shape
    function = op.function
    if kind == "pool" and out[1:] == (1, 1) and op.kernel_size == first[1:]:
        function = "global"
    fused_function = next((name for joined, name in fused if joined == "activation"), "")
    return (
        _CODE.get(kind, _NOTHING), *first, *out, *op.kernel_size, op.stride[0], op.groups, _FUNCTION.get(function, 0),
        _FUNCTION.get(fused_function, 0), any(joined == "add" for joined, _ in fused),
        len(op.in_shapes) > 1 and op.in_shapes[1] != first, op.weight_bytes, op.input_bytes, op.output_bytes, op.macs,
    )  # fmt: skip


def describe(graph: Graph, subgraphs: Sequence[Subgraph], walk: Sequence[Step] | None = None) -> Matrix:
    """Returns the fields of every subgraph.

    Args:
        graph: The network.
        subgraphs: All of its pieces in the order in which they run.
        walk: What is alive while they run, from `peak.steps` with bricks of `BRICK` channels, if it is known already.

    Returns:
        Shape (subgraphs, `len(FIELDS)`).
    """
    ops = graph.ops
    peak = _lifetime_peaks(graph, subgraphs, steps(graph, subgraphs, BRICK) if walk is None else walk)
    kind_of = {op.name: _CODE.get(op.kind, _NOTHING) for op in ops}
    consumer: dict[str, int] = {}
    own = []
    for piece in subgraphs:
        anchor = ops[piece.ops[0]]
        fused = tuple([(ops[index].kind, ops[index].function) for index in piece.ops[1:]])
        own.append(_own(anchor.kind, anchor[3:], fused))
        for name in anchor.inputs:
            consumer.setdefault(name, kind_of[anchor.name])
    nothing = (0.0,) * 5
    neighbour = [(row[15], row[16], row[17], row[18], row[7]) for row in own]
    rows = []
    last = len(subgraphs) - 1
    for place, piece in enumerate(subgraphs):
        anchor, final = ops[piece.ops[0]], ops[piece.ops[-1]].name
        second = _second_input(ops, piece)
        rows.append(
            (
                *own[place],
                peak[anchor.inputs[0]],
                peak[second] if second else 0.0,
                peak[final],
                kind_of.get(anchor.inputs[0], _READS_INPUT),
                consumer.get(final, _NOTHING),
                *(neighbour[place - 1] if place else nothing),
                *(neighbour[place + 1] if place < last else nothing),
            )
        )
    return np.array(rows, dtype=float).reshape(len(rows), len(FIELDS))


def _lifetime_peaks(graph: Graph, subgraphs: Sequence[Subgraph], walk: Sequence[Step]) -> dict[str, float]:
    """Returns, of every tensor, the most bytes alive at any step between its making and its last use.

    A tensor can stay in a memory only if that memory holds everything alive as long as the tensor is. Maps are counted
    as accelerators store them, in bricks of 16 channels, and none is written over.
    """
    alive = [step.alive_bytes + step.output_bytes for step in walk]
    place_of = {graph.ops[index].name: place for place, piece in enumerate(subgraphs) for index in piece.ops}
    last_use = {name: place_of[op.name] for op in graph.ops for name in op.inputs}
    found: dict[str, float] = {INPUT: max(alive[: last_use.get(INPUT, 0) + 1])}
    for name, made in place_of.items():
        last = last_use.get(name, made)
        found[name] = max(alive[made], alive[last]) if last - made < 2 else max(alive[made : last + 1])
    return found


def _second_input(ops: Sequence[Op], piece: Subgraph) -> str:
    """The tensor that a piece reads beside its anchor's first input; empty if there is none."""
    anchor = ops[piece.ops[0]]
    if len(anchor.inputs) > 1:
        return anchor.inputs[1]
    inside = {ops[index].name for index in piece.ops}
    for index in piece.ops[1:]:
        for name in ops[index].inputs:
            if name not in inside:
                return name
    return ""


def knows(op: Op) -> bool:
    """Tells whether an operator has features."""
    return op.kind in _CODE


def class_of(raw: Matrix) -> npt.NDArray[np.int64]:
    """Returns the index into `CLASSES` of every row."""
    lookup = np.array([_CLASS.get(kind, _OTHER) for kind in KINDS_WITH_FEATURES])
    return np.where(raw[:, _AT["function"]] == _FUNCTION["global"], _GLOBAL_POOL, lookup[raw[:, 0].astype(np.int64)])


class Features(NamedTuple):
    """Numbers for regressors, (n, features), and the prior's seconds of each n rows."""

    values: Matrix
    compute_s: Matrix
    sram_s: Matrix
    dram_s: Matrix

    @property
    def whole_s(self) -> Matrix:
        """The slowest of the three."""
        whole: Matrix = np.maximum(np.maximum(self.compute_s, self.sram_s), self.dram_s)
        return whole


def feature_names() -> tuple[str, ...]:
    """Returns the names of the columns of `Features.values`."""
    return FIELDS + _DERIVED


_IN_UNITS, _OUT_UNITS, _MAP_UNITS = (8, 16, 32, 64), (8, 16, 32, 48, 64, 128), (2, 4, 8, 16)
_DERIVED = (
    "map_size", "macs_per_output", "macs_per_byte", "bytes_per_weight_byte",
    *(f"in_waste_{unit}" for unit in _IN_UNITS),
    *(f"out_waste_{unit}" for unit in _OUT_UNITS),
    *(f"height_waste_{unit}" for unit in _MAP_UNITS),
    *(f"width_waste_{unit}" for unit in _MAP_UNITS),
    "tap_waste", "group_channels", "padding_waste", "output_load", "weight_refetch", "blocks", "first_block_share",
    "by_kernel", "block_height", "block_width", "block_depth", "input_refetch", "prior_compute_s", "prior_sram_share",
    "prior_dram_share", "input_crowding", "second_crowding", "output_crowding",
)  # fmt: skip


def derive(raw: Matrix, target: Target, tiling: Tiling) -> Features:
    """Works out the features of described subgraphs on a target."""
    at = {name: raw[:, index] for name, index in _AT.items()}
    blocks = cut(_layers(at), tiling)
    compute_s, sram_s, dram_s = _prior(at, blocks, target, tiling)
    group_channels = at["in_channels"] / at["groups"]
    group_outputs = at["out_channels"] / at["groups"]
    wide = np.where(at["groups"] == at["in_channels"], at["out_channels"], group_outputs)
    inner = np.where(at["groups"] == at["in_channels"], at["in_channels"], group_channels)
    outputs = at["out_channels"] * at["out_height"] * at["out_width"]
    moved = at["input_bytes"] + at["output_bytes"]
    macs = np.maximum(at["macs"], 1)
    columns = [
        at["out_height"] * at["out_width"],
        macs / outputs,
        macs / (moved + at["weight_bytes"]),
        moved / np.maximum(at["weight_bytes"], 1),
        *_wastes(inner, _IN_UNITS),
        *_wastes(wide, _OUT_UNITS),
        *_wastes(at["out_height"], _MAP_UNITS),
        *_wastes(at["out_width"], _MAP_UNITS),
        *_wastes(at["kernel_height"] * at["kernel_width"], (4,)),
        group_channels,
        blocks.padded_macs / macs,
        blocks.outputs / np.maximum(blocks.padded_macs, 1),
        blocks.weight_reads,
        blocks.blocks,
        blocks.first_block / np.maximum(blocks.padded_macs, 1),
        blocks.by_kernel,
        blocks.height,
        blocks.width,
        blocks.depth,
        blocks.input_reads / np.maximum(at["input_bytes"], 1),
        compute_s,
        sram_s / compute_s,
        dram_s / compute_s,
        at["input_peak_bytes"] / target.sram_bytes,
        at["second_peak_bytes"] / target.sram_bytes,
        at["output_peak_bytes"] / target.sram_bytes,
    ]
    return Features(np.concatenate([raw, np.stack(columns, axis=1)], axis=1), compute_s, sram_s, dram_s)


def _layers(at: dict[str, Matrix]) -> Layers:
    matrix = at["kind"] <= _CODE["matmul"]
    return Layers(
        in_channels=at["in_channels"],
        height=at["in_height"],
        width=at["in_width"],
        out_channels=at["out_channels"],
        out_height=at["out_height"],
        out_width=at["out_width"],
        kernel_height=at["kernel_height"],
        kernel_width=at["kernel_width"],
        stride=at["stride"],
        groups=np.where(matrix, at["groups"], at["in_channels"]),
        depthwise=~matrix,
    )


def _prior(at: dict[str, Matrix], blocks: Blocks, target: Target, tiling: Tiling) -> tuple[Matrix, Matrix, Matrix]:
    """Seconds of computing, of on-chip and of off-chip transfers, before anything is learned; all above zero."""
    has_macs = at["kind"] <= _CODE["depthwise_conv2d"]
    # Maps are stored in bricks of 16 channels, which the elementwise unit walks whole.
    stored = at["out_height"] * at["out_width"] * np.ceil(at["out_channels"] / 16) * 16
    rate = np.where(at["kind"] == _CODE["depthwise_conv2d"], target.depthwise_rate, target.macs_per_cycle)
    # The tiling counts depthwise slots over a whole step of terms, of which a depthwise sum has but taps.
    array_cycles = blocks.padded_macs / target.macs_per_cycle
    element_cycles = np.maximum(stored, at["input_bytes"]) / target.elementwise_per_cycle
    out_cycles = blocks.outputs / tiling.outputs_per_cycle
    floor = at["macs"] / np.maximum(rate, target.macs_per_cycle)
    cycles = np.where(has_macs, np.maximum(np.maximum(array_cycles, out_cycles), floor), element_cycles)
    windowed = has_macs | (at["kind"] == _CODE["pool"])
    reads = np.where(windowed, blocks.input_reads + at["weight_bytes"] * blocks.weight_reads, at["input_bytes"])
    # What cannot stay on chip for as long as it lives comes from outside, as often as blocks read it.
    refetched = np.where(has_macs, np.maximum(blocks.input_reads, at["input_bytes"]), at["input_bytes"])
    outside = at["input_peak_bytes"] > target.sram_bytes
    if tiling.input_off_chip:
        outside = outside | (at["producer"] == _READS_INPUT)
    spilled = np.where(outside, refetched, 0.0)
    spilled = spilled + np.where(at["output_peak_bytes"] > target.sram_bytes, stored, 0.0)
    times = blocks.weight_reads if tiling.restreamed else 1.0
    weighted = at["weight_bytes"] > 0
    channels = tiling.channel_bytes * at["out_channels"] * blocks.weight_reads * weighted
    dram_bytes = at["weight_bytes"] * times + channels + spilled
    return (
        np.maximum(cycles, 1) / target.clock_hz,
        np.maximum(reads + stored, 1) / target.sram_bytes_per_s,
        np.maximum(dram_bytes, 1) / target.dram_bytes_per_s,
    )


def _wastes(values: Matrix, units: tuple[int, ...]) -> Matrix:
    """How many times its own size something takes once it is rounded up to whole units: (units, n)."""
    unit = np.array(units, float)[:, None]
    padded: Matrix = np.ceil(values / unit) * unit / values
    return padded
