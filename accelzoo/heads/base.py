"""What every head is: a frozen value that lowers and builds what stands behind the last stage."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.hwmodel.ir import GraphBuilder

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A task's end of the network, fed with the last stage's output."""

    kind: ClassVar[str]

    @classmethod
    def config_variants(cls) -> Mapping[str, type[Head]]:
        """Every head kind by name, for the config reader."""
        return head_kinds()

    def lower(self, graph: GraphBuilder, x: str) -> str:
        """Appends the head's operators, reading tensor `x`; returns the name of its output."""
        raise NotImplementedError

    def build(self, in_channels: int) -> dict[str, nn.Module]:
        """Makes the head's modules by name, for `in_channels` input channels."""
        raise NotImplementedError

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head of a network whose widths are multiplied."""
        raise NotImplementedError


@cache
def head_kinds() -> Mapping[str, type[Head]]:
    """Finds every head kind: one module of `accelzoo.heads` each."""
    import accelzoo.heads as package

    kinds: dict[str, type[Head]] = {}
    for found in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        for value in vars(importlib.import_module(f"{package.__name__}.{found}")).values():
            if isinstance(value, type) and issubclass(value, Head) and hasattr(value, "kind"):
                kinds[value.kind] = value
    return kinds
