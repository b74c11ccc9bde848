"""The price of a whole graph on a target."""

from __future__ import annotations

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel.analytic import FUSING_KINDS, crowding, label, pricer
from accelzoo.hwmodel.cost import Cost, OpCost
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.hwmodel.learned import learned_part
from accelzoo.hwmodel.target import Target


class UnsupportedOperatorError(AccelzooError):
    """A graph holds operators that the target cannot run; the message names them."""


def estimate(graph: Graph, target: Target, *, strict: bool = False) -> Cost:
    """Prices one inference of `graph` at batch 1, operator by operator (formulas: `accelzoo.hwmodel.analytic`).

    Operators run one after the other in the graph's order. An activation is fused, and free, when the target can apply
    it on the way out of the convolution, linear layer or addition that makes its input, and nothing else reads that.

    Args:
        graph: What to run.
        target: On what.
        strict: Whether to refuse graphs with operators that the target cannot run.

    Returns:
        Totals and one row per operator. Operators that the target cannot run are named in `unpriced` and add neither
        time nor energy, so check it (or ask for `strict`) before comparing costs.

    Raises:
        UnsupportedOperatorError: If `strict` and the target cannot run some operator.
    """
    rows = _analytic_rows(graph, target)
    live = graph.live_bytes()
    extrapolated: tuple[str, ...] = ()
    if target.learned is not None:
        rows, extrapolated, live = learned_part(target).price(graph, target, rows)
    unpriced: list[str] = []
    latency_s = energy_j = 0.0
    weight_bytes = dram_bytes = macs = 0
    for op, row in zip(graph.ops, rows, strict=True):
        latency_s += row.latency_s
        energy_j += row.energy_j
        weight_bytes += row.weight_bytes
        dram_bytes += row.dram_bytes
        macs += row.macs
        if row.bound == "unpriced":
            unpriced.append(f"{op.name} ({label(op)})")
    if strict and unpriced:
        raise UnsupportedOperatorError(f"target {target.name!r} cannot run {', '.join(unpriced)}")
    return Cost(
        latency_s=latency_s,
        energy_j=energy_j,
        peak_activation_bytes=max(live),
        weight_bytes=weight_bytes,
        dram_bytes=dram_bytes,
        macs=macs,
        unpriced=tuple(unpriced),
        by_op=tuple(rows),
        extrapolated=extrapolated,
    )


def live_bytes(graph: Graph, target: Target) -> tuple[int, ...]:
    """Returns the activation bytes alive while each operator runs, as the target's tool places them.

    Of a target with nothing learned about that, the graph's own count (`Graph.live_bytes`).
    """
    if target.learned is None:
        return graph.live_bytes()
    return learned_part(target).price(graph, target, _analytic_rows(graph, target)).live_bytes


def _analytic_rows(graph: Graph, target: Target) -> list[OpCost]:
    price = pricer(target)
    fused = _fused(graph, target)
    _, streaming = crowding(target, 0, 0 if target.weight_sram_bytes is None else graph.weight_bytes)
    capacity = target.sram_bytes
    rows: list[OpCost] = []
    for op, alive_bytes in zip(graph.ops, graph.live_bytes(), strict=True):
        spilling = alive_bytes if alive_bytes > capacity else 0
        rows.append(OpCost(op.name, *price(op.kind, op[3:], spilling, streaming, op.name in fused)))
    return rows


def _fused(graph: Graph, target: Target) -> set[str]:
    """Returns the names of the activations that their producers apply."""
    readers: dict[str, int] = {}
    makers: dict[str, Op] = {}
    fused: set[str] = set()
    candidates: list[Op] = []
    for op in graph.ops:
        makers[op.name] = op
        for name in op.inputs:
            readers[name] = readers.get(name, 0) + 1
        if op.kind == "activation" and op.function in target.fused_activations:
            candidates.append(op)
    for op in candidates:
        maker = makers.get(op.inputs[0])
        if maker is not None and maker.kind in FUSING_KINDS and readers[maker.name] == 1:
            fused.add(op.name)
    return fused
