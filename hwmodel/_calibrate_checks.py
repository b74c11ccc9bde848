"""What is wrong with timings of whole networks, row by row, before anything is fitted to them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from accelzoo.errors import DataError
from accelzoo.hwmodel._calibrate_terms import Array, prior_latency_s
from accelzoo.hwmodel.analytic import CYCLES, is_supported, label
from accelzoo.hwmodel.estimate import estimate
from accelzoo.hwmodel.ir import Graph, Op
from accelzoo.hwmodel.target import Target

LEAST_NETWORKS = 10
SLOWEST, FASTEST = 50.0, 1 / 500
"""Median of measured over priced beyond which seconds are taken for another unit."""
ODDEST = 20.0
"""Factor from the median ratio beyond which one row is taken for another unit than the others."""
_SHOWN = 12


class Fault(NamedTuple):
    """One thing that is wrong: where (0 is the first network; None: the whole set) and what."""

    row: int | None
    text: str


class MeasurementError(DataError):
    """Timings that cannot be used.

    Attributes:
        faults: All of them, with their rows.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(text if row is None else f"row {row}: {text}" for row, text in self.faults))


def checked_rows(graphs: Sequence[Graph], latency_s: Any) -> Array:
    """Returns the latencies as float64, each finite and positive, one per graph.

    Raises:
        MeasurementError: If they are not; all rows are named.
    """
    try:
        values = np.asarray(latency_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MeasurementError([Fault(None, f"latency_s must be float64 seconds: {error}")]) from None
    if values.ndim != 1 or len(values) != len(graphs):
        raise MeasurementError(
            [Fault(None, f"{len(graphs)} graphs but latency_s of shape {values.shape}; it needs one number per graph")]
        )
    faults = [
        Fault(row, f"graphs hold a {type(graph).__name__}, not a Graph (of an architecture, take `lower()`)")
        for row, graph in enumerate(graphs)
        if not isinstance(graph, Graph)
    ]
    for row, value in enumerate(values.tolist()):
        if not (math.isfinite(value) and value > 0):
            faults.append(Fault(row, f"latency {value} s; it must be finite and greater than 0"))
    if faults:
        raise MeasurementError(sorted(faults, key=lambda fault: fault.row or 0))
    return values


def without_gaps(graphs: Sequence[Graph], prior: Target) -> tuple[Target, tuple[str, ...]]:
    """Returns the prior able to run every operator that was measured, and the operators it could not run before.

    A device that was timed on an operator can run it, whatever the prior says: its formula prices it.

    Raises:
        MeasurementError: If an operator has no formula; all of them are listed.
    """
    strange: Counter[str] = Counter()
    first: dict[str, str] = {}
    lifted: dict[str, Op] = {}
    for row, graph in enumerate(graphs):
        for op in graph.ops:
            if op.kind not in CYCLES:
                strange[label(op)] += 1
                first.setdefault(label(op), f"{op.name!r} in row {row}")
            elif not is_supported(op, prior):
                lifted[label(op)] = op
    if strange:
        listing = ", ".join(f"{name} ({times} times, first {first[name]})" for name, times in sorted(strange.items()))
        raise MeasurementError(
            [Fault(None, f"no target can price these operators, so nothing can be learnt about them: {listing}")]
        )
    closed = {op.kind for op in lifted.values()} | set(lifted)
    kept = tuple(name for name in prior.unsupported if name not in closed)
    return dataclasses.replace(prior, unsupported=kept), tuple(sorted(lifted))


def check_units(graphs: Sequence[Graph], latency_s: Array, prior: Target) -> None:
    """Compares every row with the prior.

    Raises:
        MeasurementError: If all rows, or some against the others, are so far off that their unit must be wrong.
    """
    priced_s = np.array([estimate(graph, prior).latency_s for graph in graphs])
    ratios = latency_s / priced_s
    median = float(np.median(ratios))
    if not FASTEST <= median <= SLOWEST:
        slower = median > 1
        guess = "milliseconds given as seconds" if slower else "seconds given as milliseconds"
        factor = median if slower else 1 / median
        raise MeasurementError(
            [
                Fault(
                    0,
                    f"{latency_s[0]:.4g} s, where {prior.name} expects {priced_s[0]:.4g} s; the {len(graphs)} rows are "
                    f"{factor:,.0f} times {'slower' if slower else 'faster'} than it in the median: {guess}? "
                    f"If the unit is right, start from a prior nearer to the device or pass trust_units=True",
                )
            ]
        )
    faults = []
    for row, ratio in enumerate((ratios / median).tolist()):
        if not 1 / ODDEST <= ratio <= ODDEST:
            much = f"{ratio:,.0f} times slower" if ratio > 1 else f"{1 / ratio:,.0f} times faster"
            faults.append(
                Fault(
                    row,
                    f"{latency_s[row]:.4g} s is {much} than the other rows let {prior.name} expect "
                    f"({priced_s[row] * median:.4g} s): another unit, or a failed measurement?",
                )
            )
    if faults:
        raise MeasurementError(faults)


def check_design(counts: Array, labels: Sequence[str]) -> None:
    """Looks at what the networks can tell, whatever their latencies are.

    Args:
        counts: (networks, terms) how often each network runs each term.
        labels: (terms,) what the terms are.

    Raises:
        MeasurementError: If there are fewer than `LEAST_NETWORKS` different networks.
    """
    different, rows = np.unique(counts, axis=0, return_index=True)
    if len(different) >= LEAST_NETWORKS:
        return
    rank = int(np.linalg.matrix_rank(counts))
    alike = (different == different[0]).all(axis=0)
    varying = [text for text, constant in zip(labels, alike, strict=True) if not constant]
    can = "one factor on the prior" if rank < 2 else f"{rank} sums of operators, and one factor on the prior"
    cannot = f"the other {counts.shape[1] - rank} of {counts.shape[1]} directions, single operators among them"
    what = "" if len(rows) == len(counts) else f" ({len(counts)} rows, but some have the same operators)"
    vary = f"; what varies among them: {_listed(varying)}" if varying else "; nothing varies among them"
    raise MeasurementError(
        [
            Fault(
                None,
                f"{len(different)} different networks{what}; at least {LEAST_NETWORKS} are needed. These can identify "
                f"{can}; they cannot identify {cannot}{vary}",
            )
        ]
    )


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def check_prices(ops: Sequence[Op], prior: Target) -> None:
    """Looks for operators that the prior takes for free, to which no factor could give a latency.

    Raises:
        MeasurementError: If there are some.
    """
    free = [describe(op) for op in ops if prior_latency_s(op, prior) <= 0]
    if free:
        raise MeasurementError([Fault(None, f"{prior.name} prices these operators at nothing: {_listed(free)}")])


def describe(op: Op) -> str:
    """Returns an operator in words: `conv2d 3x3 /2 3x224x224 -> 32x112x112`."""
    sides = "x".join(map(str, op.kernel_size))
    window = "" if op.kernel_size == (1, 1) else f" {sides}"
    stride = "" if op.stride == (1, 1) else f" /{op.stride[0]}"
    inputs = ", ".join("x".join(map(str, shape)) for shape in op.in_shapes)
    return f"{label(op)}{window}{stride} {inputs} -> {'x'.join(map(str, op.out_shape))}"
