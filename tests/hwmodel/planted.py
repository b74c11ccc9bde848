"""A made-up tool that measures by a law which is known: the analytic times of a target, by a factor for every kind."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from importlib import import_module

import pytest

from accelzoo.hwmodel import Graph, GraphBuilder, Op, OpCost, Target, estimate, load_target, peak
from accelzoo.hwmodel.analytic import price_op
from accelzoo.hwmodel.fit import fit
from accelzoo.hwmodel.measurement import Measurement, OpMeasurement, Provenance
from accelzoo.hwmodel.measurements import Measurements
from accelzoo.hwmodel.sampling import draw_sample

PRIOR = dataclasses.replace(load_target("camera-npu"), name="prior", fused_activations=("relu", "relu6"))
FACTORS = {
    "conv2d": 1.7,
    "depthwise_conv2d": 2.6,
    "linear": 2.5,
    "matmul": 2.0,
    "add": 1.3,
    "mul": 3.0,
    "activation": 2.2,
    "pool": 3.8,
    "resize": 1.9,
}
"""Of computing; transfers take what the target says. A concatenation takes no time and has no row."""
FITTING = import_module("accelzoo.hwmodel.fit")  # as an attribute of the package, `fit` is the function
PROVENANCE = Provenance(oracle="planted", target="made-up", tool="planted-1.0")
SEED = 11
HELD_OUT = 10_000
"""Networks from this number on are never fitted to."""


def components(op: Op, live_bytes: int) -> tuple[float, float, float]:
    """Seconds of computing, of on-chip and of off-chip transfers under the planted law."""
    row = price_op(op, PRIOR, live_bytes=live_bytes)
    return (
        FACTORS[op.kind] * row.compute_s,
        row.sram_bytes / PRIOR.sram_bytes_per_s,
        row.dram_bytes / PRIOR.dram_bytes_per_s,
    )


def measure(graph: Graph, source: str, *, rows: bool = True, parts: bool = True, scale: float = 1.0) -> Measurement:
    """Measures a graph: in all, and unless told otherwise by operator and by what each operator waits for."""
    found: list[OpMeasurement] = []
    live, place = graph.live_bytes(), {op.name: index for index, op in enumerate(graph.ops)}
    row_of: dict[int, int] = {}
    for index, (op, priced) in enumerate(zip(graph.ops, estimate(graph, PRIOR).by_op, strict=True)):
        if op.kind == "concat":
            continue
        if priced.bound == "fused":
            number = row_of[index] = row_of[place[op.inputs[0]]]
            found[number] = found[number]._replace(ops=(*found[number].ops, index))
            continue
        row_of[index] = len(found)
        times = [scale * time_s for time_s in components(op, live[index])]
        extra = tuple(zip(("compute_s", "sram_s", "dram_s"), times, strict=True)) if parts else ()
        found.append(OpMeasurement((index,), max(times), extra=extra))
    return Measurement(
        graph=graph,
        latency_s=sum_of([row.latency_s for row in found]),
        rows=tuple(found) if rows else (),
        peak_activation_bytes=graph.peak_activation_bytes,
        source=source,
    )


def sum_of(values: list[float]) -> float:
    """Adds from left to right."""
    total = 0.0
    for value in values:
        total += value
    return total


@functools.cache
def graphs(kind: str, count: int, first: int = 0) -> tuple[tuple[Graph, str], ...]:
    """Random graphs and their sources; operators that take no time at all (a lone concatenation) are left out."""
    drawn = (draw_sample(kind, SEED, index) for index in range(first, first + count))
    return tuple((graph, source) for graph, source in drawn if any(op.kind != "concat" for op in graph.ops))


def joining(size: int) -> Graph:
    """Two branches, concatenated; nothing but a row's absence says what that takes."""
    builder = GraphBuilder((16, size, size))
    x = builder.concat("cat", (builder.conv2d("a", builder.input, 24), builder.conv2d("b", builder.input, 8, 3)))
    builder.conv2d("after", x, 16)
    return builder.graph()


def measurements(
    networks: int, ops: int = 0, *, rows: bool = True, parts: bool = True, scale: float = 1.0
) -> Measurements:
    """Measures random networks, some concatenations, and single operators."""
    chosen = [*graphs("network", networks), *[(joining(size), "block:concat") for size in (7, 14, 28)]]
    chosen += graphs("op", ops)
    samples = tuple(measure(graph, source, rows=rows, parts=parts, scale=scale) for graph, source in chosen)
    return Measurements(provenance=PROVENANCE, samples=samples, indices=(None,) * len(samples))


def errors(target: Target, count: int = 8) -> list[float]:
    """Relative errors of a target's prices of networks that nothing was fitted to."""
    held = [measure(graph, source) for graph, source in graphs("network", count, HELD_OUT)]
    return [estimate(sample.graph, target).latency_s / sample.latency_s - 1 for sample in held]


def mean_error(target: Target, count: int = 8) -> float:
    """Mean of the absolute values of `errors`."""
    found = [abs(error) for error in errors(target, count)]
    return sum(found) / len(found)


@contextlib.contextmanager
def small_fits() -> Iterator[None]:
    """Makes fitting take a second: fewer trees, fewer rows to choose a tiling by, fewer ways to place, one thread."""
    pytest.importorskip("sklearn.ensemble", reason="fitting needs scikit-learn")
    from threadpoolctl import threadpool_limits

    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(FITTING, "TREES", 20)
        patch.setattr(FITTING, "TILING_ROWS", 80)
        patch.setattr(peak, "STAGED_SHARES", (0.0,))
        yield


@functools.cache
def fitted() -> Target:
    """A target fitted to rows with their parts, of 14 networks; its stated error comes from a fifth of them."""
    with small_fits():
        return fit(measurements(networks=14), PRIOR, name="planted")


def chain(*, size: int = 28, channels: int = 32) -> Graph:
    """A small network in the middle of what is sampled."""
    builder = GraphBuilder((channels, size, size))
    x = builder.activation("a.act", builder.conv2d("a", builder.input, 2 * channels), "relu")
    x = builder.activation("b.act", builder.conv2d("b", x, 2 * channels, 3, groups=2 * channels), "relu")
    x = builder.add("add", builder.conv2d("c", x, channels), builder.input)
    builder.linear("fc", builder.global_pool("pool", x), 100)
    return builder.graph()


def row_of(target: Target, graph: Graph, name: str) -> OpCost:
    """The row of one operator."""
    return next(row for row in estimate(graph, target).by_op if row.name == name)
