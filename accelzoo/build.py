"""Arch → torch.nn.Module, laid out and named as timm's EfficientNet-type networks are."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from accelzoo import modules
from accelzoo.arch import Arch
from accelzoo.heads import ClassificationHead


class AccelNet(nn.Module):
    """The module of an architecture: `(batch, channels, height, width)` images → `(batch, num_classes)` logits."""

    conv_head: nn.Module  # only where the head has a hidden width
    bn2: nn.Module
    global_pool: nn.Module
    classifier: nn.Module
    pretrained_cfg: dict[str, Any]  # only with a release's weights: how to prepare images
    class_names: tuple[str, ...]

    def __init__(self, arch: Arch) -> None:
        super().__init__()
        self.arch = arch
        self._add_stem(arch)
        self._add_stages(arch)
        self._add_head(arch)

    def _add_stem(self, arch: Arch) -> None:
        conv, norm = arch.stem.layers()
        self.conv_stem = conv.build(arch.input_size[0])
        self.bn1 = norm.build(conv.out_channels)

    def _add_stages(self, arch: Arch) -> None:
        channels = arch.stem.out_channels
        stages = []
        for stage in arch.stages:
            blocks = []
            for block in stage.blocks():
                blocks.append(block.build(channels))
                channels = block.out_channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def _add_head(self, arch: Arch) -> None:
        head = classification_head(arch)
        channels = arch.stages[-1].block.out_channels
        self.num_classes = head.num_classes
        self.num_features = self.head_hidden_size = head.features(channels)
        self.drop_rate = head.drop_rate
        for name, module in head.build(channels).items():
            self.add_module(name, module)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Replaces the last layer by a fresh one for `num_classes`; 0 removes it."""
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images to the feature map `(batch, num_features, height, width)` before the pool."""
        x = self.blocks(self.bn1(self.conv_stem(x)))
        if hasattr(self, "conv_head"):
            x = self.bn2(self.conv_head(x))
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Pools a feature map and classifies it; `pre_logits` stops before the classifier."""
        x = self.global_pool(x)
        if self.drop_rate:
            x = nn.functional.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classifies images."""
        return self.forward_head(self.forward_features(x))


def classification_head(arch: Arch) -> ClassificationHead:
    """The architecture's head, which must be one for classification.

    Raises:
        TypeError: If it is another kind of head.
    """
    if not isinstance(arch.head, ClassificationHead):
        raise TypeError(f"AccelNet classifies; it cannot carry a {type(arch.head).__name__}")
    return arch.head


def build(arch: Arch, generator: torch.Generator | None = None) -> AccelNet:
    """Builds `arch` with weights drawn from `generator` (torch's default generator when None)."""
    model = AccelNet(arch)
    modules.init_weights(model, generator)
    return model
