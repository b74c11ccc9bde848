"""The torch modules behind the layers; the only module that blocks need torch for."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence

import torch
from timm.layers import BatchNormAct2d, Conv2dSame, LayerScale2d, drop_path, get_act_layer
from torch import nn

from accelzoo.layers import Conv, Layer


def conv2d(in_channels: int, conv: Conv) -> nn.Conv2d:
    """Makes a convolution, padded by half its kernel on each side or as TensorFlow pads."""
    pads_itself = conv.padding == "same" and conv.stride > 1
    make: type[nn.Conv2d] = Conv2dSame if pads_itself else nn.Conv2d
    padding = 0 if pads_itself else conv.dilation * (conv.kernel_size // 2)
    sizes = in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding
    return make(*sizes, dilation=conv.dilation, groups=conv.groups, bias=conv.bias)


def activation(name: str) -> nn.Module:
    """Makes the activation called `name` (one of `hwmodel.ir.ACTIVATIONS`), in place where it can be."""
    layer = get_act_layer(name)
    return layer() if name == "gelu" else layer(inplace=True)


def norm_act(channels: int, function: str) -> nn.Module:
    """Makes batch normalisation followed by the activation `function`, or by nothing when that is empty."""
    if not function:
        return BatchNormAct2d(channels, apply_act=False)
    return BatchNormAct2d(channels, act_layer=get_act_layer(function), inplace=function != "gelu")


def layer_scale(channels: int, initial: float) -> nn.Module:
    """Makes a learned factor per channel, `initial` at first."""
    return LayerScale2d(channels, initial)


class SqueezeExcite(nn.Module):
    """Channel gate over `(batch, channels, height, width)` (Hu et al. 2018, §3), with timm's parameter names."""

    def __init__(self, channels: int, reduced_channels: int, function: str, gate: str) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced_channels, 1)
        self.act1 = activation(function)
        self.conv_expand = nn.Conv2d(reduced_channels, channels, 1)
        self.gate = get_act_layer(gate)()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scales each channel by its gate."""
        gate = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(gate))))


class Residual(nn.Sequential):
    """Layers in sequence whose input is added to their output.

    In training, `drop_path_rate` is the probability that an image's layers are left out (Huang et al. 2016, §3).
    """

    __constants__ = ("drop_path_rate",)  # torch.jit sees no other attributes of a class
    drop_path_rate: float = 0.0

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns `layers(input) + input`."""
        y = input
        for module in self:
            y = module(y)
        if self.drop_path_rate:
            y = drop_path(y, self.drop_path_rate, self.training)
        return y + input


class ProjectedResidual(Residual):
    """A residual whose sum is activated: the last module, named `end`, reads what the others make plus the input.

    Where a module called `downsample` is among them, it brings the input to the sum's shape.
    """

    def __init__(self, modules: OrderedDict[str, nn.Module]) -> None:
        super().__init__(modules)
        self._end = next(reversed(modules))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns `end(layers(input) + downsample(input))`."""
        y = input
        shortcut = input
        for name, module in self.named_children():
            if name == "downsample":
                shortcut = module(input)
            elif name == self._end:
                if self.drop_path_rate:
                    y = drop_path(y, self.drop_path_rate, self.training)
                y = module(y + shortcut)
            else:
                y = module(y)
        return y


def sequence(in_channels: int, layers: Sequence[Layer], residual: bool = False) -> nn.Sequential:
    """Builds `layers` one after the other, with the input added at the end when `residual`.

    Neighbours whose names share what stands before a dot go into a sequence of that name.
    """
    modules = named_modules(in_channels, layers)
    return Residual(modules) if residual else nn.Sequential(modules)


def named_modules(in_channels: int, layers: Sequence[Layer]) -> OrderedDict[str, nn.Module]:
    """Builds `layers` one after the other; neighbours whose names share what stands before a dot become a sequence."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    for name, group in itertools.groupby(layers, lambda layer: layer.name.partition(".")[0]):
        members = list(group)
        if members[0].name == name:
            modules[name] = members[0].build(channels)
        else:
            inner = [layer._replace(name=layer.name.partition(".")[2]) for layer in members]
            modules[name] = sequence(channels, inner)
        channels = members[-1].out_channels
    return modules


def init_weights(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draws initial weights: convolutions He-normal over fan-out per group, linear layers uniform ± 1/√out.

    A module with a method `init_own_weights(generator)` then draws its own anew, such as a detector's prior.

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
    for child in module.modules():
        if (init_own := getattr(child, "init_own_weights", None)) is not None:
            init_own(generator)
