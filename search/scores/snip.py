"""SNIP: how much the loss would change without each connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    from accelzoo.search.scores._network import Prepared


def _of_network(ready: Prepared) -> float:
    pairs = zip(ready.weights(), ready.gradients(), strict=True)
    return float(sum((weight.detach().double() * gradient.double()).abs().sum().item() for weight, gradient in pairs))


snip = NetworkScore(name="snip", of_network=_of_network, cost=CostClass(1e-1, network=True, images=True, labels=True))
"""`Σ |W ⊙ ∂L/∂W|` of the task's loss (`_loss`), over convolutions and linear layers.

Source: Lee et al. 2019, §4.1; summed over a network as a score by Abdelfattah et al. 2021, §3.2.
"""
