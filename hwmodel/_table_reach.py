"""How far the price of an operator looks: which operators before and after it decide on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accelzoo.hwmodel.cost import Cost
from accelzoo.hwmodel.ir import INPUT, Graph
from accelzoo.hwmodel.learned import learned_part
from accelzoo.hwmodel.subgraph import split
from accelzoo.hwmodel.target import Target


class Reach(NamedTuple):
    """How far prices look across each bound between parts.

    Attributes:
        before: For every bound, the index of the first operator that those from there on look at.
        behind: The index behind the last operator that those before it look at.
    """

    before: list[int]
    behind: list[int]


class SpanningError(Exception):
    """A subgraph begins in one part and ends in the next."""


def looks_around(target: Target) -> bool:
    """Whether prices on the target depend on more than an operator's own fields and live bytes."""
    return bool(getattr(target, "context_radius", 0))


def reach_of(graph: Graph, target: Target, cost: Cost, bounds: Sequence[int], spanning: bool) -> Reach:
    """Returns how far prices look across bounds.

    A target with learned subgraphs counts its `context_radius` in those of them that take time. It may also look at
    what is alive for as long as a tensor is, and at what is fetched ahead for the next subgraph, whatever that is.
    Other targets count in operators.

    Args:
        graph: The network.
        target: The accelerator.
        cost: The network's price on it.
        bounds: Indices of the operators where parts begin, and of the end.
        spanning: Whether subgraphs may span a bound in this space. Then one more is counted on either side, and what
            is seen does not depend on whether one does in this network.

    Raises:
        SpanningError: If they may not, and one does.
    """
    count = len(graph.ops)
    radius = int(getattr(target, "context_radius", 0))
    pieces = _subgraphs(graph, target)
    if pieces is None:
        return Reach([max(0, bound - radius) for bound in bounds], [min(count, bound + radius) for bound in bounds])
    if not spanning and any(min(ops) < bound <= max(ops) for ops in pieces for bound in bounds):
        raise SpanningError
    timed = [cost.by_op[ops[0]].bound not in ("fused", "unpriced") for ops in pieces]
    pairs = list(zip(pieces, timed, strict=True))
    counted = radius + spanning
    before, behind = [], []
    for bound, (maker, reader) in zip(bounds, _crossing_spans(graph, bounds), strict=True):
        earlier = [ops[0] for ops, takes_time in pairs if takes_time and ops[0] < bound]
        before.append(min([*(earlier[-counted:] if counted else ()), maker, bound]))
        ends = [
            (max(ops) + 1, takes_time or (spanning and min(ops) <= bound))
            for ops, takes_time in pairs
            if max(ops) >= bound
        ]
        seen = [end for end, counts in ends if counts][:counted] + [end for end, _ in ends[: 1 + spanning]]
        behind.append(max([*seen, reader + 1, bound]))
    return Reach(before, behind)


def _subgraphs(graph: Graph, target: Target) -> list[tuple[int, ...]] | None:
    if getattr(target, "learned", None) is None:
        return None
    fusions = getattr(learned_part(target), "fusions", None)
    return None if fusions is None else [piece.ops for piece in split(graph, fusions)]


def _crossing_spans(graph: Graph, bounds: Sequence[int]) -> list[tuple[int, int]]:
    """Returns for every bound the first maker and the last reader of the tensors that cross it."""
    made = {INPUT: -1, **{op.name: index for index, op in enumerate(graph.ops)}}
    last = {name: index for index, op in enumerate(graph.ops) for name in op.inputs}
    spans = []
    for bound in bounds:
        crossing = [(made[name], index) for name, index in last.items() if made[name] < bound <= index]
        first = min([maker for maker, _ in crossing], default=bound)
        spans.append((max(first, 0), max([index for _, index in crossing], default=bound - 1)))
    return spans
