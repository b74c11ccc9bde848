"""Analytic trainability: how many directions its nonlinear layers can be trained in, along the network's paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelzoo.hwmodel.ir import Op
from accelzoo.search.scores._flow import Flow, activated
from accelzoo.search.scores._score import GraphScore


def _terms(ops: Sequence[Op], flow: Flow) -> float:
    total = 0.0
    for layer, activation in activated(ops):
        inverse = 1 / layer.weight_count + 1 / math.prod(layer.in_shape) + 1 / math.prod(layer.out_shape)
        total += flow.shares[activation.name] / math.sqrt(inverse)
    return total


trainability = GraphScore(name="trainability", terms=_terms)
"""`Σ_l s_l · √h_l` with `1 / h_l = 1 / weights + 1 / inputs + 1 / outputs`, over layers with an activation behind them.

The derivative of a layer's output by its weights is a matrix whose rank neither the number of weights, nor what the
input can tell apart, nor the number of outputs lets grow: `h` is their smooth minimum, and its root keeps one huge
layer from outweighing a deep network. A layer without an activation merges with the next into one linear map and counts
nothing. `s_l` is the layer's share of the paths through the network (`_flow`): of topology, what a residual branch
changes falls with what the shortcut already carries (De & Smith 2020, §2; Veit et al. 2016, §3).

Our own; no coefficient is fitted. The form (which of weights, inputs and outputs; root or logarithm; shares or not) was
chosen while looking at NAS-Bench-Macro and Accel-NASBench: benchmarks/zero_cost.md.
"""
