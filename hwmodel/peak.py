"""How a compiler places activations: the largest number of on-chip bytes alive, learned from what a tool reports.

Tensors live from the subgraph that makes them to the last that reads them. Compilers differ in whether an operator
writes over an input that dies with it, in the unit of channels they store, and in how much of the weights they stage
beside the activations; each difference is a setting, and fitting takes the settings that explain most measurements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from accelzoo.hwmodel.ir import INPUT, MATRIX_KINDS, Graph
from accelzoo.hwmodel.subgraph import Subgraph

IN_PLACE_KINDS = ("activation", "add", "mul")
CHANNEL_UNITS = (1, 16)
STAGED_SHARES = (0.0, 0.5, 1.0)
STAGED_LIMITS = (1 << 14, 1 << 16, 1 << 18, 1 << 30)
TOLERANCE = 0.05


class Step(NamedTuple):
    """What is needed of one subgraph: the bytes alive beside its output, and what could replace or join them."""

    kind: str
    alive_bytes: int
    output_bytes: int
    replaceable: bool
    weight_bytes: int
    next_weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakModel:
    """Settings of one tool.

    Attributes:
        in_place: Kinds of operators that write over an input which dies with them.
        channel_unit: Stored channels are rounded up to a multiple of this.
        staged: Share of an operator's weights that lie on chip while it runs.
        staged_ahead: Share of the next operator's.
        staged_limit_bytes: Most weight bytes staged for an operator.
        cap_bytes: Size of the on-chip memory that the tool spreads activations over; None if it is not limited.
    """

    in_place: frozenset[str] = frozenset(IN_PLACE_KINDS)
    channel_unit: int = 1
    staged: float = 0.0
    staged_ahead: float = 0.0
    staged_limit_bytes: int = 1 << 30
    cap_bytes: int | None = None

    def by_operator(self, subgraphs: Sequence[Subgraph], walk: Sequence[Step]) -> tuple[int, ...]:
        """Returns the bytes on chip while each operator runs: those of the subgraph that it is part of.

        Args:
            subgraphs: The pieces of a graph, in order.
            walk: Their steps, counted in `channel_unit`.
        """
        found = [0] * sum(len(piece.ops) for piece in subgraphs)
        for piece, alive in zip(subgraphs, self._alive(walk), strict=True):
            for index in piece.ops:
                found[index] = alive
        return tuple(found)

    def _alive(self, walk: Sequence[Step]) -> list[int]:
        limit = self.staged_limit_bytes
        found = []
        for step in walk:
            bytes_alive: float = step.alive_bytes
            if not (step.replaceable and step.kind in self.in_place):
                bytes_alive += step.output_bytes
            bytes_alive += self.staged * min(step.weight_bytes, limit)
            bytes_alive += self.staged_ahead * min(step.next_weight_bytes, limit)
            found.append(math.ceil(bytes_alive))
        return found if self.cap_bytes is None else [min(alive, self.cap_bytes) for alive in found]

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; `from_json` is the inverse."""
        data = {name: getattr(self, name) for name in self.__slots__}
        return data | {"in_place": sorted(self.in_place)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds a model from `to_json`'s data."""
        return cls(**{**data, "in_place": frozenset(data["in_place"])})


def fit_peak(samples: Sequence[tuple[Graph, Sequence[Subgraph], int]]) -> PeakModel:
    """Chooses the settings with which most networks come within 5 %.

    Args:
        samples: Graph, its subgraphs, and the measured bytes; without any, the graph's own count stands.
    """
    if not samples:
        return PeakModel()
    measured = [peak for _, _, peak in samples]
    cap = _saturation(measured)
    best = (-1.0, 0.0, PeakModel())
    for unit in CHANNEL_UNITS:
        walks = [steps(graph, pieces, unit) for graph, pieces, _ in samples]
        for model in _settings(unit, cap):
            errors = [abs(max(model._alive(walk)) / peak - 1) for walk, peak in zip(walks, measured, strict=True)]
            within = sum(error <= TOLERANCE for error in errors) / len(errors)
            score = (within, -sum(min(error, 1.0) for error in errors) / len(errors))
            if score > best[:2]:
                best = (*score, model)
    return best[2]


def _settings(unit: int, cap_bytes: int | None) -> list[PeakModel]:
    found = []
    for count in range(len(IN_PLACE_KINDS) + 1):
        for kinds in itertools.combinations(IN_PLACE_KINDS, count):
            base = PeakModel(in_place=frozenset(kinds), channel_unit=unit, cap_bytes=cap_bytes)
            for now, ahead in itertools.product(STAGED_SHARES, STAGED_SHARES):
                limits = STAGED_LIMITS if now or ahead else STAGED_LIMITS[-1:]
                found += [replace(base, staged=now, staged_ahead=ahead, staged_limit_bytes=limit) for limit in limits]
    return found


def _saturation(measured: Sequence[int]) -> int | None:
    """The memory's size, if a good part of all networks fill it to within a twentieth."""
    largest = max(measured)
    full = sum(peak > 0.95 * largest for peak in measured)
    return largest if full >= max(3, len(measured) // 5) else None


def steps(graph: Graph, subgraphs: Sequence[Subgraph], unit: int) -> list[Step]:
    """Returns what is alive while each subgraph runs, with stored channels rounded up to multiples of `unit`."""
    ops = graph.ops
    count = len(subgraphs)
    # Tensors go by the number of the subgraph that makes them; the network's input by -1, the last place of each list.
    maker = {INPUT: -1}
    last_use = [*range(count), 0]
    weights = []
    for place, piece in enumerate(subgraphs):
        stored = 0
        for index in piece.ops:
            op = ops[index]
            stored += op.weight_bytes if op.kind in MATRIX_KINDS else 0
            for name in op.inputs:
                last_use[maker[name]] = place
            maker[op.name] = place
        weights.append(stored)
    dying: list[list[int]] = [[] for _ in range(count)]
    for tensor, place in enumerate(last_use):
        dying[place].append(tensor if tensor < count else -1)
    size = [0] * (count + 1)
    size[-1] = alive = math.prod(graph.input_shape)
    found = []
    for place, piece in enumerate(subgraphs):
        channels, height, width = ops[piece.ops[-1]].out_shape
        last = place == count - 1
        produced = (channels if last else -(-channels // unit) * unit) * height * width
        size[place] = produced
        replaceable = any(size[tensor] == produced for tensor in dying[place] if tensor != place)
        ahead = 0 if last else weights[place + 1]
        found.append(Step(ops[piece.ops[0]].kind, alive, produced, replaceable, weights[place], ahead))
        alive += produced - sum([size[tensor] for tensor in dying[place]])
    return found
