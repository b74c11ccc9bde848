"""Where a network must be masked so that channels beyond a width are as if they were not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from timm.layers import BatchNormAct2d
from torch import nn

from accelzoo.arch import Arch
from accelzoo.blocks import MobileAttention
from accelzoo.classifier import AccelNet
from accelzoo.errors import ConfigError
from accelzoo.hwmodel.ir import Graph


def mask_sites(network: nn.Module, graph: Graph) -> dict[str, str]:
    """Finds the modules whose outputs have to be masked.

    These are normalisations with their activation, activations that follow none, and convolutions that nothing of both
    follows: behind them a channel without input is not zero, because a term was added or the activation is not zero
    there. Everything else (pools, gates, sums, factors) leaves a zero channel zero.

    Args:
        network: As built; its modules are defined in the order in which they run.
        graph: Its operators, named after the modules.

    Returns:
        Module → the operator that says how many channels it has.

    Raises:
        ConfigError: If a normalisation follows no convolution.
    """
    activations = {op.name for op in graph.ops if op.kind == "activation"}
    sites: dict[str, str] = {}
    pending: str | None = None  # the convolution whose output nothing masks yet
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if pending is not None:
                sites[pending] = pending
            pending = name
        elif isinstance(module, BatchNormAct2d):
            if pending is None:
                raise ConfigError([f"{name}: a normalisation that follows no convolution cannot be masked"])
            sites[name], pending = pending, None
        elif name in activations and name.removesuffix(".act") not in sites:
            sites[name], pending = name, None
    if pending is not None:
        sites[pending] = pending
    return sites


def check_slices(largest: AccelNet, arch: Arch) -> None:
    """Refuses a network whose weights are not the first ones of each dimension of the largest network's.

    Raises:
        ConfigError: All faults: groups of other channels, channels in another order.
    """
    for stage in arch.stages:
        if isinstance(stage.block, MobileAttention):
            raise ConfigError(["attention has its heads side by side: a smaller one is no part of a larger one"])
    faults = []
    small = dict(skeleton(arch).named_modules())
    for name, module in largest.named_modules():
        other = small.get(name)
        if isinstance(module, nn.ChannelShuffle):
            faults.append(f"{name}: shuffled channels of a smaller network are others than those of a larger one")
        if isinstance(module, nn.Conv2d) and isinstance(other, nn.Conv2d) and max(module.groups, other.groups) > 1:
            sizes = [(conv.in_channels // conv.groups, conv.out_channels // conv.groups) for conv in (module, other)]
            if sizes[0] != sizes[1]:
                faults.append(f"{name}: groups of {sizes[0]} channels in and out, in a smaller network of {sizes[1]}")
    faults += [f"{name}: {fault}" for name, fault in _tensors_beyond(largest, small[""])]
    if faults:
        raise ConfigError(faults)


def skeleton(arch: Arch) -> AccelNet:
    """Returns the network without weights (on the meta device)."""
    with torch.device("meta"):
        return AccelNet(arch)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor of a network."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def sliced(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Returns the first elements of each dimension, as a view."""
    return tensor[tuple([slice(size) for size in shape])]


def _tensors_beyond(largest: nn.Module, small: nn.Module) -> Iterator[tuple[str, str]]:
    whole: Mapping[str, tuple[int, ...]] = shapes_of(largest)
    parts = shapes_of(small)
    for name in whole.keys() ^ parts.keys():
        yield name, "is in one of the networks only"
    for name, shape in parts.items():
        if name in whole and (len(shape) != len(whole[name]) or any(map(int.__gt__, shape, whole[name]))):
            yield name, f"of {shape} is no part of {whole[name]}"
