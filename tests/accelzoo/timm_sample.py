"""Few networks that stand for all: together they hold every block kind, head layout and kind of stem."""

from __future__ import annotations

from functools import cache

from accelzoo import get_arch, list_models
from accelzoo.arch import Arch
from accelzoo.heads import ClassificationHead

SIDE = 64
"""Height and width of the tests' images."""


def classifiers() -> list[str]:
    """Names of all registered networks that classify, sorted."""
    return [name for name in list_models() if isinstance(get_arch(name).head, ClassificationHead)]


@cache
def sample() -> list[str]:
    """The smallest networks that bring something which those before them do not hold."""
    archs = {name: get_arch(name) for name in classifiers()}
    chosen: list[str] = []
    seen: set[str] = set()
    for name in sorted(archs, key=lambda name: (_size(archs[name]), name)):
        if parts := _parts(archs[name]) - seen:
            chosen.append(name)
            seen |= parts
    return sorted(chosen)


def _size(arch: Arch) -> int:
    return sum(block.out_channels**2 for group in arch.groups() for block in group)


def _parts(arch: Arch) -> set[str]:
    head, stem = arch.head, arch.stem
    assert isinstance(head, ClassificationHead)
    parts = {block.kind for group in arch.groups() for block in group}
    layout = ("none", "before the pool", "behind the pool")[bool(head.hidden_channels) + head.pool_first]
    parts.add(f"hidden layer {layout}" + (" without norm" if not head.hidden_norm else ""))
    parts.add(f"{len(arch.feature_levels())} levels from stride {arch.feature_levels()[0].stride}")
    return parts | {f"space to depth {stem.space_to_depth}", f"max pool {stem.max_pool}"}
