"""Compiles a quantised network for an accelerator and sets the compiler's figures beside the estimate.

The compiler is Arm's Vela, for the Ethos-U targets; it compiles the trained weights, of whose compression sizes and
times depend a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.errors import unknown_name
from accelzoo.hwmodel import Cost, Graph, Target, estimate, load_target

if TYPE_CHECKING:
    from accelzoo.hwmodel.measurement import Measurement
    from accelzoo.hwmodel.oracles.ethos_u import Memory
    from accelzoo.quantization import QuantizedNetwork

MODEL_FILE, COMPILED_FILE, REPORT_FILE, OPERATORS_FILE = (
    "model.tflite", "model_vela.tflite", "report.json", "operators.csv",
)  # fmt: skip


class Part(NamedTuple):
    """Operators that run as one, or a part of the network: what the estimate and the compiler say in seconds."""

    name: str
    kind: str
    estimated_s: float
    compiled_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileReport:
    """A network as a compiler sees it.

    Attributes:
        target: The accelerator.
        tool: The compiler with its version.
        latency_s: Seconds of one inference, as the compiler estimates them.
        peak_activation_bytes: On-chip memory used at once.
        weight_bytes: Stored weights, as the compiler encodes them.
        dram_bytes: Moved to and from memories outside the chip in one inference.
        memories: By the compiler's name: bytes used at once, read and written.
        operators: What runs as one, in order.
        stages: The parts of the network: its stem, stages and head.
        estimate: What accelzoo's target says of the same graph.
        tflite: The model before the compiler, int8.
        compiled: The model after it, which the accelerator's driver runs.
    """

    target: str
    tool: str
    latency_s: float
    peak_activation_bytes: int
    weight_bytes: int
    dram_bytes: int
    memories: Mapping[str, Memory]
    operators: tuple[Part, ...]
    stages: tuple[Part, ...]
    estimate: Cost
    tflite: bytes = field(repr=False)
    compiled: bytes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON data: all but the models, and of the estimate the totals."""
        return {
            "target": self.target,
            "tool": self.tool,
            **{name: getattr(self, name) for name in _FIGURES},
            "tflite_bytes": len(self.tflite),
            "compiled_bytes": len(self.compiled),
            "memories": {name: memory._asdict() for name, memory in self.memories.items()},
            "estimate": {name: getattr(self.estimate, name) for name in _FIGURES},
            "stages": [part._asdict() for part in self.stages],
            "operators": [part._asdict() for part in self.operators],
        }


_FIGURES = ("latency_s", "peak_activation_bytes", "weight_bytes", "dram_bytes")


def compile_network(quantized: QuantizedNetwork, target: str | Path | Target) -> CompileReport:
    """Compiles a quantised network.

    Args:
        quantized: From `accelzoo.quantization.quantize`.
        target: One of the Ethos-U targets, by name, file or value.

    Raises:
        UnknownNameError: If the compiler does not know the target.
        UnsupportedByToolError: If an operator would run on the host's CPU.
        OracleError: If the compiler fails.
        MissingToolError: If the extra `npu` is not installed.
    """
    from accelzoo.hwmodel.oracles import ethos_u

    known = compiler_target(target)
    oracle = ethos_u.create(known.name)
    graph = quantized.arch.lower()
    compilation = oracle.compile(graph, quantized.model)
    cost, found = estimate(graph, known), compilation.measurement
    assert found.peak_activation_bytes is not None
    assert found.weight_bytes is not None
    assert found.dram_bytes is not None
    return CompileReport(
        target=known.name,
        tool=oracle.provenance.tool,
        latency_s=found.latency_s,
        peak_activation_bytes=found.peak_activation_bytes,
        weight_bytes=found.weight_bytes,
        dram_bytes=found.dram_bytes,
        memories=compilation.memories,
        operators=tuple(_operators(graph, cost, found)),
        stages=tuple(_stages(graph, cost, found)),
        estimate=cost,
        tflite=quantized.tflite,
        compiled=compilation.tflite,
    )


def compiler_target(target: str | Path | Target) -> Target:
    """Returns a target that the compiler knows.

    Raises:
        UnknownNameError: If it does not.
    """
    from accelzoo.hwmodel.oracles.ethos_u import TARGETS

    known = target if isinstance(target, Target) else load_target(target)
    if known.name not in TARGETS:
        raise unknown_name("target of the compiler", known.name, TARGETS)
    return known


def _operators(graph: Graph, cost: Cost, found: Measurement) -> Iterator[Part]:
    for row in found.rows:
        ops = [graph.ops[index] for index in row.ops]
        estimated = sum(cost.by_op[index].latency_s for index in row.ops)
        kinds = "+".join(op.function if op.kind == "activation" else op.kind for op in ops)
        yield Part(ops[0].name, kinds, estimated, row.latency_s)


def _stages(graph: Graph, cost: Cost, found: Measurement) -> Iterator[Part]:
    """What runs as one counts for the part that its first operator stands in."""
    starts = [0, *graph.marks]
    names = ["stem", *[f"stage {number}" for number in range(1, len(graph.marks))], "head"]
    ends = [*starts[1:], len(graph.ops)]
    for name, start, end in zip(names, starts, ends, strict=True):
        rows = [row for row in found.rows if start <= row.ops[0] < end]
        estimated = sum(cost.by_op[index].latency_s for row in rows for index in row.ops)
        if rows:
            yield Part(name, "", estimated, sum(row.latency_s for row in rows))
