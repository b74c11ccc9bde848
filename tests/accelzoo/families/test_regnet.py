"""RegNet: stages from the line's parameters; and ResNet's figures."""

from __future__ import annotations

import pytest
import torch

from accelzoo import get_arch
from accelzoo.blocks import Bottleneck
from accelzoo.build import build
from accelzoo.registry import models

STAGES = {
    "regnetx_002": ([24, 56, 152, 368], [1, 1, 4, 7], 8),
    "regnetx_004": ([32, 64, 160, 384], [1, 2, 7, 12], 16),
    "regnetx_006": ([48, 96, 240, 528], [1, 3, 5, 7], 24),
    "regnetx_008": ([64, 128, 288, 672], [1, 3, 7, 5], 16),
    "regnetx_016": ([72, 168, 408, 912], [2, 4, 10, 2], 24),
    "regnetx_032": ([96, 192, 432, 1008], [2, 6, 15, 2], 48),
    "regnetx_040": ([80, 240, 560, 1360], [2, 5, 14, 2], 40),
    "regnetx_064": ([168, 392, 784, 1624], [2, 4, 10, 1], 56),
    "regnetx_080": ([80, 240, 720, 1920], [2, 5, 15, 1], 120),
    "regnety_002": ([24, 56, 152, 368], [1, 1, 4, 7], 8),
    "regnety_004": ([48, 104, 208, 440], [1, 3, 6, 6], 8),
    "regnety_006": ([48, 112, 256, 608], [1, 3, 7, 4], 16),
    "regnety_008": ([64, 128, 320, 768], [1, 3, 8, 2], 16),
    "regnety_016": ([48, 120, 336, 888], [2, 6, 17, 2], 24),
    "regnety_032": ([72, 216, 576, 1512], [2, 5, 13, 1], 24),
    "regnety_040": ([128, 192, 512, 1088], [2, 6, 12, 2], 64),
    "regnety_064": ([144, 288, 576, 1296], [2, 7, 14, 2], 72),
    "regnety_080": ([168, 448, 896, 2016], [2, 4, 10, 1], 56),
}
"""Widths and depths of the stages, and the group size, as pycls prints them and timm's modules have them."""


@pytest.mark.parametrize("name", STAGES)
def test_the_line_gives_the_published_stages(name: str) -> None:
    groups = get_arch(name).groups()
    widths, depths, group_size = STAGES[name]
    assert [group[0].out_channels for group in groups] == widths
    assert [len(group) for group in groups] == depths
    for group, width in zip(groups, widths, strict=True):
        for block in group:
            assert isinstance(block, Bottleneck)
            assert (block.inner_channels, block.group_size) == (width, min(group_size, width))


def test_gates_are_a_quarter_of_the_blocks_input_wide() -> None:
    ops = get_arch("regnety_004").lower().ops
    inner = [op.out_shape[0] for op in ops if op.name.endswith("conv_reduce")]
    assert inner == [8, 12, 26, 26, 26, *[52] * 6, *[110] * 5]
    assert not [op for op in get_arch("regnetx_004").lower().ops if op.kind == "mul"]


@pytest.mark.parametrize("name", [*STAGES, "resnet18", "resnet34", "resnet50", "resnet101"])
def test_sizes_are_the_published_ones(name: str) -> None:
    """All printed digits: pycls prints megaparameters and gigamacs to one place, torchvision three and all."""
    (published,) = models()[name].published[name]
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build(get_arch(name)).parameters())
    macs = get_arch(name).lower().macs
    assert published.parameters is not None
    assert published.macs is not None
    if name.startswith("resnet"):
        assert (parameters, round(macs / 1e9, 3)) == (published.parameters, published.macs / 1e9)
    else:
        assert (round(parameters / 1e6, 1), round(macs / 1e9, 1)) == (published.parameters / 1e6, published.macs / 1e9)
