"""The factor graph of a width space: runs of operators, each with the groups of channels that its price depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from accelzoo.hwmodel.ir import Graph, Op

MOST_GROUPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """Operators that run one after the other and depend on the same few groups.

    Attributes:
        name: The part of the network and, if it has several runs, which: `stem`, `blocks.1.0`, `blocks.1.0/1`, `head`.
        groups: Indices of the groups that its shapes and the memory alive beside it depend on, ascending.
        first: Index of its first operator.
        last: Index of its last operator.
    """

    name: str
    groups: tuple[int, ...]
    first: int
    last: int

    @property
    def operators(self) -> range:
        """Indices of its operators in the network's graph."""
        return range(self.first, self.last + 1)


class Reach(NamedTuple):
    """The operators that a group's width changes: their own shapes, and the bytes alive beside them."""

    shapes: frozenset[int]
    memory: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """What changes of a network with its widths.

    Attributes:
        names: Names, kinds and inputs of the operators: the same in all networks of a space.
        ops: The operators.
        alive: The bytes alive while each of them runs.
    """

    names: tuple[Any, ...]
    ops: tuple[Op, ...]
    alive: tuple[int, ...]

    def changed(self, others: Iterable[Footprint]) -> Reach:
        """Returns the operators that differ in one of the others."""
        shapes, memory = set(), set()
        for other in others:
            pairs = zip(self.ops, other.ops, self.alive, other.alive, strict=True)
            for index, (own, its, alive, then) in enumerate(pairs):
                if own[3:] != its[3:]:
                    shapes.add(index)
                if alive != then:
                    memory.add(index)
        return Reach(frozenset(shapes), frozenset(memory))


def footprint(graph: Graph) -> Footprint:
    """Returns a network's footprint."""
    return Footprint(tuple([op[:3] for op in graph.ops]), graph.ops, graph.live_bytes())


def find_factors(graph: Graph, touched: Sequence[Reach]) -> tuple[Factor, ...]:
    """Cuts a network into runs of operators whose groups contain one another.

    A run never goes beyond the stem, a block or the head, so that equal blocks make equal runs: in a chain of
    depthwise-separable blocks each is one run over the channels before and behind it, the layer of AOWS's latency model
    (Berman et al. 2020, latency model).

    Args:
        graph: The original network, one block to a stage.
        touched: For every group the operators that depend on it. Where what is alive would join more than three groups,
            as in heads on several feature maps, shapes alone count.

    Returns:
        The runs in order; every operator is in one.
    """
    shapes = [frozenset([g for g, reach in enumerate(touched) if i in reach.shapes]) for i in range(len(graph.ops))]
    memory = [frozenset([g for g, reach in enumerate(touched) if i in reach.memory]) for i in range(len(graph.ops))]
    bounds = [0, *graph.marks, len(graph.ops)]
    factors: list[Factor] = []
    for part, (start, stop) in enumerate(pairwise(bounds)):
        runs = _runs([shapes[i] | memory[i] for i in range(start, stop)], start)
        if any(len(scope) > MOST_GROUPS for scope, _ in runs):
            runs = _runs(shapes[start:stop], start)
        name = _part_name(graph.ops[start], part, len(bounds) - 2) if start < stop else ""
        ends = [*[first for _, first in runs[1:]], stop]
        for number, ((scope, first), end) in enumerate(zip(runs, ends, strict=True)):
            label = f"{name}/{number}" if number else name
            factors.append(Factor(name=label, groups=tuple(sorted(scope)), first=first, last=end - 1))
    return tuple(factors)


def _runs(scopes: Sequence[frozenset[int]], start: int) -> list[tuple[frozenset[int], int]]:
    """Returns the groups of every run and its first operator."""
    runs: list[tuple[frozenset[int], int]] = []
    for index, scope in enumerate(scopes, start):
        if runs and (scope <= runs[-1][0] or runs[-1][0] <= scope):
            runs[-1] = (scope | runs[-1][0], runs[-1][1])
        else:
            runs.append((scope, index))
    return runs


def _part_name(op: Op, part: int, last: int) -> str:
    if part in (0, last):
        return "stem" if part == 0 else "head"
    return ".".join(op.name.split(".")[:3])
