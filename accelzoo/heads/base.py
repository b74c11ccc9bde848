"""What every head is: a frozen value that lowers and builds what stands behind the feature maps."""

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
    """A task's end of the network, fed with feature maps: the last one of every size, by stride.

    The stride of a map says how many input pixels, along one side, one of its pixels stands for. Fields are what
    `get_arch(name, head=…, field=…)` sets, so none may be named like a field of a block, except `activation`.
    """

    kind: ClassVar[str]
    task: ClassVar[str]

    num_classes: int = 1000

    @classmethod
    def config_variants(cls) -> Mapping[str, type[Head]]:
        """Every head kind by name, for the config reader."""
        return head_kinds()

    def lower(self, graph: GraphBuilder, levels: Mapping[int, str]) -> tuple[str, ...]:
        """Appends the head's operators; returns the names of its outputs.

        Args:
            graph: Takes the operators.
            levels: Stride → tensor, from the finest map to the coarsest.

        Raises:
            ShapeError: If a map that the head needs is missing or too small; the message names the level and its size.
        """
        raise NotImplementedError

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the head's module, whose input is a mapping of stride → map.

        Args:
            channels: Stride → channels of the map, from the finest to the coarsest.

        Raises:
            ShapeError: If a map that the head needs is missing.
        """
        raise NotImplementedError

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The head of a network whose widths are multiplied."""
        raise NotImplementedError


def check_at_least_one(**values: int | None) -> None:
    """Refuses numbers below 1; None stands for a value that is left out.

    Raises:
        ValueError: Naming the first such value.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} (={value}) must be at least 1")


@cache
def head_kinds() -> Mapping[str, type[Head]]:
    """Finds every head kind: one module of `accelzoo.heads` each."""
    import accelzoo.heads as package

    kinds: dict[str, type[Head]] = {}
    for found in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        if found.startswith("_"):
            continue  # what heads share; some of it needs torch
        for value in vars(importlib.import_module(f"{package.__name__}.{found}")).values():
            if isinstance(value, type) and issubclass(value, Head) and hasattr(value, "kind"):
                kinds[value.kind] = value
    return kinds
