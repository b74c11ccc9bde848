"""Analytic expressivity: the logarithm of how many linear regions the rectified units can make."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelzoo.hwmodel.ir import Op
from accelzoo.search.scores._flow import Flow, activated
from accelzoo.search.scores._score import GraphScore


def _terms(ops: Sequence[Op], flow: Flow) -> float:
    total = 0.0
    for _, activation in activated(ops):
        total += flow.shares[activation.name] * math.log(math.prod(activation.out_shape))
    return total


linear_regions = GraphScore(name="linear_regions", terms=_terms)
"""`Σ_l s_l · ln n_l` over activations, with `n_l` units (channels × height × width) and a share `s_l` of the paths.

The number of linear regions of a network of rectified units grows as the product over layers of their widths
(Montúfar et al. 2014, Theorem 4: `∏ (n_l / n_0)^{n_0}`); its logarithm is the sum here up to the constants of the
input, each layer weighted by its share of the paths (`_flow`).
"""
