"""The torch modules behind the detection heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from accelzoo import modules
from accelzoo.heads._pyramid import PyramidHead

PRIOR = 0.01
"""Probability of an object that class logits begin with (Lin et al. 2017b, §4.1)."""
PREDICTOR_STD = 0.01
PRIOR_LOGIT = -math.log((1 - PRIOR) / PRIOR)

Outputs = list[tuple[torch.Tensor, ...]]
"""Per level, from the finest: class logits, box regression and, of FCOS, centerness."""


def init_predictor(conv: nn.Module, bias: float, generator: torch.Generator | None) -> None:
    """Draws the weights of a last convolution small, so that all outputs begin near the bias (Lin et al. 2017b, §4.1).

    With the prior as bias of class logits, the many cells without an object do not outweigh the others.
    """
    if not isinstance(conv, nn.Conv2d) or conv.bias is None:
        raise TypeError(f"expected a convolution with a bias, got {conv}")
    nn.init.normal_(conv.weight, 0.0, PREDICTOR_STD, generator=generator)
    nn.init.constant_(conv.bias, bias)


class SSDLite(nn.Module):
    """Extra levels and separable predictors; see `heads.ssdlite`."""

    def __init__(
        self,
        strides: tuple[int, ...],
        extras: Sequence[nn.Module],
        class_predictors: Sequence[nn.Sequential],
        box_predictors: Sequence[nn.Sequential],
        focal: bool,
    ) -> None:
        super().__init__()
        self._strides = strides
        self._focal = focal
        self.extras = nn.ModuleList(extras)
        self.class_predictors = nn.ModuleList(class_predictors)
        self.box_predictors = nn.ModuleList(box_predictors)

    def init_own_weights(self, generator: torch.Generator | None = None) -> None:
        """Draws the predictors small; class logits that each have a sigmoid begin at the prior."""
        for predictor in self.class_predictors:
            init_predictor(predictor.get_submodule("conv"), PRIOR_LOGIT if self._focal else 0.0, generator)
        for predictor in self.box_predictors:
            init_predictor(predictor.get_submodule("conv"), 0.0, generator)

    def forward(self, levels: Mapping[int, torch.Tensor]) -> Outputs:
        """Maps stride → map of the network to class logits and boxes per level."""
        maps = [levels[stride] for stride in self._strides]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        predictors = zip(maps, self.class_predictors, self.box_predictors, strict=True)
        return [(classify(x), regress(x)) for x, classify, regress in predictors]


class LevelTower(nn.Module):
    """Convolutions that all levels share, each followed by a normalisation of the level's own."""

    def __init__(self, head: PyramidHead, levels: int) -> None:
        super().__init__()
        convs = head.tower_convs()
        width = head.neck.channels
        self.convs = nn.ModuleList([conv.build(width) for conv in convs])
        self.norms = nn.ModuleList(
            [nn.ModuleList([modules.norm_act(width, head.activation) for _ in convs]) for _ in range(levels)]
        )

    def forward(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """Maps the level's `(batch, channels, height, width)` to another of that shape."""
        norms: nn.ModuleList = self.norms[level]  # type: ignore[assignment]
        for conv, norm in zip(self.convs, norms, strict=True):
            x = norm(conv(x))
        return x


class PyramidDetector(nn.Module):
    """A neck, towers and predictors; see `heads._pyramid`."""

    def __init__(self, head: PyramidHead, neck: nn.Module, levels: int) -> None:
        super().__init__()
        self.neck = neck
        self._branches = head.branches()
        for tower, predictors in self._branches:
            self.add_module(tower, LevelTower(head, levels))
            for name, out_channels in predictors:
                self.add_module(name, nn.Conv2d(head.neck.channels, out_channels, 1))

    def init_own_weights(self, generator: torch.Generator | None = None) -> None:
        """Draws the predictors small; class logits begin at the prior.

        Box regression begins at 0, the anchors themselves; distances begin at one stride, where their ReLU passes
        gradients on.
        """
        names = [name for _, predictors in self._branches for name, _ in predictors]
        distances = 1.0 if "centerness_predictor" in names else 0.0
        biases = {"class_predictor": PRIOR_LOGIT, "box_predictor": distances}
        for name in names:
            init_predictor(self.get_submodule(name), biases.get(name, 0.0), generator)

    def forward(self, levels: Mapping[int, torch.Tensor]) -> Outputs:
        """Maps stride → map of the network to class logits, boxes and centerness per level."""
        outputs: Outputs = []
        for level, x in enumerate(self.neck(levels).values()):
            values: list[torch.Tensor] = []
            for tower, predictors in self._branches:
                y = getattr(self, tower)(x, level)
                values += [getattr(self, name)(y) for name, _ in predictors]
            outputs.append(tuple(values))
        return outputs
