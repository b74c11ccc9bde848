"""ZiCo: gradients that are large and agree between batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelzoo.errors import ShapeError
from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    from accelzoo.search.scores._network import Prepared


def _of_network(ready: Prepared) -> float:
    half = len(ready.images) // 2
    if half < 1:
        raise ShapeError("the score 'zico' compares the halves of a batch: it needs at least 2 images")
    first, second = ready.gradients(slice(0, half)), ready.gradients(slice(half, 2 * half))
    total = 0.0
    for one, other in zip(first, second, strict=True):
        one, other = one.abs(), other.abs()
        differs = one != other
        # Of two values the mean is (a + b) / 2, the deviation |a − b| / 2.
        ratio = ((one + other)[differs] / (one - other)[differs].abs()).sum().item()
        total += math.log(ratio) if ratio > 0 else 0.0  # a layer whose gradients say nothing counts nothing
    return total


zico = NetworkScore(
    name="zico", of_network=_of_network, cost=CostClass(2e-1, network=True, images=True, labels=True)
)
"""`Σ_l ln Σ_ω E|g_ω| / √Var|g_ω|` over convolutions and linear layers, from gradients of the batch's two halves.

Source: ZiCo (Li et al. 2023, the proxy of §3); weights whose gradients do not differ between the halves are left out.
"""
