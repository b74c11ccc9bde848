"""What every block is: a frozen value that lists its layers, lowers them and builds them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from accelzoo.errors import ShapeError, check_one_of
from accelzoo.hwmodel.fragment import Fragment
from accelzoo.hwmodel.ir import ACTIVATIONS, GraphBuilder, Shape
from accelzoo.layers import PADDINGS, Conv, Layer
from accelzoo.rounding import make_divisible

if TYPE_CHECKING:
    from torch import nn

CACHED_BLOCKS = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block that maps `(in_channels, height, width)` to `(out_channels, height / stride, width / stride)`.

    `residual` adds the input to the output where both have one shape (stride 1, equal channels); the sum is written
    over one of the two. `padding` is how the k×k convolution pads (`layers.PADDINGS`), `dilation` how far apart the
    pixels that it reads are.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str]
    strides: ClassVar[tuple[int, ...]] = (1, 2)
    optional_kernel: ClassVar[bool] = False
    """Whether `kernel_size` 0 leaves its convolution out."""

    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    activation: str = "relu"
    residual: bool = True
    padding: str = "symmetric"
    dilation: int = 1

    def __post_init__(self) -> None:
        if self.out_channels < 1:
            raise ValueError(f"out_channels (={self.out_channels}) must be at least 1")
        check_kernel_size("kernel_size", self.kernel_size, self.optional_kernel)
        if self.stride not in self.strides:
            raise ValueError(f"stride (={self.stride}) must be {' or '.join(map(str, self.strides))}")
        if self.dilation < 1:
            raise ValueError(f"dilation (={self.dilation}) must be at least 1")
        check_one_of("activation", self.activation, ACTIVATIONS)
        check_one_of("padding", self.padding, PADDINGS)

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

    def spatial_conv(self, name: str, out_channels: int, groups: int = 1) -> Conv:
        """The k×k convolution with the block's kernel, stride, dilation and padding."""
        return Conv(name, out_channels, self.kernel_size, self.stride, groups, self.dilation, self.padding)

    def lower(self, graph: GraphBuilder, name: str, x: str) -> str:
        """Appends the block's operators, reading tensor `x`; returns the name of its output.

        Raises:
            ShapeError: If the block does not fit its input; the message names the block.
        """
        try:
            fragment = lowered(self, graph.shape(x), graph.bits)
        except ShapeError as error:
            raise ShapeError(f"{self.kind} block {name!r}: {error}") from None
        return graph.paste(fragment, name + ".", x)

    def lower_body(self, graph: GraphBuilder, x: str) -> str:
        """Appends the block's operators under names relative to the block; returns the name of its output.

        Raises:
            ShapeError: If the block does not fit its input.
        """
        in_channels = graph.shape(x)[0]
        y = x
        for layer in self.layers(in_channels):
            y = layer.lower(graph, "", y)
        return graph.add("add", y, x) if self.adds_input(in_channels) else y

    def build(self, in_channels: int) -> nn.Module:
        """Makes the block's module with `in_channels` input channels."""
        from accelzoo import modules

        return modules.sequence(in_channels, self.layers(in_channels), self.adds_input(in_channels))

    def repeated(self) -> Self:
        """The block as it stands behind the first one of a stage: at stride 1."""
        return self if self.stride == 1 else replace(self, stride=1)

    def dilated(self, factor: int) -> Self:
        """The block reading pixels `factor` times further apart."""
        return self if factor == 1 else replace(self, dilation=self.dilation * factor)

    def without_stride(self) -> Self:
        """The block at stride 1, still seeing the same field of its input (Yu & Koltun 2016, §2)."""
        return self if self.stride == 1 else replace(self, stride=1)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The block with its output channels scaled and rounded to a multiple of `channel_divisor`."""
        return replace(self, out_channels=make_divisible(self.out_channels * width_multiplier, channel_divisor))


def check_kernel_size(name: str, value: int, optional: bool = False) -> None:
    """Refuses a kernel size that has no middle pixel; 0 passes where the convolution is `optional`.

    Raises:
        ValueError: If it has none.
    """
    if (value < 1 or value % 2 == 0) and not (optional and value == 0):
        raise ValueError(f"{name} (={value}) must be odd and positive{', or 0 for none' if optional else ''}")


@lru_cache(maxsize=CACHED_BLOCKS)
def lowered(block: Block, in_shape: Shape, bits: tuple[int, int]) -> Fragment:
    """The operators of a block that stands alone; networks repeat blocks, and so do the candidates of a search."""
    graph = GraphBuilder(in_shape, *bits)
    block.lower_body(graph, graph.input)
    return Fragment(graph.ops)


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
