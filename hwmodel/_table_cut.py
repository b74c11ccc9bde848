"""Cuts one network into the parts of a cost table: what each part holds, what enters it, what stands around it."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel._table_reach import Reach, SpanningError, looks_around, reach_of
from accelzoo.hwmodel.cost import Cost, OpCost
from accelzoo.hwmodel.estimate import live_bytes
from accelzoo.hwmodel.ir import INPUT, Graph, Op
from accelzoo.hwmodel.target import Target

Estimator = Callable[[Graph, Target], Cost]
Place = int
"""Where a knob or an operator stands: the stem, the stage of that number, the head."""

STEM, HEAD = -1, 1 << 30
FLOAT_FIELDS = ("latency_s", "energy_j")
PEAK_FIELD = "peak_activation_bytes"
SUM_FIELDS = tuple(name for name in Cost.fields() if name not in (*FLOAT_FIELDS, PEAK_FIELD))
_IN_STAGE = re.compile(r"blocks\.(\d+)\.")


class CostTableError(AccelzooError):
    """A table that cannot be exact, or would be too large; the message says why and what to do instead."""


class UncutError(CostTableError):
    """A network that does not fall into parts, one after the other."""


class MakersMatterError(Exception):
    """A part begins with an activation, whose price depends on what the part before ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One part of one network, as it was priced inside that network.

    Attributes:
        entering: What the part sees of what runs before it: shape and width of every tensor that crosses into it, what
            makes those if it matters, and the fields of the last operators before it, as many as the target looks at.
        content: Its operators without names, and their live bytes; equal contents under one entering are the same part.
        leading: What the part before it sees of it and of what follows.
        following: What it sees of what follows: the next part's `leading`.
        peak_bytes: Largest number of activation bytes alive in it.
        weight_bytes: Stored weights.
        prices: Latency and energy of every operator that has any, in order, complex128 `latency_s + energy_j · 1j`: a
            complex sum adds both, each by itself.
        sums: Its sums of `SUM_FIELDS`, in that order.
        unpriced: How many of its operators the target cannot run.
    """

    entering: tuple[Any, ...]
    content: int
    leading: tuple[Any, ...]
    following: tuple[Any, ...]
    peak_bytes: int
    weight_bytes: int
    prices: tuple[complex, ...]
    sums: tuple[int, ...]
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """A whole network in parts.

    Attributes:
        parts: The parts in order.
        cost: What `estimate` says of the whole.
        streams: Whether the target streams weights of this network because they do not all fit on chip, so that the
            price of each operator depends on all others.
    """

    parts: tuple[Piece, ...]
    cost: Cost
    streams: bool


def place_of(knob: Any) -> Place | None:
    """Returns where a knob stands, by its `path`; None if it concerns the whole network or does not say."""
    path = tuple(getattr(knob, "path", ()))
    if path[:1] in (("stem",), ("head",)):
        return STEM if path[0] == "stem" else HEAD
    return path[1] if len(path) > 1 and path[0] == "stages" and isinstance(path[1], int) else None


def cut(graph: Graph, target: Target, estimate: Estimator, places: Sequence[Place], makers: bool) -> Pieces:
    """Prices a network and cuts it behind the operators of every place but the last.

    Args:
        graph: The network; its marks, or else operators called `blocks.<i>.…`, say where stage `i` begins.
        target: The accelerator.
        estimate: Prices it.
        places: Where parts begin, ascending; the first one takes what stands before it as well.
        makers: Whether parts see which operators make the tensors that enter them, and who else reads those; a target
            that looks around always does.

    Raises:
        MakersMatterError: If they do not, and an activation reads such a tensor: what makes it may fuse it.
        UncutError: If the operators do not stand in the order of the places, or totals are not sums of rows.
    """
    cost = estimate(graph, target)
    placed = live_bytes(graph, target)
    check_sums(graph, cost, max(placed))
    bounds = _bounds(graph, places)
    around = looks_around(target)
    try:
        reach = reach_of(graph, target, cost, bounds, makers)
    except SpanningError:
        raise MakersMatterError from None
    views = _views(graph, bounds, reach, makers or around, around)
    live = graph.live_bytes()
    parts = []
    for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
        rows = cost.by_op[start:stop]
        piece = Piece(
            entering=views[index].entering,
            content=_content(graph.ops[start:stop], live[start:stop], views[index].crossing),
            leading=views[index].leading,
            following=views[index + 1].leading,
            peak_bytes=max(placed[start:stop], default=0),
            weight_bytes=sum([row.weight_bytes for row in rows]),
            prices=tuple([complex(row.latency_s, row.energy_j) for row in rows if row.latency_s or row.energy_j]),
            sums=tuple([sum([getattr(row, name) for row in rows]) for name in SUM_FIELDS]),
            unpriced=sum([row.bound == "unpriced" for row in rows]),
        )
        parts.append(piece)
    return Pieces(parts=tuple(parts), cost=cost, streams=streams(target, cost.weight_bytes))


def streams(target: Target, weight_bytes: int) -> bool:
    """Whether weights that should lie on chip do not all fit there."""
    capacity = weight_capacity(target)
    return capacity is not None and weight_bytes > capacity


def weight_capacity(target: Target) -> int | None:
    """On-chip memory for weights; None where the network's weights are no matter of size."""
    return getattr(target, "weight_sram_bytes", None)


def check_sums(graph: Graph, cost: Cost, peak_bytes: int) -> None:
    """Refuses a cost whose totals are not its rows' sums from left to right, which a table could not reproduce."""
    totals = row_sums(cost.by_op)
    faults = [f"{name} is {getattr(cost, name)!r}, its rows add up to {total!r}" for name, total in totals.items()
              if getattr(cost, name) != total]  # fmt: skip
    if len(cost.by_op) != len(graph.ops):
        faults.append(f"{len(cost.by_op)} rows for {len(graph.ops)} operators")
    if cost.peak_activation_bytes != peak_bytes:
        faults.append(f"{PEAK_FIELD} is {cost.peak_activation_bytes}, the graph's is {peak_bytes}")
    if len(cost.unpriced) != sum([row.bound == "unpriced" for row in cost.by_op]):
        faults.append("unpriced does not name the rows that are")
    if faults:
        raise UncutError(f"the estimator's totals are not those of its rows: {'; '.join(faults)}")


def row_sums(rows: Sequence[OpCost]) -> Mapping[str, float]:
    """Returns every field that is a sum over rows, added from left to right."""
    totals: dict[str, float] = {}
    for name in (*FLOAT_FIELDS, *SUM_FIELDS):
        total: float = 0.0 if name in FLOAT_FIELDS else 0
        for row in rows:
            total += getattr(row, name)
        totals[name] = total
    return totals


def _bounds(graph: Graph, places: Sequence[Place]) -> list[int]:
    """Returns the index of the first operator of every part, and the number of operators."""
    if graph.marks and len(places) > 1:
        starts = {place: graph.marks[-1 if place == HEAD else place] for place in places[1:]}
        return [0, *starts.values(), len(graph.ops)]
    found = [_IN_STAGE.match(op.name) for op in graph.ops]
    in_stage = [index for index, match in enumerate(found) if match]
    if len(places) > 1 and not in_stage:
        raise UncutError("no operator is called 'blocks.<stage>.…', so the network does not say where its parts are")
    first = in_stage[0] if in_stage else 0
    parts = []
    for index, match in enumerate(found):
        place = int(match[1]) if match else STEM if index < first else HEAD
        parts.append(max(0, bisect_right(places, place) - 1))
    late = next((i for i in range(1, len(parts)) if parts[i] < parts[i - 1]), None)
    if late is not None:
        raise UncutError(f"operator {graph.ops[late].name!r} runs after those of a later part")
    return [int(x) for x in np.searchsorted(parts, range(len(places) + 1))]


def _content(ops: Sequence[Op], live: Sequence[int], crossing: Sequence[str]) -> int:
    """Returns a hash of all that a part is: operators without their names, how they are joined, and live bytes."""
    made = {**{name: -1 - index for index, name in enumerate(crossing)}, **{op.name: i for i, op in enumerate(ops)}}
    joined = [tuple([made[name] for name in op.inputs]) for op in ops]
    return hash(tuple([(op.kind, op[3:], x, alive) for op, x, alive in zip(ops, joined, live, strict=True)]))


@dataclass(frozen=True, slots=True)
class _View:
    """What is seen across one bound, and the names of the tensors that cross it in the order in which they are made."""

    crossing: tuple[str, ...]
    entering: tuple[Any, ...]
    leading: tuple[Any, ...]


def _views(graph: Graph, bounds: Sequence[int], reach: Reach, makers: bool, around: bool) -> list[_View]:
    ops = graph.ops
    readers: dict[str, list[int]] = {}
    for index, op in enumerate(ops):
        for name in dict.fromkeys(op.inputs):
            readers.setdefault(name, []).append(index)
    made = {INPUT: -1, **{op.name: index for index, op in enumerate(ops)}}
    spans = sorted([(made[name], at[-1], name) for name, at in readers.items()])
    views = []
    for bound, start, stop in zip(bounds, reach.before, reach.behind, strict=True):
        crossing = tuple([name for maker, last, name in spans if maker < bound <= last])
        if not makers and any(ops[i].kind == "activation" for name in crossing for i in readers[name] if i >= bound):
            raise MakersMatterError
        tensors = []
        for name in crossing:
            maker = ops[made[name]] if name != INPUT else None
            shape = (maker.out_shape, maker.activation_bits) if maker else (graph.input_shape, graph.activation_bits)
            earlier = sum([index < bound for index in readers[name]])
            distance = min(bound - made[name], bound - start + 1)
            tensors.append((*shape, *((maker.kind if maker else "", earlier, distance) if makers else ())))
        numbers = {name: -1 - number for number, name in enumerate(crossing)}
        before = tuple([_seen(graph, index, made, {}, start) for index in range(start, bound)])
        leading = [_seen(graph, index, made, numbers, start) for index in range(bound, stop)]
        if around:
            leading += [tuple([(ops[i].kind, ops[i][3:]) for i in readers[x] if i >= bound]) for x in crossing]
        views.append(_View(crossing, (tuple(tensors), before), tuple(leading)))
    return views


def _seen(
    graph: Graph, index: int, made: Mapping[str, int], crossing: Mapping[str, int], start: int
) -> tuple[Any, ...]:
    """What a neighbour sees of an operator: its fields, which crossing tensor or how far back it reads, live bytes."""
    op, live = graph.ops[index], graph.live_bytes()
    reads = [crossing.get(name, min(index - made[name], index - start + 1)) for name in op.inputs]
    return (op.kind, op[3:], tuple(reads), live[index])
