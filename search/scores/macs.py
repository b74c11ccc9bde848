"""Multiply-accumulates: a baseline that every score has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from accelzoo.hwmodel.ir import Op
from accelzoo.search.scores._flow import Flow
from accelzoo.search.scores._score import GraphScore


def _terms(ops: Sequence[Op], flow: Flow) -> float:
    return float(sum(op.macs for op in ops))


macs = GraphScore(name="macs", terms=_terms)
"""Multiply-accumulates of one inference at batch 1 (`hwmodel.op.Op.macs`)."""
