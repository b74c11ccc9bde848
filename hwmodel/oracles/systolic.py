"""A weight-stationary systolic array in closed form: cycles of computing alone, for arrays that nobody has built yet.

A matrix product of K × N weights with M columns of activations takes, on R rows by C columns,

    ⌈K / R⌉ · ⌈N / C⌉ · (M + 2R + C − 2) − 1 cycles

for the whole layer: each tile of weights is loaded in R cycles, M vectors stream through, and the last result leaves
R + C − 2 cycles after the last vector enters (Samajdar et al., "A Systematic Methodology for Characterizing Scalability
of DNN Accelerators using SCALE-Sim", ISPASS 2020). K is the length of a sum (window times input channels), N the output
channels, M the output positions; groups run one after the other, so that a depthwise convolution uses one column.

What is not multiplied runs on a vector unit as wide as the array, after it: C elements per cycle, of the output or, of
a pool, of its windows. An activation that alone reads what a matrix product or an addition makes is applied on the way
out and shares its row.

**Not modelled: memory.** Weights and activations are always there in time, so the latency is a lower bound.
"""

from __future__ import annotations

import math
import re

from accelzoo.hwmodel.analytic import label
from accelzoo.hwmodel.ir import ACTIVATIONS, MATRIX_KINDS, Graph, Op
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.oracles.protocol import UnsupportedByToolError
from accelzoo.hwmodel.subgraph import split

TARGETS = tuple(f"systolic-{size}x{size}" for size in (8, 16, 32, 64, 128, 256))
CLOCK_HZ = 1e9
STREAMED_KINDS = ("activation", "add", "mul", "pool", "resize", "concat")
FUSIONS = frozenset((kind, f"activation:{name}") for kind in (*MATRIX_KINDS, "add") for name in ACTIVATIONS)


def create(target: str, *, clock_hz: float = CLOCK_HZ) -> Systolic:
    """Makes the oracle.

    Args:
        target: `systolic-ROWSxCOLUMNS`.
        clock_hz: Cycles per second.
    """
    found = re.fullmatch(r"systolic-(\d+)x(\d+)", target)
    assert found is not None, target
    return Systolic(int(found[1]), int(found[2]), clock_hz)


def matrix_cycles(terms: int, outputs: int, positions: int, rows: int, columns: int) -> int:
    """Returns the cycles of a layer: `terms` is K, `outputs` N, `positions` M."""
    tiles = -(-terms // rows) * -(-outputs // columns)
    return tiles * (positions + 2 * rows + columns - 2) - 1


class Systolic:
    """Counts the cycles of graphs on one array."""

    def __init__(self, rows: int, columns: int, clock_hz: float = CLOCK_HZ) -> None:
        self._rows, self._columns, self._clock_hz = rows, columns, clock_hz

    @property
    def provenance(self) -> Provenance:
        """The array and its clock."""
        settings = {
            "rows": self._rows,
            "columns": self._columns,
            "clock_hz": self._clock_hz,
            "dataflow": "weight stationary",
            "memory": "not modelled",
        }
        target = f"systolic-{self._rows}x{self._columns}"
        return Provenance(oracle="systolic", target=target, tool="closed-form-1", settings=settings)

    def measure(self, graph: Graph) -> Measurement:
        """Counts the cycles of one inference.

        Raises:
            UnsupportedByToolError: If there are operators that neither the array nor the vector unit runs.
        """
        unknown = [op for op in graph.ops if op.kind not in (*MATRIX_KINDS, "matmul", *STREAMED_KINDS)]
        if unknown:
            raise UnsupportedByToolError(self.provenance.target, [f"{op.name} ({label(op)})" for op in unknown])
        groups = split(graph, FUSIONS)
        cycles = [self._cycles(graph.ops[group.anchor]) for group in groups]
        rows = [
            OpMeasurement(group.ops, count / self._clock_hz, extra=(("cycles", count),))
            for group, count in zip(groups, cycles, strict=True)
        ]
        return Measurement(graph=graph, latency_s=sum(cycles) / self._clock_hz, rows=tuple(rows))

    def _cycles(self, op: Op) -> int:
        if op.kind == "matmul":
            batch, positions, terms = op.in_shapes[0]
            return batch * matrix_cycles(terms, op.out_shape[2], positions, self._rows, self._columns)
        if op.kind in MATRIX_KINDS:
            terms = math.prod(op.kernel_size) * op.in_shape[0] // op.groups
            positions = op.out_shape[1] * op.out_shape[2]
            outputs = op.out_shape[0] // op.groups
            return op.groups * matrix_cycles(terms, outputs, positions, self._rows, self._columns)
        elements = math.prod(op.out_shape) * math.prod(op.kernel_size)
        return -(-elements // self._columns)
