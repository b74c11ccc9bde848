"""Overrides of `get_arch` and `create_model`: heads, feature levels and output strides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch

from accelzoo import create_model, from_module, get_arch
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import IBN, ConvBnAct
from accelzoo.dilation import with_output_stride
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads import ClassificationHead, DeepLabHead, LrAsppHead, SequenceHead
from accelzoo.stem import Stem

WHOLE = ("mobilenetv2_100", "efficientnet_es", "resnet18", "resnet50")
FEATURES = ("mobilenetv3_large_100", "mobilenetv4_conv_small")  # take an output_stride in timm only without a head
IMAGE = torch.randn(1, 3, 72, 104, generator=torch.Generator().manual_seed(0))


def strides(arch: Arch) -> list[int]:
    return [level.stride for level in arch.feature_levels()]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", WHOLE)
def test_an_output_stride_is_timms_bit_for_bit(name: str, output_stride: int) -> None:
    theirs = timm.create_model(name, output_stride=output_stride, num_classes=4).eval()
    ours = create_model(name, output_stride=output_stride, num_classes=4).eval()
    state, own = theirs.state_dict(), ours.state_dict()
    if name.startswith("resnet"):  # other names in the same order
        state = dict(zip(own, state.values(), strict=True))
    assert list(state) == list(own)
    ours.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(ours(IMAGE), theirs(IMAGE))


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", FEATURES)
def test_the_last_map_of_an_output_stride_is_timms_bit_for_bit(name: str, output_stride: int) -> None:
    settings: dict[str, Any] = {"output_stride": output_stride, "features_only": True, "out_indices": (4,)}
    theirs: Any = timm.create_model(name, **settings).eval()
    ours = create_model(name, output_stride=output_stride).eval()
    unlike = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert unlike.unexpected_keys == []
    assert all(not key.startswith(("conv_stem", "bn1", "blocks")) for key in unlike.missing_keys)
    with torch.no_grad():
        assert torch.equal(ours.forward_blocks(ours.forward_stem(IMAGE)), theirs(IMAGE)[0])
    assert [ours.feature_info[-1]["reduction"]] == theirs.feature_info.reduction() == [output_stride]


def test_a_stem_stride_of_1_suits_small_images() -> None:
    small = get_arch("mobilenetv1_025", input_size=32, stem_stride=1)
    assert strides(small) == [1, 2, 4, 8, 16]
    # All but the classifier has four times the multiplications: twice as many pixels on each side of every map.
    rest, classifier = get_arch("mobilenetv1_025", input_size=32).lower().macs, 256 * 1000
    assert small.lower().macs - classifier == 4 * (rest - classifier)
    with pytest.raises(ConfigError, match=r"mobilenetv1_025: stride \(=3\) must be 1, 2 or 4"):
        get_arch("mobilenetv1_025", stem_stride=3)


@pytest.mark.parametrize("output_stride", [2, 4, 8, 16, 32, 64])
def test_an_output_stride_bounds_the_levels_and_keeps_the_weights(output_stride: int) -> None:
    plain, finer = get_arch("ibn_t", input_size=64), get_arch("ibn_t", input_size=64, output_stride=output_stride)
    assert strides(finer) == [stride for stride in (2, 4, 8, 16, 32) if stride <= output_stride]
    assert finer.lower().weight_count == plain.lower().weight_count
    assert len(finer.groups()) == len(plain.groups())
    assert from_module(finer.build(), finer.input_size).ops == finer.lower().ops
    assert (finer == plain) == (output_stride >= 32)
    assert with_output_stride(finer, output_stride) == finer


def test_an_output_stride_may_be_lowered_in_steps() -> None:
    arch = get_arch("ibn_t")
    assert with_output_stride(with_output_stride(arch, 16), 8).lower() == with_output_stride(arch, 8).lower()


def test_dilations_grow_behind_the_strides_they_replace() -> None:
    stages = [
        Stage(block=ConvBnAct(out_channels=8, stride=2), repeats=2),
        Stage(block=IBN(out_channels=8), repeats=1, continued=True),
        Stage(block=ConvBnAct(out_channels=8, stride=2, dilation=3), repeats=1),
        Stage(block=ConvBnAct(out_channels=8), repeats=2),
    ]
    arch = Arch(stem=Stem(out_channels=8), stages=tuple(stages), input_size=(3, 32, 32))
    dilations = [[block.dilation for block in group] for group in with_output_stride(arch, 2).groups()]
    assert dilations == [[1, 2, 2], [6], [4, 4]]


@pytest.mark.parametrize("output_stride", [0, -8, 12])
def test_an_output_stride_is_a_power_of_two(output_stride: int) -> None:
    with pytest.raises(ConfigError, match=rf"ibn_t: output_stride \(={output_stride}\) must be a power of two"):
        get_arch("ibn_t", output_stride=output_stride)


def test_an_output_stride_below_the_stems_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"output_stride \(=1\) is below the stem's own, 2"):
        get_arch("ibn_t", output_stride=1)


@pytest.mark.parametrize(
    "head", ["lraspp", {"kind": "lraspp"}, {"kind": "lraspp", "num_classes": 21}, LrAsppHead(num_classes=21)]
)
def test_a_head_is_chosen_by_kind_config_or_value(head: Any) -> None:
    arch = get_arch("ibn_t", head=head)
    assert arch == replace(get_arch("ibn_t"), head=LrAsppHead(num_classes=21))
    assert Arch.from_config(arch.to_config()) == arch


def test_a_heads_fields_are_overrides_too() -> None:
    arch = get_arch("ibn_t", head="deeplab", num_classes=3, atrous_rates=[2, 4], low_stride=8, activation="silu")
    assert arch.head == DeepLabHead(num_classes=3, atrous_rates=(2, 4), low_stride=8, activation="silu")
    assert {stage.block.activation for stage in arch.stages} == {"silu"} == {arch.stem.activation}
    given = DeepLabHead(num_classes=9, low_channels=7)
    assert get_arch("ibn_t", head=given, num_classes=3).head == replace(given, num_classes=3)
    assert get_arch("ibn_t", hidden_channels=None, drop_rate=0.2).head.hidden_channels is None  # type: ignore[attr-defined]


def test_scaling_comes_after_the_choice_of_a_head_and_before_its_fields() -> None:
    half = {"width_multiplier": 0.5}
    assert get_arch("ibn_t", head="lraspp", **half).head == LrAsppHead(hidden_channels=64)
    assert get_arch("ibn_t", head="lraspp", hidden_channels=100, **half).head == LrAsppHead(hidden_channels=100)
    assert get_arch("ibn_t", head="sequence", **half).head == SequenceHead()
    trunk = get_arch("ibn_t", **half)
    assert get_arch("ibn_t", head="lraspp", **half).stages == trunk.stages


def test_a_dense_model_is_created_by_name() -> None:
    model = create_model("ibn_t", head="lraspp", num_classes=5, in_chans=1, input_size=(32, 64), low_stride=4)
    with torch.no_grad():
        assert model.eval()(torch.zeros(2, 1, 32, 64)).shape == (2, 5, 8, 16)
    assert model.num_classes == 5
    assert [info["reduction"] for info in model.feature_info] == [2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"head": "lrasp"}, "ibn_t: head: .*'lrasp'.*lraspp"),
        ({"head": 5}, "ibn_t: head: .*5"),
        ({"head": {"kind": "lraspp", "low_strid": 4}}, "ibn_t: head: .*low_strid.*low_stride"),
        ({"head": "lraspp", "num_classes": 0}, r"ibn_t: num_classes \(=0\) must be at least 1"),
        ({"head": "lraspp", "num_classes": "two"}, "ibn_t: num_classes: .*'two'"),
        ({"head": "lraspp", "atrous_rates": (6,)}, "ibn_t: unknown override 'atrous_rates' .*low_stride"),
        ({"low_stride": 8}, "ibn_t: unknown override 'low_stride'.*allowed: head, input_size, .*drop_rate"),
        ({"head": "deeplab", "atrous_rates": 6}, "ibn_t: atrous_rates: .*6"),
        ({"output_stride": "8x"}, "ibn_t: output_stride: .*'8x'"),
        ({"low_channel": 3, "head": "deeplab"}, "unknown override 'low_channel'; did you mean 'low_channels'"),
        ({"in_chans": 1, "input_size": (3, 32, 32)}, r"in_chans \(=1\) contradicts input_size"),
        ({"input_size": "big"}, r"expected a side, \(height, width\) or \(channels, height, width\), got 'big'"),
        ({"input_size": True}, "expected a side, .* got True"),
        ({"expanded_ratio": 3}, "unknown override 'expanded_ratio'; did you mean 'expansion_ratio'"),
        ({"start_kernel_size": 3}, r"no block here takes start_kernel_size \(blocks: "),
    ],
)
def test_what_does_not_fit_is_named(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        get_arch("ibn_t", **overrides)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        get_arch("ibn_t", head="lraspp", low_stride="x", output_stride="y", lowstride=3)
    assert len(caught.value.faults) == 3


def test_no_overrides_change_nothing() -> None:
    assert get_arch("ibn_t") is get_arch("ibn_t")
    assert get_arch("ibn_t", width_multiplier=1.0, output_stride=32) == get_arch("ibn_t")
    assert isinstance(get_arch("ibn_t").head, ClassificationHead)


def test_an_input_that_a_head_cannot_use_is_refused_when_the_network_is_made() -> None:
    with pytest.raises(ShapeError, match=r"ssdlite: level 4 \(stride 128\) .* input of 64x64"):
        create_model("ibn_t", head="ssdlite", num_classes=2, input_size=64)
    with pytest.raises(ShapeError, match="input of 64x64"):
        create_model("ibn_t", head="ssdlite", num_classes=2, input_size=64, weights=create_model("ibn_t").state_dict())
