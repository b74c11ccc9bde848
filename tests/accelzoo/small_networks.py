"""Registered networks at small inputs, and which of them stand for the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from accelzoo.build import Trunk, build
from accelzoo.heads import ClassificationHead
from accelzoo.modules import Residual
from accelzoo.registry import get_arch, list_models, models

SIDE = 64  # the last maps are 2x2: with one value per channel and image, two images would be normalised to ±1
LARGE_BYTES = 50 << 20
DAMPING = 0.1


@cache
def by_size() -> dict[str, int]:
    """Every registered name and the bytes of its weights, the smallest first."""
    sizes = {name: get_arch(name).lower().weight_bytes for name in list_models()}
    return dict(sorted(sizes.items(), key=lambda item: item[1]))


def covering(traits: Callable[[str], Collection[Hashable]]) -> list[str]:
    """Names that have every trait between them, the smallest first."""
    seen: set[Hashable] = set()
    chosen = []
    for name in by_size():
        if not seen.issuperset(new := traits(name)):
            chosen.append(name)
            seen.update(new)
    return chosen


def block_kinds_of(name: str) -> set[Hashable]:
    """The kinds of a network's blocks."""
    return {block.kind for group in get_arch(name).groups() for block in group}


def parts_of(name: str) -> set[Hashable]:
    """What a classifier is made of: kinds of blocks and operators, the stem's ways, the head's layout.

    Heads for dense prediction are tested by themselves, on one small trunk.
    """
    arch = get_arch(name)
    head = arch.head
    if not isinstance(head, ClassificationHead):
        return set()
    layout = head.pool_first, head.hidden_norm, head.hidden_channels is None
    operators = {(op.kind, op.function) for op in arch.lower().ops}
    return block_kinds_of(name) | operators | {arch.stem.padding, arch.stem.space_to_depth, layout}


def parts_and_family_of(name: str) -> set[Hashable]:
    """What a network is made of, and its family."""
    return parts_of(name) | {("family", models()[name].name)}


def every_network(by_default: Collection[str]) -> list[Any]:
    """Every registered name as a parameter; those that are not run by default are slow."""
    return [name if name in by_default else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]


def small_network(name: str) -> tuple[Trunk, torch.Tensor]:
    """Builds a network with no weights at special values, and two small images for it.

    Branches of residuals are damped: in a deep network with random weights, rounding would else grow from block to
    block until outputs have no digit in common.
    """
    generator = torch.Generator().manual_seed(0)
    arch = get_arch(name)
    model = build(arch, generator)
    with torch.no_grad():
        for norm in norms(model):
            norm.weight.uniform_(0.8, 1.2, generator=generator)
            norm.bias.normal_(0, 0.1, generator=generator)
        for module in model.modules():
            if isinstance(module, Residual):
                norms(module)[-1].weight.mul_(DAMPING)
    return model, torch.randn(2, arch.input_size[0], SIDE, SIDE, generator=generator)


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """The normalisations inside a module, without those of shortcuts."""
    return [
        child
        for name, child in module.named_modules()
        if isinstance(child, nn.BatchNorm2d) and "downsample" not in name
    ]
