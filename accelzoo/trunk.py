"""Stem and blocks of an architecture as a torch.nn.Module, laid out and named as timm's EfficientNet-type networks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from timm.models import checkpoint_seq
from torch import nn

from accelzoo import modules
from accelzoo.arch import Arch
from accelzoo.dilation import with_output_stride


class Trunk(nn.Module):
    """Stem and blocks of an architecture: images → feature maps.

    `output_stride` limits how far the maps shrink (see `with_output_stride`). `feature_info` goes on naming the
    undilated network's levels, one entry each, as timm's does: several may then have one stride.

    Raises:
        ValueError: If `output_stride` does not fit the architecture.
    """

    arch: Arch
    num_classes: int
    grad_checkpointing: bool = False
    pretrained_cfg: dict[str, Any]  # only with a release's weights: how to prepare images
    class_names: tuple[str, ...]

    def __init__(self, arch: Arch, output_stride: int | None = None) -> None:
        super().__init__()
        levels = [level.group for level in arch.feature_levels()]
        if output_stride is not None:
            arch = with_output_stride(arch, output_stride)
        self.arch = arch
        channels = self.in_chans = arch.input_size[0]
        self._stem_names = []
        for layer in arch.stem.layers(channels):
            self.add_module(layer.name, layer.build(channels))
            self._stem_names.append(layer.name)
            channels = layer.out_channels
        groups = []
        strides, widths = [arch.stem.reduction], [channels]
        for group in arch.groups():
            blocks = []
            for block in group:
                blocks.append(block.build(channels))
                channels = block.out_channels
            groups.append(nn.Sequential(*blocks))
            strides.append(strides[-1] * group[0].stride)
            widths.append(channels)
        self.blocks = nn.Sequential(*groups)
        self._channels = widths  # of the map behind the stem and behind each group of blocks
        self.feature_info: list[dict[str, Any]] = [
            {
                "module": f"blocks.{group - 1}" if group else self._stem_names[-1],
                "num_chs": widths[group],
                "reduction": strides[group],
                "stage": group,
            }
            for group in levels
        ]

    def forward_stem(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images `(batch, channels, height, width)` to the stem's output."""
        for name in self._stem_names:
            x = getattr(self, name)(x)
        return x

    def forward_blocks(self, x: torch.Tensor) -> torch.Tensor:
        """Maps the stem's output to the last feature map."""
        if self.grad_checkpointing:
            return checkpoint_seq(self.blocks, x, flatten=True)
        return self.blocks(x)

    def forward_groups(
        self, x: torch.Tensor, wanted: Collection[int], last: int | None = None
    ) -> dict[int, torch.Tensor]:
        """Maps images to the outputs of some groups of blocks: 0 is the stem, `i + 1` is `blocks.<i>`.

        Args:
            x: Images `(batch, channels, height, width)`.
            wanted: Which outputs to return; those of groups that do not run are left out.
            last: The group to stop after; the network's last one when None.
        """
        x = self.forward_stem(x)
        outputs = {0: x} if 0 in wanted else {}
        for index, group in enumerate(self.blocks, start=1):
            if last is not None and index > last:
                break
            x = checkpoint_seq(group, x) if self.grad_checkpointing else group(x)
            if index in wanted:
                outputs[index] = x
        return outputs

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training computes activations inside blocks again instead of keeping them (Chen et al. 2016)."""
        self.grad_checkpointing = enable

    def set_drop_path(self, rate: float) -> None:
        """Lets training leave out residual blocks, the last with probability `rate`, earlier ones less often.

        Source: Huang et al. 2016, §3 (linear decay).
        """
        blocks = [block for group in self.blocks.children() for block in group.children()]
        for index, block in enumerate(blocks):
            if isinstance(block, modules.Residual):
                block.drop_path_rate = rate * index / len(blocks)


def set_norm_eps(module: nn.Module, eps: float) -> None:
    """Sets what every batch normalisation inside `module` adds to variances."""
    for child in module.modules():
        if isinstance(child, BatchNormAct2d):
            child.eps = eps
