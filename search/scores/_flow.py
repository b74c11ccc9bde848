"""How much of the signal goes which way at initialisation: the share of the variance that each tensor carries.

Convolutions and linear layers are normalised, so their outputs have variance 1; a sum has the sum of its inputs'
variances (De & Smith 2020, §2). Backwards from the output, what reaches a sum is divided among its inputs in these
proportions: the chance that a random path through the network, chosen by variance, visits a tensor (the ensemble of
paths of Veit et al. 2016, §3). A tensor that all paths cross has share 1; of residual blocks behind a normalised map,
the k-th one's branch has share 1 / (k + 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from accelzoo.hwmodel.ir import INPUT, MATRIX_KINDS, Op


class Flow(NamedTuple):
    """Tensor → its share of the paths, and the variance of the last operator's output."""

    shares: dict[str, float]
    variance: float


def flow_of(ops: Sequence[Op], variance: float = 1.0) -> Flow:
    """Finds the flow through operators in the order in which they run.

    A product and other operators of several inputs divide it evenly, a concatenation by size; several outputs begin
    with equal shares.

    Args:
        ops: A network, or a part of one that reads its input only.
        variance: Of the input.
    """
    variances = {INPUT: variance}
    for op in ops:
        variances[op.name] = _variance(op, variances)
    outputs = outputs_of(ops)
    shares = dict.fromkeys(variances, 0.0) | {op.name: 1 / len(outputs) for op in outputs}
    for op in reversed(ops):
        parts = _parts(op, variances)
        unit = shares[op.name] / sum(parts)
        for name, part in zip(op.inputs, parts, strict=True):
            shares[name] += unit * part
    return Flow(shares, variances[ops[-1].name] if ops else variance)


def _variance(op: Op, variances: dict[str, float]) -> float:
    if op.kind in MATRIX_KINDS or op.kind == "matmul":
        return 1.0
    given = [variances[name] for name in op.inputs]
    if op.kind == "add":
        return math.fsum(given)
    if op.kind == "concat":
        parts = _parts(op, variances)
        return math.fsum(value * part for value, part in zip(given, parts, strict=True)) / sum(parts)
    return given[0]


def _parts(op: Op, variances: dict[str, float]) -> list[float]:
    if op.kind == "add":
        return [variances[name] for name in op.inputs]
    if op.kind == "concat":
        return [float(math.prod(shape)) for shape in op.in_shapes]
    return [1.0] * len(op.inputs)


def activated(ops: Sequence[Op]) -> list[tuple[Op, Op]]:
    """Lists the pairs of a weighted operator and the activation that reads its output."""
    weighted = {op.name: op for op in ops if op.kind in MATRIX_KINDS}
    return [(weighted[op.inputs[0]], op) for op in ops if op.kind == "activation" and op.inputs[0] in weighted]


def outputs_of(ops: Sequence[Op]) -> list[Op]:
    """Lists the operators that no other reads: one of a classifier, those of every level of a detector."""
    read = {name for op in ops for name in op.inputs}
    return [op for op in ops if op.name not in read]


def main_paths(ops: Sequence[Op]) -> list[list[Op]]:
    """Lists, for each output, the operators from it back along first inputs: no gates, no shortcuts; the last first.

    In a pyramid the first input of a sum is the map of the level's own size.
    """
    by_name = {op.name: op for op in ops}
    paths = []
    for output in outputs_of(ops):
        path, op = list[Op](), by_name.get(output.name)
        while op is not None:
            path.append(op)
            op = by_name.get(op.inputs[0])
        paths.append(path)
    return paths
