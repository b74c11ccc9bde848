"""Our modules compute bit for bit what timm's do, from the same weights."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import timm
import torch
from timm.layers import get_act_layer
from timm.models import _efficientnet_blocks as timm_blocks
from torch import nn

from accelzoo import create_model, get_arch
from accelzoo.blocks import IBN, Block, ConvBnAct, DepthwiseSeparable, FusedIBN

SHARED = ("efficientnet_es", "mobilenetv2_100")
PUBLISHED_MACS = {"mobilenetv2_100": 300_774_272}
"""What torch's FLOP counter gives for MobileNetV2-1.0 at 224, halved."""


def randomise(module: nn.Module) -> None:
    """Gives normalisations the statistics and factors of a trained network, so that none is the identity."""
    rng = torch.Generator().manual_seed(7)
    child: Any
    for child in module.modules():
        if hasattr(child, "running_mean"):
            child.running_mean.normal_(0, 0.2, generator=rng)
            child.running_var.uniform_(0.5, 1.5, generator=rng)
            nn.init.uniform_(child.weight, 0.5, 1.5, generator=rng)
            nn.init.normal_(child.bias, 0, 0.2, generator=rng)


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SHARED)
def test_networks_equal_timms_bit_for_bit(name: str) -> None:
    theirs: Any = timm.create_model(name).eval()
    ours = create_model(name).eval()
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    with torch.no_grad():
        for batch, size in ((2, 224), (1, 160)):
            x = image(batch, 3, size, size)
            features = ours.forward_features(x)
            assert torch.equal(features, theirs.forward_features(x))
            logits = ours(x)
            assert logits.std() > 0
            assert torch.equal(logits, theirs(x))
            pooled = theirs.forward_head(features, pre_logits=True)
            assert torch.equal(ours.forward_head(features, pre_logits=True), pooled)


@pytest.mark.parametrize("name", PUBLISHED_MACS)
def test_macs_are_the_published_ones(name: str) -> None:
    assert get_arch(name).lower().macs == PUBLISHED_MACS[name]


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("overrides", [{"num_classes": 10}, {"num_classes": 0}, {"in_chans": 1}])
def test_overrides_mean_what_they_mean_in_timm(name: str, overrides: dict[str, Any]) -> None:
    with torch.device("meta"):
        ours = create_model(name, **overrides).state_dict()
        theirs = timm.create_model(name, **overrides).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def gate(ratio: float) -> object:
    """Makes timm's squeeze-excite with a width relative to the gated channels."""
    return partial(timm_blocks.SqueezeExcite, rd_ratio=ratio) if ratio else None


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hard_swish"])
@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
@pytest.mark.parametrize(("out_channels", "stride", "kernel_size"), [(16, 1, 3), (24, 1, 5), (16, 2, 5)])
@pytest.mark.parametrize("kind", ["conv_bn_act", "depthwise_separable", "fused_ibn", "ibn"])
def test_each_block_equals_timms(
    kind: str, out_channels: int, stride: int, kernel_size: int, se_ratio: float, activation: str
) -> None:
    shared: dict[str, Any] = {"out_channels": out_channels, "stride": stride, "activation": activation}
    shared["kernel_size"] = kernel_size
    act: dict[str, Any] = {"act_layer": get_act_layer(activation)}
    ours: Block
    theirs: nn.Module
    options: dict[str, Any]
    match kind:
        case "conv_bn_act":
            if se_ratio:
                pytest.skip("timm's ConvBnAct has no gate")
            ours = ConvBnAct(**shared)
            theirs = timm_blocks.ConvBnAct(16, out_channels, kernel_size, stride=stride, skip=True, **act)
        case "depthwise_separable":
            ours = DepthwiseSeparable(**shared, se_ratio=se_ratio)
            options = {"stride": stride, "se_layer": gate(se_ratio), **act}
            theirs = timm_blocks.DepthwiseSeparableConv(16, out_channels, kernel_size, **options)
        case "fused_ibn":
            ours = FusedIBN(**shared, se_ratio=se_ratio, expansion_ratio=4)
            options = {"stride": stride, "exp_ratio": 4.0, "se_layer": gate(se_ratio / 4), **act}
            theirs = timm_blocks.EdgeResidual(16, out_channels, kernel_size, **options)
        case _:
            ours = IBN(**shared, se_ratio=se_ratio, expansion_ratio=4)
            options = {"stride": stride, "exp_ratio": 4.0, "se_layer": gate(se_ratio / 4), **act}
            theirs = timm_blocks.InvertedResidual(16, out_channels, kernel_size, **options)
    module = ours.build(16)
    randomise(theirs)
    module.load_state_dict(theirs.state_dict(), strict=True)
    x = image(2, 16, 15, 15)
    for mode in (True, False):  # in training, too: batch statistics and running averages
        with torch.no_grad():
            assert torch.equal(module.train(mode)(x.clone()), theirs.train(mode)(x.clone()))
