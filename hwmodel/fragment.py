"""Operators that are made once and put into graphs at many places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accelzoo.hwmodel.op import INPUT, Op, Shape

MOST_PLACES = 256


class Placed(NamedTuple):
    """A fragment's operators under the names that they have at one place."""

    ops: tuple[Op, ...]
    shapes: dict[str, Shape]  # of every operator's output, by name
    last: str


class Fragment:
    """A run of operators with names of their own, whose input is called `INPUT`.

    Args:
        ops: Operators in the order in which they run, the last of which makes the output; at least one.
    """

    __slots__ = ("_places", "ops")

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = tuple(ops)
        self._places: dict[tuple[str, str], Placed] = {}

    def placed(self, prefix: str, x: str) -> Placed:
        """The operators with `prefix` in front of their names, reading tensor `x`; remembered for the next time."""
        place = self._places.get((prefix, x))
        if place is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = self._places[prefix, x] = self._place(prefix, x)
        return place

    def _place(self, prefix: str, x: str) -> Placed:
        ops = []
        for op in self.ops:
            inputs = tuple([x if read == INPUT else prefix + read for read in op.inputs])
            ops.append(tuple.__new__(Op, (prefix + op.name, op.kind, inputs, *op[3:])))
        return Placed(tuple(ops), {op.name: op.out_shape for op in ops}, ops[-1].name)
