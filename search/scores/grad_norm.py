"""Gradient norm at initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    from accelzoo.search.scores._network import Prepared


def _of_network(ready: Prepared) -> float:
    return float(sum(gradient.double().norm().item() for gradient in ready.gradients()))


grad_norm = NetworkScore(
    name="grad_norm", of_network=_of_network, cost=CostClass(1e-1, network=True, images=True, labels=True)
)
"""`Σ_l ‖∂L/∂W_l‖₂` of the task's loss (`_loss`), over convolutions and linear layers.

Source: Abdelfattah et al. 2021, §3.2, with the cross-entropy of a classifier.
"""
