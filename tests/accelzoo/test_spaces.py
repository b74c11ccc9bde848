"""Registered spaces: each holds the published network that it is made around, and all that they make can be built."""

from __future__ import annotations

import pytest

from accelzoo import get_arch, get_space, list_models, list_spaces
from accelzoo.draw import generator
from accelzoo.families._spaces import one_of, widths

PUBLISHED = {
    "camera": "camera_accel",
    "efficientnet_edge": "efficientnet_es",
    "efficientnet_lite": "efficientnet_lite0",
    "efficientnetv2": "efficientnetv2_s",
    "efficientnetv2_b0": "efficientnetv2_b0",
    "fbnet_a": "fbnet_a",
    "fbnet_b": "fbnet_b",
    "fbnetv3": "fbnetv3_b",
    "mnasnet": "mnasnet_100",
    "mobiledet_cpu": "mobiledet_cpu",
    "mobiledet_dsp": "mobiledet_dsp",
    "mobiledet_edgetpu": "mobiledet_edgetpu",
    "mobiledet_gpu": "mobiledet_gpu",
    "mobilenet_edgetpu": "mobilenet_edgetpu_100",
    "mobilenet_edgetpu_v2": "mobilenet_edgetpu_v2_s",
    "mobilenetv1_widths": "mobilenetv1_100",
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3_small": "mobilenetv3_small_100",
    "mobilenetv4_conv_large": "mobilenetv4_conv_large",
    "mobilenetv4_conv_medium": "mobilenetv4_conv_medium",
    "mobilenetv4_conv_small": "mobilenetv4_conv_small",
    "mobilenetv4_hybrid_medium": "mobilenetv4_hybrid_medium",
    "ofa_mobilenetv3": "mobilenetv3_large_100",
    "proxylessnas_cpu": "proxylessnas_cpu",
    "proxylessnas_gpu": "proxylessnas_gpu",
    "proxylessnas_mobile": "proxylessnas_mobile",
    "proxylessnas_mobile_14": "proxylessnas_mobile_14",
    "regnety": "regnety_008",
    "resnet": "resnet50",
    "semnasnet": "semnasnet_100",
    "single_path_nas": "spnasnet_100",
    "spaghettinet_edgetpu": "spaghettinet_edgetpu_s",
    "presence": "presence_ibn",
    "presence_fusion": "presence_ibn",
    "presence_width": "presence_ibn",
    "room": "room_cpu",
}
ALONE = {"ibn", "ibn_detection", "ibn_segmentation", "ibn_sequence"}  # made around no network


def test_every_space_is_accounted_for() -> None:
    assert {*PUBLISHED, *ALONE} == {*list_spaces()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_space_holds_the_published_network(name: str) -> None:
    space, published = get_space(name), get_arch(PUBLISHED[name])
    genome = space.encode(published)
    assert space.fix(space.values(genome)) == published
    assert space.decode(genome).lower() == published.lower()
    assert space.canonical(genome) == genome


@pytest.mark.parametrize("name", list_spaces())
def test_every_value_of_every_knob_can_be_lowered(name: str) -> None:
    get_space(name).validate()


@pytest.mark.parametrize("name", list_spaces())
def test_drawn_networks_can_be_found_again(name: str) -> None:
    space = get_space(name)
    rng = generator(17)
    for _ in range(3):
        arch = space.sample(rng)
        assert space.decode(space.encode(arch)) == arch


@pytest.mark.parametrize("name", list_models())
def test_registered_networks_are_in_normal_form(name: str) -> None:
    arch = get_arch(name)
    assert arch.normal() == arch


def test_sizes_of_published_spaces() -> None:
    # Cai et al. 2020, §3.2: five stages of 2 to 4 layers with nine choices each; here a stage may have one layer, the
    # third stage has two more ratios, and whether a layer is there is a knob of its own.
    assert get_space("ofa_mobilenetv3").size() == (9 * (2 * 9) ** 3) ** 4 * (15 * (2 * 15) ** 3)
    # Berman et al. 2020, §4: 14 widths of every layer, fewer where rounding to multiples of 8 makes two alike.
    sizes = get_space("mobilenetv1_widths").sizes
    assert len(sizes) == 14
    assert max(sizes) == 14
    assert sizes[0] == 6  # 8, 16, …, 48 of 32


def test_widths_hold_the_published_one() -> None:
    assert widths(24, 0.5, 1.5).values == (16, 24, 40)
    assert widths(20, 1.5, divisor=4).values == (20, 32)
    assert one_of("b", "a", "b").values == ("b", "a")
