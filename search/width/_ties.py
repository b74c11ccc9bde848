"""Which tensors of a network must have equally many channels, read off its operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accelzoo.hwmodel.ir import INPUT, Graph, Op
from accelzoo.hwmodel.op import Shape

KEEPING_KINDS = ("depthwise_conv2d", "activation", "pool", "resize", "softmax")
JOINING_KINDS = ("add", "mul")


@dataclass(frozen=True, slots=True, eq=False)
class ChannelTies:
    """The channels of every tensor, cut where a concatenation put them side by side.

    Attributes:
        segments: Tensor → pairs of tied class and number of channels, first channel first. Segments of one class have
            equally many channels in every network of this form: a convolution begins a class, depthwise convolutions,
            activations, poolings and resizings hand theirs on, additions and gates join those of both operands.
        bound: Classes whose size something else decides: the input, and parts of tensors that are added although they
            were concatenated from pieces of other sizes.
    """

    segments: dict[str, tuple[tuple[int, int], ...]]
    bound: frozenset[int]

    def class_of(self, tensor: str) -> int | None:
        """Returns the class of a tensor that one class makes up; None for a concatenation."""
        found = self.segments[tensor]
        return found[0][0] if len(found) == 1 else None


def channel_ties(graph: Graph) -> ChannelTies:
    """Finds the tied channels of a network, whatever its family.

    Args:
        graph: The operators; convolutions, linear layers, matrix products and unknown operators begin new classes, and
            so does a tensor that is read in another shape than it was made in.

    Returns:
        The classes; their numbers ascend with the order in which they first appear.
    """
    finder = _Finder(graph)
    for op in graph.ops:
        finder.add(op)
    return finder.ties()


class _Finder:
    """Union-find over segments."""

    def __init__(self, graph: Graph) -> None:
        self._parent: list[int] = []
        self._bound: set[int] = set()
        self._shapes: dict[str, Shape] = {INPUT: graph.input_shape}
        self._segments = {INPUT: self._new(graph.input_shape[0])}
        self._bound.add(0)

    def add(self, op: Op) -> None:
        """Works out the segments of an operator's output."""
        read = [self._read(name, shape) for name, shape in zip(op.inputs, op.in_shapes, strict=True)]
        self._shapes[op.name] = op.out_shape
        if op.kind == "concat":
            self._segments[op.name] = tuple(segment for segments in read for segment in segments)
        elif op.kind in JOINING_KINDS:
            for other in read[1:]:
                self._join(read[0], other)
            self._segments[op.name] = read[0]
        elif op.kind in KEEPING_KINDS and op.out_shape[0] == op.in_shape[0]:
            self._segments[op.name] = read[0]
        else:
            self._segments[op.name] = self._new(op.out_shape[0])

    def ties(self) -> ChannelTies:
        """Returns what was found."""
        segments = {
            name: tuple([(self._root(number), size) for number, size in found])
            for name, found in self._segments.items()
        }
        return ChannelTies(segments, frozenset(map(self._root, self._bound)))

    def _read(self, name: str, shape: Shape) -> tuple[tuple[int, int], ...]:
        return self._segments[name] if self._shapes[name][0] == shape[0] else self._new(shape[0])

    def _new(self, channels: int) -> tuple[tuple[int, int], ...]:
        self._parent.append(len(self._parent))
        return ((len(self._parent) - 1, channels),)

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            number = self._parent[number]
        return number

    def _join(self, one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> None:
        pairs = list(_aligned(one, other))
        for first, second, whole in pairs:
            low, high = sorted((self._root(first), self._root(second)))
            self._parent[high] = low
            if not whole:
                self._bound.add(low)


def _aligned(
    one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, bool]]:
    """Yields the pairs of segments that share channels, and whether they are the same channels from first to last."""
    place, spans = 0, []
    for number, size in other:
        spans.append((number, place, place + size))
        place += size
    start = 0
    for number, size in one:
        for second, low, high in spans:
            if low < start + size and start < high:
                yield number, second, (low, high) == (start, start + size)
        start += size
