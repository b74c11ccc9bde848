"""The stem: what may stand around its convolution, its values and shapes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from accelzoo import modules
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.stem import Stem


def lowered(stem: Stem, height: int = 12, width: int = 8) -> GraphBuilder:
    graph = GraphBuilder((3, height, width))
    stem.lower(graph, graph.input)
    return graph


def image(height: int = 12, width: int = 8) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_space_to_depth_is_pixel_unshuffle_and_a_convolution() -> None:
    stem = Stem(out_channels=8, space_to_depth=2, stride=1)
    module = modules.sequence(3, stem.layers(3)).eval()
    weight = module.get_parameter("conv_stem.weight")
    x = image()
    # every 2×2 square becomes the channels of one pixel, row by row, colour by colour
    folded = torch.stack([x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)], dim=2).flatten(1, 2)
    with torch.no_grad():
        wanted = nn.functional.conv2d(folded, weight, padding=1) / (1 + 1e-5) ** 0.5  # the norm of a fresh module
        assert torch.allclose(module(x), wanted.relu(), atol=1e-6)
    (conv, act) = lowered(stem).ops
    assert (conv.inputs, conv.in_shape, conv.out_shape) == (("input",), (12, 6, 4), (8, 6, 4))
    assert conv.weight_count == weight.numel() == 12 * 8 * 9
    assert act.kind == "activation"
    assert stem.reduction == 2


def test_space_to_depth_needs_whole_squares() -> None:
    message = "space_to_depth: block_size (=2) must divide the map's sides, 12x9"
    with pytest.raises(ShapeError, match=re.escape(message)):
        lowered(Stem(out_channels=8, space_to_depth=2), width=9)


@pytest.mark.parametrize("size", [(12, 8), (13, 7)])
def test_max_pool_halves_the_map_as_resnets_does(size: tuple[int, int]) -> None:
    stem = Stem(out_channels=8, kernel_size=7, max_pool=True)
    module = modules.sequence(3, stem.layers(3)).eval()
    x = image(*size)
    with torch.no_grad():
        before = module[:2](x)
        assert torch.equal(module(x), nn.functional.max_pool2d(before, 3, 2, 1))
    ops = lowered(stem, *size).ops
    assert [(op.name, op.kind, op.function) for op in ops[2:]] == [("maxpool", "pool", "max")]
    assert ops[-1].out_shape == tuple(module(x).shape[1:]) == (8, -(-size[0] // 4), -(-size[1] // 4))
    assert stem.reduction == 4


def test_padding_same_pads_as_tensorflow() -> None:
    stem = Stem(out_channels=8, padding="same")
    module = modules.sequence(3, stem.layers(3))
    conv = module.get_submodule("conv_stem")
    assert isinstance(conv, Conv2dSame)
    x = image()
    with torch.no_grad():
        # 12×8 at stride 2 with 3×3 windows: one pixel missing, at the bottom and on the right
        wanted = nn.functional.conv2d(nn.functional.pad(x, (0, 1, 0, 1)), conv.weight, stride=2)
        assert torch.equal(conv(x), wanted)
    assert lowered(stem).ops[0].out_shape == (8, 6, 4)


def test_only_the_width_scales() -> None:
    stem = Stem(out_channels=32, space_to_depth=2, max_pool=True)
    assert stem.scaled(0.35, 8) == Stem(out_channels=16, space_to_depth=2, max_pool=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stride": 3}, "stride (=3) must be 1, 2 or 4"),
        ({"kernel_size": 2}, "kernel_size (=2) must be odd"),
        ({"out_channels": 0}, "out_channels (=0)"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"padding": "sane"}, "unknown padding 'sane'; did you mean 'same'?"),
        ({"space_to_depth": 0}, "space_to_depth (=0) must be at least 1"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Stem(**{"out_channels": 8, **values})
