"""MobileNetEdgeTPU v1 and v2: what timm does not have, and where the authors' networks differ from timm's."""

from __future__ import annotations

import pytest
import torch

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.build import build

COUNTED = {
    "mobilenet_edgetpu_075": (2_622_401 - 961, 621_909_344 - 960),
    "mobilenet_edgetpu_100": (4_091_432, 990_669_184),
    "mobilenet_edgetpu_125": (6_030_497 - 1601, 1_638_372_512 - 1600),
    "mobilenet_edgetpu_150": (8_134_217 - 1921, 2_212_453_824 - 1920),
    "mobilenet_edgetpu_175": (10_769_025 - 2241, 3_139_134_432 - 2240),
    "mobilenet_edgetpu_v2_tiny": (3_762_729 - 1281, 512_449_280 - 1280),
    "mobilenet_edgetpu_v2_xs": (4_459_880, 688_214_528),
    "mobilenet_edgetpu_v2_xs_tf": (4_462_697, 707_483_392),
    "mobilenet_edgetpu_v2_s": (5_986_456, 1_198_002_688),
    "mobilenet_edgetpu_v2_m": (8_462_888, 1_835_637_440),
    "mobilenet_edgetpu_v2_l": (10_921_640, 2_530_786_432),
}
"""Parameters and MACs: of timm's module where it has the network, else counted from the tables in the authors' code by
a script of its own, with their 1001 classes; one is subtracted where ours has 1000."""

GROUPS = {
    "tiny": [2, 4, 3, 3, 3, 6],
    "xs": [2, 3, 3],
    "s": [3, 4, 4],
    "m": [4, 5, 5],
    "l": [2, 3, 3],
}
"""Numbers of groups of the group convolutions in order, as the authors' code makes them."""


def count_parameters(arch: Arch) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(arch).parameters())


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_macs_are_those_of_the_authors_tables(name: str) -> None:
    arch = get_arch(name)
    assert (count_parameters(arch), arch.lower().macs) == COUNTED[name]


@pytest.mark.parametrize(("name", "published"), [("mobilenet_edgetpu_075", 624e6), ("mobilenet_edgetpu_100", 990e6)])
def test_macs_are_the_published_ones(name: str, published: float) -> None:
    assert get_arch(name).lower().macs == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize("size", GROUPS)
def test_group_convolutions_have_the_authors_groups(size: str) -> None:
    ops = get_arch(f"mobilenet_edgetpu_v2_{size}").lower().ops
    assert [op.groups for op in ops if op.kind == "conv2d" and op.groups > 1] == GROUPS[size]


def test_the_fifth_stage_begins_without_a_residual() -> None:
    groups = get_arch("mobilenet_edgetpu_100").groups()
    assert [block.adds_input(96) for block in groups[4]] == [False, True, True, True]


def test_the_smallest_of_v2_differs_from_timms_in_stem_first_stage_and_classes() -> None:
    timms, authors = (get_arch(f"mobilenet_edgetpu_v2_{name}").lower().ops for name in ("xs", "xs_tf"))
    dropped = "blocks.0.0.bn1.act"
    assert {op.name for op in timms} - {op.name for op in authors} == {dropped}
    kept = [op for op in timms if op.name != dropped]
    fields = [(op.name, op.kernel_size, op.out_shape, op.groups) for op in kept]
    theirs = [(op.name, op.kernel_size, op.out_shape, op.groups) for op in authors]
    assert [ours[0] for ours, other in zip(fields, theirs, strict=True) if ours != other] == ["conv_stem", "classifier"]
    assert (authors[0].kernel_size, authors[-1].out_shape) == ((5, 5), (1001, 1, 1))


def test_the_authors_network_pads_and_normalises_as_tensorflow_does() -> None:
    with torch.device("meta"):
        model = build(get_arch("mobilenet_edgetpu_v2_xs_tf"))
    strided = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2)]
    assert [type(layer).__name__ for layer in strided] == ["Conv2dSame"] * 5
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert {layer.eps for layer in norms} == {1e-3}
