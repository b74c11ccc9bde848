"""What every block is: a frozen value that lists its layers, lowers them and builds them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import ShapeError, suggestion
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder
from accelzoo.layers import Layer
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block that maps `(in_channels, height, width)` to `(out_channels, height / stride, width / stride)`.

    `se_ratio` is the squeeze-excite width relative to the block's input channels; 0 leaves the gate out. `residual`
    adds the input to the output where both have one shape (stride 1, equal channels).

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str]

    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    se_ratio: float = 0.0
    activation: str = "relu"
    residual: bool = True

    def __post_init__(self) -> None:
        if self.out_channels < 1:
            raise ValueError(f"out_channels (={self.out_channels}) must be at least 1")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size (={self.kernel_size}) must be odd and positive")
        if self.stride not in (1, 2):
            raise ValueError(f"stride (={self.stride}) must be 1 or 2")
        if not 0 <= self.se_ratio <= 1:
            raise ValueError(f"se_ratio (={self.se_ratio}) must lie in 0 … 1")
        if self.activation not in ACTIVATIONS:
            hint = suggestion(self.activation, ACTIVATIONS)
            raise ValueError(f"unknown activation {self.activation!r}{hint}; allowed: {', '.join(ACTIVATIONS)}")

    @classmethod
    def config_variants(cls) -> Mapping[str, type[Block]]:
        """Every block kind by name, for the config reader."""
        return block_kinds()

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the layers for `in_channels` input channels, in the order in which they run."""
        raise NotImplementedError

    def adds_input(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output."""
        return self.residual and self.stride == 1 and in_channels == self.out_channels

    def se_channels(self, in_channels: int) -> int:
        """Width of the squeeze-excite bottleneck; 0 when there is none."""
        return max(1, int(in_channels * self.se_ratio)) if self.se_ratio else 0

    def lower(self, graph: GraphBuilder, name: str, x: str) -> str:
        """Appends the block's operators, reading tensor `x`; returns the name of its output.

        Raises:
            ShapeError: If the block does not fit its input; the message names the block.
        """
        in_channels = graph.shape(x)[0]
        path = name + "."
        y = x
        try:
            for layer in self.layers(in_channels):
                y = layer.lower(graph, path, y)
        except ShapeError as error:
            raise ShapeError(f"{self.kind} block {name!r}: {error}") from None
        return graph.add(path + "add", y, x) if self.adds_input(in_channels) else y

    def build(self, in_channels: int) -> nn.Module:
        """Makes the block's module with `in_channels` input channels."""
        from accelzoo import modules

        return modules.sequence(in_channels, self.layers(in_channels), self.adds_input(in_channels))

    def repeated(self) -> Self:
        """The block as it stands behind the first one of a stage: at stride 1."""
        return self if self.stride == 1 else replace(self, stride=1)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The block with its output channels scaled and rounded to a multiple of `channel_divisor`."""
        return replace(self, out_channels=make_divisible(self.out_channels * width_multiplier, channel_divisor))


@cache
def block_kinds() -> Mapping[str, type[Block]]:
    """Finds every block kind: one module of `accelzoo.blocks` each."""
    import accelzoo.blocks as package

    kinds: dict[str, type[Block]] = {}
    for found in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        module = importlib.import_module(f"{package.__name__}.{found}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Block) and hasattr(value, "kind"):
                kinds[value.kind] = value
    return kinds
