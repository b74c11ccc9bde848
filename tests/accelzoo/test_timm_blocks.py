"""Each block computes what timm's does from the same weights: bit for bit, attention up to the order of its sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import get_act_layer, make_divisible
from timm.models import _efficientnet_blocks as timm_blocks
from timm.models import regnet, resnet
from torch import nn

from accelzoo.blocks import (
    IBN,
    Basic,
    Block,
    Bottleneck,
    ConvBnAct,
    DepthwiseSeparable,
    FusedIBN,
    MobileAttention,
    ShuffleIBN,
    UniversalIBN,
)

IN = 16


def randomise(module: nn.Module) -> None:
    """Gives normalisations the statistics and factors of a trained network, and layer scales factors that show."""
    rng = torch.Generator().manual_seed(7)
    child: Any
    for child in module.modules():
        if hasattr(child, "running_mean"):
            child.running_mean.normal_(0, 0.2, generator=rng)
            child.running_var.uniform_(0.5, 1.5, generator=rng)
            nn.init.uniform_(child.weight, 0.5, 1.5, generator=rng)
            nn.init.normal_(child.bias, 0, 0.2, generator=rng)
        if hasattr(child, "gamma"):
            nn.init.uniform_(child.gamma, 0.5, 1.5, generator=rng)


def same_weights(ours: nn.Module, theirs: nn.Module, renamed: Callable[[str], str] = str) -> None:
    """Gives both modules the same weights; every one must have its place in the other."""
    randomise(theirs)
    ours.load_state_dict({renamed(name): value for name, value in theirs.state_dict().items()}, strict=True)


def check(block: Block, theirs: nn.Module, renamed: Callable[[str], str] = str, tolerance: float = 0.0) -> None:
    module = block.build(IN)
    same_weights(module, theirs, renamed)
    for size in ((15, 15), (14, 10)):
        x = torch.randn(2, IN, *size, generator=torch.Generator().manual_seed(1))
        for mode in (True, False):  # in training, too: batch statistics and running averages
            with torch.no_grad():
                y, wanted = module.train(mode)(x.clone()), theirs.train(mode)(x.clone())
            assert y.shape == wanted.shape
            assert wanted.std() > 0
            assert torch.equal(y, wanted) if not tolerance else (y - wanted).abs().max() <= tolerance


def gate(ratio: float) -> object:
    """Makes timm's squeeze-excite with a width relative to the gated channels."""
    return partial(timm_blocks.SqueezeExcite, rd_ratio=ratio) if ratio else None


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hard_swish"])
@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
@pytest.mark.parametrize(("out_channels", "stride", "kernel_size"), [(16, 1, 3), (24, 1, 5), (16, 2, 5)])
@pytest.mark.parametrize("kind", [ConvBnAct, DepthwiseSeparable, FusedIBN, IBN, UniversalIBN])
def test_each_kind_equals_timms(
    kind: type[Block], out_channels: int, stride: int, kernel_size: int, se_ratio: float, activation: str
) -> None:
    shared: dict[str, Any] = {"out_channels": out_channels, "stride": stride, "activation": activation}
    options: dict[str, Any] = {"stride": stride, "act_layer": get_act_layer(activation)}
    if kind is ConvBnAct:
        if se_ratio:
            pytest.skip("timm's ConvBnAct has no gate")
        block: Block = ConvBnAct(**shared, kernel_size=kernel_size)
        check(block, timm_blocks.ConvBnAct(IN, out_channels, kernel_size, skip=True, **options))
    elif kind is DepthwiseSeparable:
        block = DepthwiseSeparable(**shared, kernel_size=kernel_size, se_ratio=se_ratio)
        options["se_layer"] = gate(se_ratio)
        check(block, timm_blocks.DepthwiseSeparableConv(IN, out_channels, kernel_size, **options))
    else:
        names = {FusedIBN: "EdgeResidual", IBN: "InvertedResidual", UniversalIBN: "UniversalInvertedResidual"}
        options |= {"exp_ratio": 4.0, "se_layer": gate(se_ratio / 4)}
        size = {"dw_kernel_size_mid" if kind is UniversalIBN else "exp_kernel_size": kernel_size}
        size = {"dw_kernel_size": kernel_size} if kind is IBN else size
        values: dict[str, Any] = {"se_ratio": se_ratio, "expansion_ratio": 4.0}
        if kind is UniversalIBN:
            options["layer_scale_init_value"] = None
        theirs = getattr(timm_blocks, names[kind])
        check(kind(**shared, kernel_size=kernel_size, **values), theirs(IN, out_channels, **size, **options))


PLACED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"padding": "same", "stride": 2}, {"pad_type": "same", "stride": 2}),
    ({"dilation": 2}, {"dilation": 2}),
    ({"padding": "same", "stride": 2, "dilation": 2}, {"pad_type": "same", "stride": 2, "dilation": 2}),
    ({"residual": False}, {"noskip": True}),
]


@pytest.mark.parametrize(("ours", "theirs"), PLACED, ids=str)
def test_padding_dilation_and_skipping_are_timms(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    shared = {"out_channels": IN, **ours}
    check(IBN(**shared), timm_blocks.InvertedResidual(IN, IN, exp_ratio=6.0, **theirs))
    check(DepthwiseSeparable(**shared), timm_blocks.DepthwiseSeparableConv(IN, IN, **theirs))
    check(FusedIBN(**shared), timm_blocks.EdgeResidual(IN, IN, exp_ratio=6.0, **theirs))
    uib = UniversalIBN(**shared, start_kernel_size=5, layer_scale=1e-5)
    check(uib, timm_blocks.UniversalInvertedResidual(IN, IN, 5, 3, exp_ratio=6.0, **theirs))
    skip = {"skip": not theirs.get("noskip"), **{name: theirs[name] for name in theirs if name != "noskip"}}
    check(ConvBnAct(**shared), timm_blocks.ConvBnAct(IN, IN, 3, **skip))


def test_groups_are_timms() -> None:
    check(ConvBnAct(out_channels=32, group_size=4), timm_blocks.ConvBnAct(IN, 32, 3, group_size=4))
    fused = FusedIBN(out_channels=24, expansion_ratio=4, group_size=16)
    check(fused, timm_blocks.EdgeResidual(IN, 24, exp_ratio=4.0, group_size=16))


def test_an_activated_end_is_timms() -> None:
    block = DepthwiseSeparable(out_channels=24, activate_output=True, activation="relu6")
    check(block, timm_blocks.DepthwiseSeparableConv(IN, 24, pw_act=True, act_layer=nn.ReLU6))


@pytest.mark.parametrize("out_channels", [16, 24])
def test_an_expansion_that_does_not_widen_is_timms(out_channels: int) -> None:
    block = IBN(out_channels=out_channels, expansion_ratio=1, always_expand=True)
    check(block, timm_blocks.InvertedResidual(IN, out_channels, exp_ratio=1.0))


@pytest.mark.parametrize("limit", [0.0, 0.9, 0.95])
@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.42])
def test_mobilenetv3s_gate_is_timms(ratio: float, limit: float) -> None:
    # hard sigmoid, ReLU whatever the block's activation, widths rounded to multiples of 8, relative to what it gates
    layer: Any = partial(
        timm_blocks.SqueezeExcite,
        gate_layer=get_act_layer("hard_sigmoid"),
        force_act_layer=nn.ReLU,
        rd_round_fn=partial(make_divisible, divisor=8, round_limit=limit),
        rd_ratio=ratio,
    )
    values: dict[str, Any] = {"se_ratio": ratio, "se_base": "gated", "se_divisor": 8, "se_round_limit": limit}
    block = IBN(out_channels=24, activation="hard_swish", se_activation="relu", se_gate="hard_sigmoid", **values)
    theirs = timm_blocks.InvertedResidual(IN, 24, exp_ratio=6.0, act_layer=nn.Hardswish, se_layer=layer)
    check(block, theirs)


FORMS = [(3, 5, 0), (0, 3, 0), (5, 0, 0), (0, 0, 0), (3, 3, 5), (0, 0, 3)]
"""Kernels at the start, in the middle and at the end: ExtraDW, IBN, ConvNext-like, FFN, and with an end."""


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("out_channels", "stride"), [(16, 1), (24, 2)])
@pytest.mark.parametrize("layer_scale", [None, 1e-5])
def test_every_form_of_the_universal_ibn_is_timms(
    form: tuple[int, int, int], out_channels: int, stride: int, layer_scale: float | None
) -> None:
    if stride > 1 and not any(form):
        pytest.skip("an FFN has no convolution to carry a stride")
    start, middle, end = form
    kernels: dict[str, Any] = {"start_kernel_size": start, "kernel_size": middle, "end_kernel_size": end}
    shared: dict[str, Any] = {"out_channels": out_channels, "stride": stride, "expansion_ratio": 3}
    block = UniversalIBN(**shared, **kernels, layer_scale=layer_scale, activation="gelu")
    options: dict[str, Any] = {"layer_scale_init_value": layer_scale, "act_layer": nn.GELU}
    theirs = timm_blocks.UniversalInvertedResidual(IN, out_channels, *form, stride=stride, exp_ratio=3.0, **options)
    check(block, theirs)
    factors = [value for name, value in block.build(IN).named_parameters() if name == "layer_scale.gamma"]
    assert len(factors) == (layer_scale is not None)
    assert all(torch.equal(value, torch.full((out_channels,), layer_scale or 0.0)) for value in factors)


ATTENTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"head_channels": 24}, {"key_dim": 24, "value_dim": 24}),
    ({"kv_stride": 2, "kernel_size": 5}, {"kv_stride": 2, "dw_kernel_size": 5}),
    ({"kv_stride": 2, "padding": "same"}, {"kv_stride": 2, "pad_type": "same"}),
    ({"kv_stride": 2, "dilation": 2, "residual": False}, {"kv_stride": 2, "dilation": 2, "noskip": True}),
    ({"multi_query": False}, {"use_multi_query": False}),
]


@pytest.mark.parametrize(("ours", "theirs"), ATTENTIONS, ids=str)
@pytest.mark.parametrize("out_channels", [16, 24])
@pytest.mark.parametrize("layer_scale", [None, 1e-5])
def test_mobile_attention_is_timms(
    out_channels: int, layer_scale: float | None, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    block = MobileAttention(out_channels=out_channels, layer_scale=layer_scale, **ours)
    options = {"key_dim": 4, "value_dim": 4, "use_multi_query": True} | theirs
    module = timm_blocks.MobileAttention(
        IN, out_channels, num_heads=4, layer_scale_init_value=layer_scale, **options
    )
    check(block, module, tolerance=1e-5)


@pytest.mark.parametrize("kv_stride", [1, 2])
def test_averaged_queries_are_timms(kv_stride: int) -> None:
    block = MobileAttention(out_channels=IN, query_stride=2, kv_stride=kv_stride)
    options: dict[str, Any] = {"num_heads": 4, "key_dim": 4, "value_dim": 4, "layer_scale_init_value": None}
    options |= {"use_multi_query": True, "query_strides": (2, 2), "kv_stride": kv_stride}
    theirs = timm_blocks.MobileAttention(IN, IN, **options)
    module = block.build(IN)
    same_weights(module, theirs)
    x = torch.randn(2, IN, 14, 10, generator=torch.Generator().manual_seed(1))
    for mode in (True, False):
        with torch.no_grad():
            assert (module.train(mode)(x) - theirs.train(mode)(x)).abs().max() <= 1e-5


def projection(out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and out_channels == IN:
        return None
    return resnet.downsample_conv(IN, out_channels, kernel_size=1, stride=stride)


RESNETS = [(16, 1, 1), (32, 1, 1), (32, 2, 1), (16, 1, 2), (32, 2, 2), (16, 2, 1)]


@pytest.mark.parametrize(("out_channels", "stride", "dilation"), RESNETS)
def test_resnets_blocks_are_timms(out_channels: int, stride: int, dilation: int) -> None:
    shared: dict[str, Any] = {"out_channels": out_channels, "stride": stride, "dilation": dilation}
    shortcut = projection(out_channels, stride)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "downsample": shortcut}
    check(Basic(**shared), resnet.BasicBlock(IN, out_channels, **options))
    check(Bottleneck(**shared, inner_divisor=1), resnet.Bottleneck(IN, out_channels // 4, **options))


def test_a_stride_that_became_a_dilation_is_timms() -> None:
    block = Basic(out_channels=24, stride=2).dilated(2).without_stride()
    theirs = resnet.BasicBlock(IN, 24, first_dilation=2, dilation=4, downsample=projection(24, 1))
    check(block, theirs)
    narrow = Bottleneck(out_channels=64, stride=2, inner_divisor=1).dilated(2).without_stride()
    check(narrow, resnet.Bottleneck(IN, 16, first_dilation=2, dilation=4, downsample=projection(64, 1)))


def from_regnet(name: str) -> str:
    """Our name of a weight of timm's RegNet block."""
    for theirs, ours in (
        ("downsample.conv", "downsample.0"),
        ("downsample.bn", "downsample.1"),
        ("se.fc1", "se.conv_reduce"),
        ("se.fc2", "se.conv_expand"),
    ):
        name = name.replace(theirs, ours)
    for number in "123":
        name = name.replace(f"conv{number}.conv", f"conv{number}").replace(f"conv{number}.bn", f"bn{number}")
    return name


@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
@pytest.mark.parametrize(("out_channels", "stride", "dilation"), RESNETS)
def test_regnets_block_is_timms(out_channels: int, stride: int, dilation: int, se_ratio: float) -> None:
    shared: dict[str, Any] = {"out_channels": out_channels, "stride": stride, "dilation": dilation}
    block = Bottleneck(**shared, inner_ratio=1.0, group_size=8, se_ratio=se_ratio)
    options: dict[str, Any] = {"stride": stride, "dilation": (dilation, dilation), "group_size": 8}
    options["se_ratio"] = se_ratio
    check(block, regnet.Bottleneck(IN, out_channels, **options), from_regnet)


@pytest.mark.parametrize("groups", [2, 4])
def test_shuffle_ibn_is_what_its_convolutions_and_explicit_shuffle_make(groups: int) -> None:
    module = ShuffleIBN(out_channels=IN, expansion_ratio=3, pointwise_groups=groups).build(IN).eval()
    randomise(module)
    conv_pw, bn1, _, conv_dw, bn2, conv_pwl, bn3 = module.children()
    x = torch.randn(2, IN, 9, 7, generator=torch.Generator().manual_seed(1))
    wide = 48 // groups
    with torch.no_grad():
        y = bn1(conv_pw(x))
        order = [group * wide + index for index in range(wide) for group in range(groups)]
        wanted = bn3(conv_pwl(bn2(conv_dw(y[:, order])))) + x
        assert torch.equal(module(x), wanted)


def test_shuffle_ibn_with_one_group_is_the_ibn() -> None:
    shuffled, plain = ShuffleIBN(out_channels=IN, pointwise_groups=1).build(IN), IBN(out_channels=IN).build(IN)
    assert shuffled.state_dict().keys() == plain.state_dict().keys()
    shuffled.load_state_dict(plain.state_dict())
    x = torch.randn(2, IN, 9, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shuffled(x), plain(x))
