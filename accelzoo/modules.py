"""The torch modules behind the layers; the only module that blocks need torch for."""

from __future__ import annotations

from collections import OrderedDict

import torch
from timm.layers import BatchNormAct2d, get_act_layer
from torch import nn

from accelzoo.layers import Layer


def conv2d(in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int) -> nn.Conv2d:
    """Makes a convolution without bias, padded by half its kernel."""
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)


def activation(name: str) -> nn.Module:
    """Makes the activation called `name` (one of `hwmodel.ir.ACTIVATIONS`), in place where it can be."""
    layer = get_act_layer(name)
    return layer() if name == "gelu" else layer(inplace=True)


def norm_act(channels: int, function: str) -> nn.Module:
    """Makes batch normalisation followed by the activation `function`, or by nothing when that is empty."""
    if not function:
        return BatchNormAct2d(channels, apply_act=False)
    return BatchNormAct2d(channels, act_layer=get_act_layer(function), inplace=function != "gelu")


class SqueezeExcite(nn.Module):
    """Channel gate over `(batch, channels, height, width)` (Hu et al. 2018, §3), with timm's parameter names."""

    def __init__(self, channels: int, reduced_channels: int, function: str) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced_channels, 1)
        self.act1 = activation(function)
        self.conv_expand = nn.Conv2d(reduced_channels, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scales each channel by its gate."""
        gate = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(gate))))


class Residual(nn.Sequential):
    """Layers in sequence whose input is added to their output."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns `layers(input) + input`."""
        y = input
        for module in self:
            y = module(y)
        return y + input


def sequence(in_channels: int, layers: tuple[Layer, ...], residual: bool) -> nn.Sequential:
    """Builds `layers` one after the other, with the input added at the end when `residual`."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    for layer in layers:
        modules[layer.name] = layer.build(channels)
        channels = layer.out_channels
    return Residual(modules) if residual else nn.Sequential(modules)


def init_weights(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draws initial weights: convolutions He-normal over fan-out per group, linear layers uniform ± 1/√out.

    Source: He et al. 2015, §2.2, with the fan-out rule of the EfficientNet reference code.
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            fan_out = child.kernel_size[0] * child.kernel_size[1] * child.out_channels // child.groups
            nn.init.normal_(child.weight, 0.0, (2.0 / fan_out) ** 0.5, generator=generator)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Linear):
            bound = child.out_features**-0.5
            nn.init.uniform_(child.weight, -bound, bound, generator=generator)
            nn.init.zeros_(child.bias)
