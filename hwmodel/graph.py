"""A network as a sequence of operators, checked when it is made, with the memory it keeps alive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.errors import ShapeError, suggestion
from accelzoo.hwmodel.op import ELEMENTWISE_KINDS, INPUT, KINDS, Op, Shape, misfit, whole_bytes


class Graph:
    """An immutable, validated sequence of operators in the order in which they run.

    The schedule is the order given: accelerators of this class run one operator after the other. The last operator
    makes the output. An operator may read a tensor in another shape than it was made in, as long as that has no more
    elements: reshaping, transposing and slicing are views and no operators.

    Args:
        ops: The operators in execution order.
        input_shape: `(channels, height, width)` of the input.
        activation_bits: Width of the input's elements.
        marks: Indices of the operators with which the network's parts begin, behind the first part; what an
            architecture calls its stages, and its head. They are no part of the graph's value.

    Raises:
        ShapeError: If a name repeats, an input does not exist yet, or shapes do not fit.
    """

    __slots__ = ("_live_bytes", "activation_bits", "input_shape", "marks", "ops")

    def __init__(
        self, ops: Sequence[Op], input_shape: Shape, activation_bits: int = 8, marks: tuple[int, ...] = ()
    ) -> None:
        self.ops: tuple[Op, ...] = tuple(ops)
        self.marks = marks
        self.input_shape = input_shape
        self.activation_bits = activation_bits
        self._live_bytes: tuple[int, ...] | None = None
        self._validate()

    @classmethod
    def of_builder(
        cls, ops: Sequence[Op], input_shape: Shape, activation_bits: int, marks: tuple[int, ...]
    ) -> Graph:
        """A graph of operators that a builder has checked one by one, which are not checked again.

        Raises:
            ShapeError: If there are none.
        """
        if not ops:
            raise ShapeError("a graph needs at least one operator")
        graph = cls.__new__(cls)
        graph.ops, graph.input_shape = tuple(ops), input_shape
        graph.activation_bits, graph.marks = activation_bits, marks
        graph._live_bytes = None
        return graph

    def _validate(self) -> None:
        if not self.ops:
            raise ShapeError("a graph needs at least one operator")
        known: dict[str, Shape] = {INPUT: self.input_shape}
        for op in self.ops:
            if op.kind not in KINDS:
                raise ShapeError(f"operator {op.name!r}: unknown kind {op.kind!r}{suggestion(op.kind, KINDS)}")
            if op.name in known:
                raise ShapeError(f"operator {op.name!r} appears twice")
            if not op.inputs or len(op.inputs) != len(op.in_shapes):
                raise ShapeError(f"operator {op.name!r}: {len(op.inputs)} inputs but {len(op.in_shapes)} input shapes")
            for name, shape in zip(op.inputs, op.in_shapes, strict=True):
                if name not in known:
                    raise ShapeError(f"operator {op.name!r} reads {name!r}, which nothing before it makes")
                if known[name] != shape and not _is_view(shape, known[name]):
                    raise ShapeError(f"operator {op.name!r} reads {name!r} as {shape}, but it is {known[name]}")
            if fault := misfit(op):
                raise ShapeError(f"operator {op.name!r}: {fault}")
            known[op.name] = op.out_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Graph({len(self.ops)} operators, input_shape={self.input_shape}, macs={self.macs:,})"

    def _key(self) -> tuple[object, ...]:
        return (self.ops, self.input_shape, self.activation_bits)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference at batch 1."""
        return sum(op.macs for op in self.ops)

    @property
    def weight_count(self) -> int:
        """Number of weights, biases not counted."""
        return sum(op.weight_count for op in self.ops)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights and biases."""
        return sum(op.weight_bytes for op in self.ops)

    @property
    def peak_activation_bytes(self) -> int:
        """The largest number of activation bytes alive at any step of the schedule."""
        return max(self.live_bytes())

    def live_bytes(self) -> tuple[int, ...]:
        """Bytes of activations alive while each operator runs, in schedule order.

        Alive are the operator's inputs, its output and every tensor that a later operator still reads. Activations,
        additions and multiplications write over an input of the output's size which dies with them.
        """
        if self._live_bytes is None:
            self._live_bytes = self._liveness()
        return self._live_bytes

    def _liveness(self) -> tuple[int, ...]:
        last_use = {name: index for index, op in enumerate(self.ops) for name in op.inputs}
        size = {INPUT: whole_bytes(math.prod(self.input_shape) * self.activation_bits)}
        alive = size[INPUT]
        peaks = []
        for index, op in enumerate(self.ops):
            produced = size[op.name] = op.output_bytes
            dying = [name for name in dict.fromkeys(op.inputs) if last_use[name] == index]
            in_place = op.kind in ELEMENTWISE_KINDS and any(size[name] == produced for name in dying)
            peaks.append(alive if in_place else alive + produced)
            alive += produced - sum(size[name] for name in dying)
            if op.name not in last_use and index + 1 < len(self.ops):
                alive -= produced
        return tuple(peaks)

    def to_json(self) -> dict[str, Any]:
        """Returns the graph as plain JSON data; `from_json` is the inverse."""
        return {
            "input_shape": list(self.input_shape),
            "activation_bits": self.activation_bits,
            "ops": [_op_to_json(op) for op in self.ops],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Rebuilds a graph from `to_json`'s data.

        Raises:
            ShapeError: If the data is not that of a valid graph.
        """
        try:
            ops = [Op(**{key: _tuples(value) for key, value in op.items()}) for op in data["ops"]]
            return cls(ops, _tuples(data["input_shape"]), data["activation_bits"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ShapeError(f"not the data of a graph: {error!r}") from None


def _is_view(shape: Shape, made: Shape) -> bool:
    return min(shape) >= 1 and math.prod(shape) <= math.prod(made)


def _op_to_json(op: Op) -> dict[str, Any]:
    defaults = Op._field_defaults
    return {key: value for key, value in op._asdict().items() if key not in defaults or value != defaults[key]}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
