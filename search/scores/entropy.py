"""Closed-form entropy of the last feature map of the plain network with normal weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from accelzoo.hwmodel.ir import Op
from accelzoo.search.scores._flow import Flow, main_paths
from accelzoo.search.scores._score import GraphScore


def _terms(ops: Sequence[Op], flow: Flow) -> float:
    paths = main_paths(ops)
    total = 0.0
    for op in itertools.chain.from_iterable(paths):
        if op.kind in ("conv2d", "depthwise_conv2d"):
            total += 0.5 * math.log(op.weight_count / op.out_shape[0])
    return total / max(1, len(paths))


entropy = GraphScore(name="entropy", terms=_terms, constant=0.5 * math.log(2 * math.pi * math.e))
"""`½ ln(2πe) + ½ Σ_l ln(c_l k_l² / g_l)`: the differential entropy of an element, in nats.

With unit normal input and weights each convolution multiplies the variance by its fan-in: input channels per group
times the kernel's pixels. As in the source, residual links, gates, normalisations and activations are left out. Of
several outputs, as of a detector's levels, it is the mean; the source weights three levels by hand.

Source: MAE-DET (Sun et al. 2022, §3); the same sum is in the entropy of DeepMAD (Shen et al. 2023, §3), which
multiplies it by the logarithm of the last map's size, equal for all networks of most spaces.
"""
