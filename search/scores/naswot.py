"""NASWOT: how differently the rectified units see different images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelzoo.search.scores._score import CostClass, NetworkScore, ScoreError

if TYPE_CHECKING:
    import torch

    from accelzoo.search.scores._network import Prepared

_HALF_OPEN = frozenset(("relu", "relu6", "leakyrelu", "prelu", "elu", "silu", "swish", "gelu", "hardswish", "mish"))
"""Classes (in lower case) of activations whose output has the sign of their input."""


def _of_network(ready: Prepared) -> float:
    import torch

    kernel = torch.zeros(len(ready.images), len(ready.images), dtype=torch.float64, device=ready.images.device)
    seen = 0

    def add(module: torch.nn.Module, args: Any, output: torch.Tensor) -> None:
        nonlocal seen
        code = (output > 0).flatten(1).float()
        both_on = (code @ code.T).double()
        on = code.sum(1, dtype=torch.float64)
        kernel.add_(code.shape[1] - on[:, None] - on[None, :] + 2 * both_on)
        seen += 1

    for child in ready.module.modules():
        if type(child).__name__.lower() in _HALF_OPEN:
            child.register_forward_hook(add)
    with torch.no_grad():
        ready.module(ready.images)
    if not seen:
        raise ScoreError("the score 'naswot' needs a network with rectified units, each a module of its own")
    return float(torch.linalg.slogdet(kernel).logabsdet.item())


naswot = NetworkScore(name="naswot", of_network=_of_network, cost=CostClass(1e-1, network=True, images=True))
"""`ln |det K|`, `K_ij` the number of units that are on, or off, for both image i and image j of the batch.

Source: Mellor et al. 2021, §3, equations 1 and 2. Codes of two equal images make `K` singular: no finite score.
"""
