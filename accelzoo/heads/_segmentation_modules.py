"""The torch modules behind the segmentation heads and their post-processing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from accelzoo.arch import Arch
from accelzoo.hwmodel.ir import Pair

Levels = Mapping[int, torch.Tensor]
"""Stride → map `(batch, channels, height, width)`."""


def resize(x: torch.Tensor, size: Sequence[int], mode: str = "bilinear") -> torch.Tensor:
    """Brings maps `(batch, channels, height, width)` to `size` `(height, width)`, pixel centres kept in place."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return nn.functional.interpolate(x, tuple(size), mode=mode)


class LrAspp(nn.Module):
    """See `accelzoo.heads.lraspp`."""

    def __init__(
        self, low: int, high: int, channels: Mapping[int, int], project: nn.Module, hidden_channels: int, classes: int
    ) -> None:
        super().__init__()
        self._low, self._high = low, high
        self.project = project
        self.gate = nn.Sequential()
        self.gate.add_module("pool", nn.AdaptiveAvgPool2d(1))
        self.gate.add_module("conv", nn.Conv2d(channels[high], hidden_channels, 1, bias=False))
        self.gate.add_module("act", nn.Sigmoid())
        self.low_classifier = nn.Conv2d(channels[low], classes, 1)
        self.high_classifier = nn.Conv2d(hidden_channels, classes, 1)

    def forward(self, levels: Levels) -> torch.Tensor:
        """Maps the levels to logits of the fine one's size."""
        low, high = levels[self._low], levels[self._high]
        x = resize(self.project(high) * self.gate(high), low.shape[2:])
        return self.low_classifier(low) + self.high_classifier(x)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, §3.3)."""

    def __init__(self, point: nn.Module, atrous: Sequence[nn.Module], image: nn.Module, project: nn.Module) -> None:
        super().__init__()
        self.point = point
        self.atrous = nn.ModuleList(atrous)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.image = image
        self.project = project

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `(batch, channels, height, width)` to `(batch, hidden_channels, height, width)`."""
        seen = [self.point(x), *[branch(x) for branch in self.atrous]]
        seen.append(resize(self.image(self.pool(x)), x.shape[2:]))
        return self.project(torch.cat(seen, 1))


class DeepLab(nn.Module):
    """See `accelzoo.heads.deeplab`."""

    def __init__(
        self, low_stride: int, high_stride: int, pyramid: nn.Module, low: nn.Module, decoder: nn.Module, last: nn.Module
    ) -> None:
        super().__init__()
        self._low, self._high = low_stride, high_stride
        self.pyramid = pyramid
        self.low = low
        self.decoder = decoder
        self.classifier = last

    def forward(self, levels: Levels) -> torch.Tensor:
        """Maps the levels to logits of the fine one's size."""
        low = levels[self._low]
        x = resize(self.pyramid(levels[self._high]), low.shape[2:])
        return self.classifier(self.decoder(torch.cat([x, self.low(low)], 1)))


class Merge(nn.Module):
    """Adds a coarser result, brought to its size, to what a convolution makes of a map."""

    def __init__(self, conv: nn.Module, mode: str) -> None:
        super().__init__()
        self.conv = conv
        self._mode = mode

    def forward(self, x: torch.Tensor, coarser: torch.Tensor | None) -> torch.Tensor:
        """Maps `(batch, channels, height, width)` and a coarser map, if there is one, to one of the former's size."""
        y: torch.Tensor = self.conv(x)
        return y if coarser is None else y + resize(coarser, y.shape[2:], self._mode)


class SegmentationFpn(nn.Module):
    """See `accelzoo.heads.segmentation_fpn`; the modules come by stride, the coarsest first."""

    def __init__(self, lateral: Mapping[int, Merge], merge: Mapping[int, Merge], classifier: nn.Module) -> None:
        super().__init__()
        self._strides = tuple(lateral)
        self.lateral = nn.ModuleDict({str(stride): module for stride, module in lateral.items()})
        self.merge = nn.ModuleDict({str(stride): module for stride, module in merge.items()})
        self.classifier = classifier

    def forward(self, levels: Levels) -> torch.Tensor:
        """Maps the levels to logits of the finest one's size."""
        total = coarser = None
        for stride in self._strides:
            coarser = self.lateral[str(stride)](levels[stride], coarser)
            total = self.merge[str(stride)](coarser, total)
        return self.classifier(total)


class Postprocessor(nn.Module):
    """Logits of a segmentation head → the class of every pixel of the image.

    By default logits are enlarged bilinearly before the largest is chosen, as metrics are published. With
    `argmax_first` the classes are chosen at the head's own size and enlarged to their nearest pixels: an argmax over
    as many elements as the head makes, instead of over the whole image's.

    Args:
        arch: A network with a segmentation head; its input's height and width are those of the class map.
        argmax_first: Whether to choose before enlarging.

    Raises:
        ValueError: If the head is not one for segmentation.
    """

    def __init__(self, arch: Arch, argmax_first: bool = False) -> None:
        super().__init__()
        from accelzoo.segmentation import check_segments

        check_segments(arch)
        self.size: Pair = arch.input_size[1:]
        self.argmax_first = argmax_first

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Maps logits `(batch, num_classes, height, width)` to classes `(batch, input height, input width)`."""
        if not self.argmax_first:
            return resize(logits, self.size).argmax(1)
        classes = logits.argmax(1, keepdim=True).to(logits.dtype)  # resizing takes no integers
        return resize(classes, self.size, "nearest").squeeze(1).long()
