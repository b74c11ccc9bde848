"""Arch → torch.nn.Module with freshly drawn weights."""

from __future__ import annotations

from typing import Any

import torch

from accelzoo import modules
from accelzoo.arch import Arch
from accelzoo.classifier import AccelNet, classification_head
from accelzoo.heads import ClassificationHead
from accelzoo.trunk import Trunk, set_norm_eps

__all__ = ["AccelNet", "DenseNet", "Trunk", "build", "build_classifier", "classification_head", "set_norm_eps"]


class DenseNet(Trunk):
    """A trunk with a head that reads several feature maps: detection, segmentation, sequences.

    `forward` returns what the head does.
    """

    def __init__(self, arch: Arch) -> None:
        super().__init__(arch)
        levels = arch.feature_levels()
        self._strides = {level.group: level.stride for level in levels}
        self.head = arch.head.build({level.stride: level.channels for level in levels})
        self.num_classes = arch.head.num_classes
        set_norm_eps(self, arch.norm_eps)

    def forward(self, x: torch.Tensor) -> Any:
        """Maps images `(batch, channels, height, width)` to the head's outputs."""
        maps = self.forward_groups(x, self._strides)
        return self.head({self._strides[group]: value for group, value in maps.items()})


def build(arch: Arch, generator: torch.Generator | None = None) -> Trunk:
    """Builds `arch` with weights drawn from `generator` (torch's default generator when None).

    Returns:
        An `AccelNet` if the head classifies, otherwise a `DenseNet`.
    """
    if isinstance(arch.head, ClassificationHead):
        return build_classifier(arch, generator)
    model = DenseNet(arch)
    modules.init_weights(model, generator)
    return model


def build_classifier(
    arch: Arch,
    generator: torch.Generator | None = None,
    *,
    global_pool: str = "avg",
    output_stride: int | None = None,
) -> AccelNet:
    """Builds an architecture whose head classifies, as `build` does.

    Args:
        arch: The architecture.
        generator: Draws the weights; torch's default generator when None.
        global_pool: timm's name of the pool before the classifier (`avg`, `max`, `avgmax`, `catavgmax`, empty: none).
        output_stride: Limit of the last map's stride; see `Trunk`.

    Raises:
        TypeError: If it is another kind of head.
        ValueError: If `output_stride` does not fit the architecture.
    """
    model = AccelNet(arch, global_pool, output_stride)
    modules.init_weights(model, generator)
    return model
