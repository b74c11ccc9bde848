"""LiteRT with XNNPACK: int8 and float32 networks, timed on this machine's CPU.

The network is written as a TensorFlow Lite flatbuffer with random weights and run on one thread, with warm caches. Time
is CPU time of the thread that runs it, since the machine may be shared: waiting for the CPU does not count. How times
are taken, `accelzoo.hwmodel.oracles.interleaved` says; the anchors, which run beside every 25 graphs, are a convolution
that fits into the caches and an addition that does not, so they show the clock and what others leave of the memory.

Operators that XNNPACK does not take run in LiteRT's own kernels, and count: resizing to the nearest, and of int8
networks average pooling over windows, GELU, hard swish, and ReLU that is not fused.

LiteRT's Python interface has no profile by operator and no size of the arena: measurements have no `rows` and no
`peak_activation_bytes`. A call from Python costs below a microsecond and is part of the latency.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.hwmodel.measurement import Measurement, Provenance
from accelzoo.hwmodel.oracles.interleaved import PERCENTILE, Maker, Pass, Plan, Program, Watch
from accelzoo.hwmodel.oracles.protocol import OracleError, UnsupportedByToolError, import_tool
from accelzoo.hwmodel.oracles.tflite_model import Precision
from accelzoo.hwmodel.oracles.tflite_writer import write

_MACHINE = platform.machine().lower()
_ARCHITECTURE = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm64"}.get(_MACHINE, _MACHINE)
_PRECISIONS: dict[str, Precision] = {f"{_ARCHITECTURE}-int8": "int8", f"{_ARCHITECTURE}-float32": "float32"}
TARGETS = tuple(_PRECISIONS)
BATCH_SIZE = 25
"""Most graphs that are measured in turn."""


def create(target: str, *, seed: int = 0, plan: Plan | None = None) -> LiteRT:
    """Makes the oracle.

    Args:
        target: One of `TARGETS`.
        seed: For the values of the weights and of the input.
        plan: How much to repeat; by default, as much as takes about 0.1 s of CPU time per operator.

    Raises:
        MissingToolError: If LiteRT, its schema or flatbuffers are not installed.
        OracleError: If LiteRT does not hand operators to XNNPACK.
    """
    for module in ("flatbuffers", "tflite", "ai_edge_litert.interpreter"):
        import_tool(module, "litert")
    return LiteRT(target, seed, plan or Plan())


class LiteRT:
    """Runs graphs on one thread of the CPU, again and again."""

    def __init__(self, target: str, seed: int, plan: Plan) -> None:
        self._target = target
        self._precision = _PRECISIONS[target]
        self._seed = seed
        self._plan = plan
        anchors = [write(graph, self._precision, seed) for graph in anchor_graphs()]
        if not runs_in_xnnpack(anchors[0]):
            raise OracleError(f"{target}: LiteRT runs a convolution without XNNPACK; its times would be of other code")
        self._watch = Watch([self._maker(anchor) for anchor in anchors], plan, time.thread_time_ns)

    @property
    def batch_size(self) -> int:
        """How many graphs run in turn."""
        return BATCH_SIZE

    @property
    def provenance(self) -> Provenance:
        """The CPU, LiteRT's version, and how the times were taken."""
        settings = {
            "precision": self._precision,
            "threads": 1,
            "xnnpack": True,
            "clock": "CPU time of the thread",
            "statistic": f"mean of the faster half of passes, of each percentile {PERCENTILE}",
            "caches": "warm",
            "batch_size": BATCH_SIZE,
            **self._plan._asdict(),
            "seed": self._seed,
        }
        tool = f"litert-{metadata.version('ai-edge-litert')}"
        return Provenance(oracle="litert", target=self._target, tool=tool, settings=settings, host=host())

    def measure(self, graph: Graph) -> Measurement:
        """Measures one graph; `measure_many` takes less time for each, and its repeats are further apart.

        Raises:
            UnsupportedByToolError: If a TensorFlow Lite file cannot hold an operator.
            OracleError: If LiteRT cannot run the graph.
        """
        found = self.measure_many([graph])[0]
        if isinstance(found, OracleError):
            raise found
        return found

    def measure_many(self, graphs: Sequence[Graph]) -> list[Measurement | OracleError]:
        """Measures graphs in turn, at most `BATCH_SIZE` at a time.

        Returns:
            For each graph its measurement, or the error that `measure` would raise.
        """
        found: list[Measurement | OracleError] = []
        for batch in _batches(graphs):
            programs = [self._prepare(graph) for graph in batch]
            timings = iter(self._watch.time([maker for maker in programs if not isinstance(maker, OracleError)]))
            for graph, program in zip(batch, programs, strict=True):
                if isinstance(program, OracleError):
                    found.append(program)
                    continue
                timing = next(timings)
                found.append(Measurement(graph=graph, latency_s=timing.latency_s, spread=timing.spread))
        return found

    def record(self, graphs: Sequence[Graph]) -> Iterator[list[Pass]]:
        """Yields, batch by batch, all times that were read, for those who judge the statistic.

        Raises:
            OracleError: If a graph cannot run.
        """
        for batch in _batches(graphs):
            yield self._watch.record([_checked(self._prepare(graph)) for graph in batch])

    def _prepare(self, graph: Graph) -> Maker | OracleError:
        try:
            maker = self._maker(write(graph, self._precision, self._seed))
            maker()()
        except UnsupportedByToolError as error:
            return error
        except (RuntimeError, ValueError) as error:
            return OracleError(f"LiteRT cannot run {graph!r}: {error}")
        return maker

    def _maker(self, model: bytes) -> Maker:
        return lambda: self._program(model)

    def _program(self, model: bytes) -> Program:
        interpreter = interpreter_of(model)
        (entry,) = interpreter.get_input_details()
        rng = draw.generator(self._seed)
        values = rng.standard_normal(entry["shape"])
        if self._precision == "int8":
            values = np.clip(np.rint(values * 32), -128, 127)
        interpreter.set_tensor(entry["index"], values.astype(self._precision))
        invoke: Callable[[], object] = interpreter.invoke
        return invoke


def interpreter_of(model: bytes) -> Any:
    """Returns LiteRT's interpreter of a flatbuffer, tensors allocated, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def runs_in_xnnpack(model: bytes) -> bool:
    """Whether the last operator of a flatbuffer runs in a delegate; XNNPACK is LiteRT's only one by default."""
    operators = interpreter_of(model)._get_ops_details()  # the interface has no public way to ask
    return operators[-1]["op_name"] == "DELEGATE"


def anchor_graphs() -> tuple[Graph, Graph]:
    """A convolution of some microseconds, and an addition of 1.2 million elements to themselves."""
    builder = GraphBuilder((32, 14, 14))
    builder.conv2d("conv", builder.input, 32, kernel_size=3)
    clock = builder.graph()
    builder = GraphBuilder((96, 112, 112))
    builder.add("add", builder.input, builder.input)
    return clock, builder.graph()


def host() -> str:
    """Names the CPU: its model and number, how many of it, and the system."""
    values: dict[str, str] = {}
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            values.setdefault(key.strip(), value.strip())
    name = values.get("model name") or platform.processor() or platform.machine()
    number = f" (family {values['cpu family']}, model {values['model']})" if "cpu family" in values else ""
    return f"{name}{number}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"


def _batches(graphs: Sequence[Graph]) -> Iterator[Sequence[Graph]]:
    for start in range(0, len(graphs), BATCH_SIZE):
        yield graphs[start : start + BATCH_SIZE]


def _checked(maker: Maker | OracleError) -> Maker:
    if isinstance(maker, OracleError):
        raise maker
    return maker
