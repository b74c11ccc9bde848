"""The built module: timm's model contract, its initial weights, and its modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from accelzoo import create_model, get_arch
from accelzoo.build import build
from accelzoo.modules import init_weights


def tiny(**overrides: Any) -> Any:
    return create_model("camera_ibn", **overrides)


def test_the_architecture_travels_with_the_module() -> None:
    assert tiny().arch == get_arch("camera_ibn")
    assert get_arch("camera_ibn").build().arch == get_arch("camera_ibn")


def test_classifiers_can_be_replaced() -> None:
    model = tiny()
    assert isinstance(model.get_classifier(), nn.Linear)
    model.reset_classifier(3)
    assert (model.num_classes, model(torch.zeros(2, 3, 32, 32)).shape) == (3, (2, 3))
    model.reset_classifier(0)
    assert isinstance(model.get_classifier(), nn.Identity)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, model.num_features)


def test_features_without_a_hidden_width() -> None:
    model = tiny(hidden_channels=None)
    assert not hasattr(model, "conv_head")
    assert model.num_features == get_arch("camera_ibn").stages[-1].block.out_channels
    assert model.forward_features(torch.zeros(2, 3, 32, 32)).shape[1] == model.num_features


def test_dropout_only_in_training() -> None:
    model = tiny(drop_rate=0.5)
    features = torch.ones(2, model.num_features, 2, 2)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        dropped = model.train().forward_head(features, pre_logits=True)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(model.eval().forward_head(features, pre_logits=True), torch.ones(2, model.num_features))


def test_weights_come_from_the_generator_alone() -> None:
    arch = get_arch("camera_ibn")
    first, same, other = (build(arch, torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["conv_stem.weight"], other["conv_stem.weight"])


def test_initial_weights_have_the_documented_spread() -> None:
    model: Any = nn.Sequential(nn.Conv2d(64, 128, 3, groups=2), nn.Linear(200, 400))
    init_weights(model, torch.Generator().manual_seed(0))
    assert model[0].weight.std().item() == pytest.approx((2 / (9 * 128 / 2)) ** 0.5, rel=0.02)
    assert model[1].weight.abs().max().item() == pytest.approx(400**-0.5, rel=0.01)
    assert not model[0].bias.any()
    assert not model[1].bias.any()
