"""What every neck is: a frozen value that turns a network's feature maps into levels of equal width."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import check_one_of
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.necks.levels import check_feature_levels, check_levels_fit, choose_levels, coarser_strides
from accelzoo.necks.node import Node
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Neck:
    """Levels of `channels` channels each, from the network's feature maps.

    `feature_levels` names the maps by their strides; null takes the three coarsest. Behind the last, `extra_levels`
    more halve the map each. A kind lists its `nodes`, and says which of them are its outputs.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str]

    channels: int = 64
    feature_levels: tuple[int, ...] | None = None
    extra_levels: int = 2
    activation: str = "relu6"

    def __post_init__(self) -> None:
        if self.channels < 1 or self.extra_levels < 0:
            raise ValueError(
                f"channels (={self.channels}) must be at least 1, extra_levels (={self.extra_levels}) at least 0"
            )
        check_feature_levels(self.feature_levels)
        check_one_of("activation", self.activation, ACTIVATIONS)

    @classmethod
    def config_variants(cls) -> Mapping[str, type[Neck]]:
        """Every neck kind by name, for the config reader."""
        return neck_kinds()

    def nodes(self, strides: tuple[int, ...]) -> tuple[Node, ...]:
        """Lists the nodes in the order in which they run; the network's map of stride s is the source `level_<s>`.

        Args:
            strides: Strides of the maps that the network gives.
        """
        raise NotImplementedError

    def outputs(self, strides: tuple[int, ...]) -> Mapping[int, str]:
        """Stride → node that makes the level, from the finest to the coarsest."""
        raise NotImplementedError

    def output_strides(self, available: Mapping[int, object]) -> tuple[int, ...]:
        """Strides of the levels that the neck makes of a network's.

        Raises:
            ShapeError: If the network lacks a level; the message names those that it has.
        """
        levels = choose_levels(available, self.feature_levels, 3, self.kind)
        return coarser_strides(tuple(levels), self.extra_levels)

    def lower(self, graph: GraphBuilder, path: str, levels: Mapping[int, str]) -> dict[int, str]:
        """Appends the neck's operators; returns stride → tensor, from the finest level to the coarsest.

        Args:
            graph: Takes the operators.
            path: What their names get in front, with the dot.
            levels: Stride → tensor of the network.

        Raises:
            ShapeError: If a map is missing or too small to be halved; the message names the level and the size.
        """
        chosen = choose_levels(levels, self.feature_levels, 3, self.kind)
        strides = tuple(chosen)
        check_levels_fit(graph, chosen, coarser_strides(strides, self.extra_levels)[-1], self.kind)
        maps = {f"level_{stride}": x for stride, x in chosen.items()}
        for node in self.nodes(strides):
            maps[node.name] = node.lower(graph, path, maps)
        return {stride: maps[name] for stride, name in self.outputs(strides).items()}

    def build(self, channels: Mapping[int, int]) -> nn.Module:
        """Makes the neck's module: a mapping of stride → map to another.

        Args:
            channels: Stride → channels of the network's maps.

        Raises:
            ShapeError: If a map is missing.
        """
        from accelzoo.necks._modules import Pyramid

        chosen = choose_levels(channels, self.feature_levels, 3, self.kind)
        return Pyramid(self.nodes(tuple(chosen)), self.outputs(tuple(chosen)), chosen)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The neck with its width scaled and rounded to a multiple of `channel_divisor`."""
        return replace(self, channels=make_divisible(self.channels * width_multiplier, channel_divisor))


@cache
def neck_kinds() -> Mapping[str, type[Neck]]:
    """Finds every neck kind: one module of `accelzoo.necks` each."""
    import accelzoo.necks as package

    kinds: dict[str, type[Neck]] = {}
    for found in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        if found.startswith("_"):
            continue
        for value in vars(importlib.import_module(f"{package.__name__}.{found}")).values():
            if isinstance(value, type) and issubclass(value, Neck) and hasattr(value, "kind"):
                kinds[value.kind] = value
    return kinds
