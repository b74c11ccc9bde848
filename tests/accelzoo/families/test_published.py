"""Networks that timm does not have: parameters and MACs against figures that others printed of them."""

from __future__ import annotations

import pytest
import torch

from accelzoo import get_arch, list_models
from accelzoo.build import build
from accelzoo.families import families
from accelzoo.registry import models

EXACT_PARAMETERS = {
    "proxylessnas_cpu": 4_361_648,
    "proxylessnas_gpu": 7_119_848,
    "proxylessnas_mobile": 4_080_512,
    "proxylessnas_mobile_14": 6_857_568,
}
"""Asserted by pytorchcv of its transcriptions, whose weights are the authors'."""
PRINTED_PARAMETERS = {
    "fbnet_a": 4.3e6,
    "fbnet_b": 4.8e6,
    "mobilenetv1_025": 0.47e6,
    "mobilenetv1_050": 1.34e6,
    "mobilenetv1_075": 2.59e6,
}
PRINTED_MACS = {
    "fbnet_a": 244.5e6,
    "fbnet_b": 291.1e6,
    "mobilenetv1_025": 41e6,
    "mobilenetv1_050": 149e6,
    "mobilenetv1_075": 325e6,
    "proxylessnas_mobile": 320e6,
    "proxylessnas_mobile_14": 581e6,
}
"""FBNet: README of Facebook's PyTorch models; MobileNet-v1: Howard et al. 2017, table 6; ProxylessNAS: README."""


def count_parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(get_arch(name)).parameters())


@pytest.mark.parametrize("name", EXACT_PARAMETERS)
def test_parameters_are_the_transcribed_ones(name: str) -> None:
    assert count_parameters(name) == EXACT_PARAMETERS[name]


@pytest.mark.parametrize("name", PRINTED_PARAMETERS)
def test_parameters_are_the_printed_ones(name: str) -> None:
    assert count_parameters(name) == pytest.approx(PRINTED_PARAMETERS[name], rel=0.01)


@pytest.mark.parametrize("name", PRINTED_MACS)
def test_macs_are_the_printed_ones(name: str) -> None:
    assert get_arch(name).lower().macs == pytest.approx(PRINTED_MACS[name], rel=0.01)


def test_families_speak_of_their_own_models_alone() -> None:
    for family in families():
        for what in (family.published, family.timm_names):
            assert set(what) <= set(family.models), family.name
        assert len({*family.timm_names.values()}) == len(family.timm_names)


def test_every_model_has_one_family() -> None:
    assert len(list_models()) == sum(len(family.models) for family in families()) == len(models())


@pytest.mark.parametrize(
    ("name", "widths", "stem"),
    [
        ("mobilenetv2_140", [24, 32, 48, 88, 136, 224, 448], 48),
        ("mobilenetv3_small_050", [8, 16, 24, 24, 48, 288], 16),
        ("efficientnet_lite4", [24, 32, 56, 112, 160, 272, 448], 32),
        ("efficientnetv2_b3", [16, 40, 56, 112, 136, 232], 40),
        ("efficientnet_el", [32, 40, 56, 112, 176, 232], 40),
    ],
)
def test_widths_are_rounded_as_published(name: str, widths: list[int], stem: int) -> None:
    arch = get_arch(name)
    assert [group[-1].out_channels for group in arch.groups()] == widths
    assert arch.stem.out_channels == stem
