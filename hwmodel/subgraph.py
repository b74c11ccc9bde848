"""Cuts a graph into subgraphs: the pieces that a compiler runs as one operator.

A compiler applies an activation, and some an addition, on the way out of the operator before. Which pairs it joins
differs from one to the next; a pair of the producer's kind and the consumer's label (`("conv2d", "activation:relu")`)
says so, and a set of pairs is all that cutting needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.ir import ELEMENTWISE_KINDS, Graph, Op

Fusions = frozenset[tuple[str, str]]


class Subgraph(NamedTuple):
    """Operators that run as one, by index into `graph.ops`; the first is the anchor, whose work the others join."""

    ops: tuple[int, ...]

    @property
    def anchor(self) -> int:
        """Index of the operator that the others are fused into."""
        return self.ops[0]


def split(graph: Graph, fusions: Fusions) -> list[Subgraph]:
    """Cuts a graph.

    An operator joins the one before it in the schedule whose output it reads, if nothing else reads that output and
    the pair is among `fusions`.

    Returns:
        Subgraphs in the order of their anchors; every operator is in exactly one.
    """
    found: list[list[int]] = []
    tail_of: dict[str, int] = {}
    readers = reader_counts(graph)
    for index, op in enumerate(graph.ops):
        producer = latest_input(op, tail_of)
        if producer is not None and readers[producer] == 1:
            place = tail_of[producer]
            maker = graph.ops[found[place][-1]]
            if (maker.kind, label(op)) in fusions:
                found[place].append(index)
                tail_of[op.name] = place
                continue
        tail_of[op.name] = len(found)
        found.append([index])
    return [Subgraph(tuple(ops)) for ops in found]


def reader_counts(graph: Graph) -> dict[str, int]:
    """Returns how many inputs read each tensor that is read at all."""
    readers: dict[str, int] = {}
    for op in graph.ops:
        for name in op.inputs:
            readers[name] = readers.get(name, 0) + 1
    return readers


def latest_input(op: Op, tail_of: Mapping[str, int]) -> str | None:
    """Returns the input that was made last; None if the operator reads the network's input alone."""
    made = [name for name in op.inputs if name in tail_of]
    return max(made, key=lambda name: tail_of[name]) if made else None


def observed_fusions(samples: Iterable[tuple[Graph, Iterable[tuple[int, ...]]]]) -> Fusions:
    """Returns the pairs that a tool ran as one more often than not; only elementwise operators join another.

    Args:
        samples: Of each graph that was measured, the operators that each row covers.
    """
    together: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for graph, rows in samples:
        row_of = {index: number for number, ops in enumerate(rows) for index in ops}
        readers = reader_counts(graph)
        place = {op.name: index for index, op in enumerate(graph.ops)}
        for index, op in enumerate(graph.ops):
            producer = latest_input(op, place)
            if op.kind not in ELEMENTWISE_KINDS or index not in row_of:
                continue
            if producer is None or readers[producer] != 1:
                continue
            pair = (graph.ops[place[producer]].kind, label(op))
            seen[pair] += 1
            together[pair] += row_of.get(place[producer]) == row_of[index]
    return frozenset(pair for pair, count in seen.items() if 2 * together[pair] > count)
