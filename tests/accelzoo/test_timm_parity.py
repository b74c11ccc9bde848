"""Our networks compute bit for bit what timm's do, from the same weights, and cost the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from accelzoo import create_model, get_arch
from accelzoo.arch import Arch
from accelzoo.build import build
from accelzoo.registry import models
from accelzoo.weights import from_timm

OURS = {name: family.timm_names[name] for name, family in models().items() if name in family.timm_names}
SIDE = 64
PUBLISHED_MACS = {"mobilenetv2_100": 300_774_272}
"""What torch's FLOP counter gives for MobileNetV2-1.0 at 224, halved."""


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@cache
def noise() -> torch.Tensor:
    """Normal numbers that all random weights are cut from: drawing 10⁸ for each network takes long."""
    return torch.randn(1 << 22, generator=torch.Generator().manual_seed(2))


def cut(count: int, start: int) -> torch.Tensor:
    numbers = noise()
    start %= len(numbers)
    if start + count > len(numbers):
        numbers = numbers.repeat(-(-(start + count) // len(numbers)))
    return numbers[start : start + count]


def random_state(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Weights that keep a signal's size, and normalisations of which none is the identity."""
    state = {}
    for start, (name, shape) in enumerate(shapes.items(), start=1):
        values = cut(shape.numel(), start * 7919).reshape(shape)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1)
        elif name.endswith("running_var") or (len(shape) == 1 and name.endswith(("weight", "gamma"))):
            state[name] = 1 + 0.5 * values.tanh()
        elif len(shape) == 1:
            state[name] = 0.2 * values
        else:
            state[name] = values * (2 / shape[1:].numel()) ** 0.5
    return state


def pair(name: str) -> tuple[Any, Any]:
    """Timm's network and ours, without numbers."""
    with torch.device("meta"):
        return timm.create_model(OURS[name]).eval(), build(get_arch(name)).eval()


def fill(name: str, theirs: nn.Module, ours: nn.Module) -> None:
    """Gives both the same weights; each takes all of them, in its own shapes."""
    state = random_state(shapes_of(theirs))
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(from_timm(state, name), assign=True)


def shapes_of(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def counted_macs(arch: Arch) -> int:
    """MACs without the normalisations that no convolution takes in, which torch's counter leaves out."""
    ops = arch.lower().ops
    return sum(op.macs for op in ops if not (op.kind == "depthwise_conv2d" and op.kernel_size == (1, 1)))


@pytest.mark.parametrize("name", OURS)
def test_networks_equal_timms_bit_for_bit(name: str) -> None:
    theirs, ours = pair(name)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert (ours.num_features, ours.head_hidden_size) == (theirs.num_features, theirs.head_hidden_size)
    arch = get_arch(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs(torch.empty((1, *arch.input_size), device="meta"))
    assert 2 * counted_macs(arch) == counter.get_total_flops()
    fill(name, theirs, ours)
    x = image(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        features = ours.forward_features(x)
        assert features.std() > 0
        assert torch.equal(features, theirs.forward_features(x))
        logits = ours.forward_head(features)
        assert logits.std() > 0
        assert torch.equal(logits, theirs.forward_head(features))


def test_whole_images_in_a_batch_give_equal_results_too() -> None:
    theirs, ours = pair("efficientnet_es")
    fill("efficientnet_es", theirs, ours)
    x = image(2, 3, 224, 160)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))
        pooled = theirs.forward_head(theirs.forward_features(x), pre_logits=True)
        assert torch.equal(ours.forward_head(ours.forward_features(x), pre_logits=True), pooled)


@pytest.mark.parametrize("name", PUBLISHED_MACS)
def test_macs_are_the_published_ones(name: str) -> None:
    assert get_arch(name).lower().macs == PUBLISHED_MACS[name]


@pytest.mark.parametrize("name", ["efficientnet_es", "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_small_100"])
@pytest.mark.parametrize("overrides", [{"num_classes": 10}, {"num_classes": 0}, {"in_chans": 1}])
def test_overrides_mean_what_they_mean_in_timm(name: str, overrides: dict[str, Any]) -> None:
    with torch.device("meta"):
        assert shapes_of(create_model(name, **overrides)) == shapes_of(timm.create_model(OURS[name], **overrides))
