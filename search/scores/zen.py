"""Zen-score: how strongly the last feature map reacts to a small change of the input."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from accelzoo.search.scores._score import CostClass, NetworkScore

if TYPE_CHECKING:
    import torch

    from accelzoo.arch import Arch
    from accelzoo.build import DenseNet
    from accelzoo.search.scores._network import Prepared

PERTURBATION = 1e-2


def _of_network(ready: Prepared) -> float:
    import torch

    _remove_shortcuts(ready.module)
    scales: list[float] = []
    _watch_norms(ready.module, scales)
    features = _features(ready.module, scales)
    with torch.no_grad():
        for parameter in ready.weights():
            parameter.copy_(ready.normal(*parameter.shape))
        images = ready.normal(*ready.images.shape)
        change = PERTURBATION * ready.normal(*images.shape)
        before, after = features(images), features(images + change)
    values = [_reaction(*pair) for pair in zip(before, after, strict=True)]
    return math.fsum(values) / len(values)


class _Map(NamedTuple):
    """A feature map, and the sum of the logarithms of what was divided by on the way to it."""

    values: torch.Tensor
    compensation: float


def _reaction(before: _Map, after: _Map) -> float:
    distance = (after.values.double() - before.values.double()).flatten(1).norm(dim=1).mean().item()
    return (math.log(distance) if distance > 0 else -math.inf) + before.compensation


def _features(module: torch.nn.Module, scales: list[float]) -> Callable[[torch.Tensor], list[_Map]]:
    """What maps images to the last map or, of a network with a dense head, to those that its head reads."""
    from accelzoo.build import DenseNet

    if isinstance(module, DenseNet):
        return _read_maps(module, scales)

    def last_map(images: torch.Tensor) -> list[_Map]:
        scales.clear()
        values = getattr(module, "forward_features", module)(images)
        return [_Map(values, math.fsum(scales))]

    return last_map


def _read_maps(net: DenseNet, scales: list[float]) -> Callable[[torch.Tensor], list[_Map]]:
    groups = _groups_read(net.arch)
    entering: list[int] = []  # how many normalisations ran before each group of blocks
    for group in net.blocks:
        group.register_forward_pre_hook(lambda *_: entering.append(len(scales)))

    def read_maps(images: torch.Tensor) -> list[_Map]:
        scales.clear()
        entering.clear()
        maps = net.forward_groups(images, groups)
        return [_Map(maps[group], math.fsum(scales[: [*entering, len(scales)][group]])) for group in groups]

    return read_maps


def _groups_read(arch: Arch) -> list[int]:
    """The groups of blocks whose output the head reads, numbered as by `Trunk.forward_groups`."""
    read = {name for op in arch.lower().ops if _in_head(op.name) for name in op.inputs if not _in_head(name)}
    return sorted({int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0 for name in read})


def _in_head(name: str) -> bool:
    return name.startswith("head.")


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
by: the sum puts back the scale that normalising takes out. Residual links of our networks are removed first. Of our
detectors and segmenters it is the mean over the maps that the head reads, each with the normalisations before it.

Source: Zen-NAS (Lin et al. 2021, Algorithm 1). Only the shape of the batch matters.
"""
