"""Zen-score: how strongly the last feature map reacts to a small change of the input."""

from __future__ import annotations

import math
import types
from typing import TYPE_CHECKING, Any

from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    import torch

    from accelzoo.search.scores._network import Prepared

PERTURBATION = 1e-2


def _of_network(ready: Prepared) -> float:
    import torch

    _remove_shortcuts(ready.module)
    scales: list[float] = []
    _watch_norms(ready.module, scales)
    features = getattr(ready.module, "forward_features", ready.module)
    with torch.no_grad():
        for parameter in ready.weights():
            parameter.copy_(ready.normal(*parameter.shape))
        images = ready.normal(*ready.images.shape)
        change = PERTURBATION * ready.normal(*images.shape)
        output = features(images)
        compensation = math.fsum(scales)
        moved = features(images + change)
    distance = (moved.double() - output.double()).flatten(1).norm(dim=1).mean().item()
    return (math.log(distance) if distance > 0 else -math.inf) + compensation


def _remove_shortcuts(module: torch.nn.Module) -> None:
    """Turns residual blocks into sequences, as the source does; shortcuts of foreign modules stay."""
    from torch import nn

    from accelzoo.modules import Residual

    for child in module.modules():
        if type(child) is Residual:
            child.forward = types.MethodType(nn.Sequential.forward, child)  # type: ignore[method-assign]


def _watch_norms(module: torch.nn.Module, scales: list[float]) -> None:
    """Collects the logarithm of the standard deviation that each batch normalisation divides by."""
    from torch import nn

    def add(norm: Any, args: tuple[torch.Tensor, ...]) -> None:
        variance = args[0].var((0, *range(2, args[0].ndim)), unbiased=False).mean().item()
        scales.append(0.5 * math.log(variance) if variance > 0 else -math.inf)

    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.register_forward_pre_hook(add)


zen = NetworkScore(name="zen", of_network=_of_network, cost=CostClass(1e-1, network=True))
"""`ln E‖f(x) − f(x + αε)‖ + Σ ln σ̄` with normal weights, images and changes ε, α = 0.01, from one draw.

`f` is the feature map before the pool, `σ̄²` the mean over channels of the variance that a batch normalisation divides
by: the sum puts back the scale that normalising takes out. Residual links of our networks are removed first.

Source: Zen-NAS (Lin et al. 2021, Algorithm 1). Only the shape of the batch matters.
"""
