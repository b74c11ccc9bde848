"""SynFlow: the strength of all paths from input to output, without data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    from torch import nn

    from accelzoo.search.scores._network import Prepared


def _of_network(ready: Prepared) -> float:
    import torch
    from torch import nn

    module = ready.module.double().eval()  # double: the product over many layers leaves single precision's range
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
        for child in module.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                _make_identity(child)
    ones = torch.ones_like(ready.images[:1], dtype=torch.float64)
    output = module(ones)
    levels = output if isinstance(output, tuple | list) else [output]
    weights = ready.weights()
    logarithms = []
    for level in levels:
        strength = torch.stack([one.sum() for one in (level if isinstance(level, tuple | list) else [level])]).sum()
        gradients = torch.autograd.grad(strength, weights, allow_unused=True, retain_graph=True)
        pairs = zip(weights, gradients, strict=True)
        total = sum((weight.detach() * one).abs().sum().item() for weight, one in pairs if one is not None)
        logarithms.append(math.log(total) if total > 0 else -math.inf)
    return math.fsum(logarithms) / len(logarithms)


def _make_identity(norm: nn.modules.batchnorm._BatchNorm) -> None:
    norm.eps = 0.0
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
    if norm.affine:
        norm.weight.fill_(1.0)
        norm.bias.zero_()


synflow = NetworkScore(name="synflow", of_network=_of_network, cost=CostClass(1e-1, network=True))
"""`ln Σ |W ⊙ ∂R/∂W|`, `R` the sum of the outputs for an input of ones with all weights made positive.

Over convolutions and linear layers; batch normalisation is left out (it would divide the strength away again). The
logarithm keeps ranks and the range of floats. Of a chain of linear layers the sum is the number of layers times
`1ᵀ |W_L| … |W_1| 1`. Of a detector it is the mean over the levels, each with an R of its own: in one sum the level
behind the most layers would be all that counts.

Source: Tanaka et al. 2020 (the objective R of SynFlow); as a score Abdelfattah et al. 2021, §3.2.
"""
