"""The architecture as a value: input size, stem, stages of blocks, head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from accelzoo import config
from accelzoo.blocks import Block
from accelzoo.errors import ShapeError
from accelzoo.heads import ClassificationHead, Head
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.rounding import scale_depth
from accelzoo.stem import Stem

if TYPE_CHECKING:
    from accelzoo.build import AccelNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One block repeated; only the first repeat carries the block's stride.

    Raises:
        ValueError: If `repeats` is below 1.
    """

    inline: ClassVar[str] = "block"

    block: Block
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats (={self.repeats}) must be at least 1")

    def blocks(self) -> Iterator[Block]:
        """Yields the stage's blocks in order."""
        yield self.block
        if self.repeats > 1:
            repeated = self.block.repeated()
            for _ in range(self.repeats - 1):
                yield repeated

    def scaled(self, width_multiplier: float, depth_multiplier: float, channel_divisor: int) -> Stage:
        """The stage with its channels and repeats scaled; see `Arch.scaled`."""
        block = self.block.scaled(width_multiplier, channel_divisor)
        return Stage(block=block, repeats=scale_depth(self.repeats, depth_multiplier))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A network: nothing else defines one. Hashable, comparable, and the same as its config.

    `input_size` is `(channels, height, width)`.

    Raises:
        ValueError: If the input size is not positive or there are no stages.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head = field(default_factory=ClassificationHead)
    input_size: tuple[int, int, int] = (3, 224, 224)

    def __post_init__(self) -> None:
        if min(self.input_size) < 1:
            raise ValueError(f"input_size (={list(self.input_size)}) must be positive (channels, height, width)")
        if not self.stages:
            raise ValueError("an architecture needs at least one stage")

    @classmethod
    def from_config(cls, source: Path | Mapping[str, Any]) -> Arch:
        """Reads an architecture from a YAML/JSON file or from plain data.

        Raises:
            ConfigError: All faults, each with its position.
        """
        return config.read(cls, source)

    def to_config(self) -> dict[str, Any]:
        """Plain data that `from_config` reads back."""
        data: dict[str, Any] = config.to_config(self)
        return data

    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of the config without the fields that are at their default.

        A field that is added later, with a default that changes nothing, so leaves every digest as it is.
        """
        return config.digest(config.to_config(self, defaults=False))

    def lower(self) -> Graph:
        """The operator graph of one inference at batch 1, without importing torch.

        Raises:
            ShapeError: If a block does not fit its input; the message names the block and the values.
        """
        graph = GraphBuilder(self.input_size)
        x = self.stem.lower(graph, graph.input)
        for index, stage in enumerate(self.stages):
            for repeat, block in enumerate(stage.blocks()):
                x = block.lower(graph, f"blocks.{index}.{repeat}", x)
        self.head.lower(graph, x)
        return graph.graph()

    def build(self) -> AccelNet:
        """Builds the `torch.nn.Module` with freshly drawn weights."""
        from accelzoo.build import build

        return build(self)

    def scaled(self, width_multiplier: float = 1.0, depth_multiplier: float = 1.0, channel_divisor: int = 8) -> Arch:
        """Scales every width and every stage's repeats (Howard et al. 2017, §3.3; Tan & Le 2019, §3.3).

        With all three at their defaults the architecture is returned as it is, whatever its widths are multiples of.

        Args:
            width_multiplier: Factor on channels, which are rounded to multiples of `channel_divisor`.
            depth_multiplier: Factor on repeats, rounded up.
            channel_divisor: What channel counts are multiples of: the accelerator's parallelism factor.

        Raises:
            ShapeError: If a multiplier or the divisor is not positive.
        """
        if width_multiplier <= 0 or depth_multiplier <= 0 or channel_divisor < 1:
            raise ShapeError(
                f"width_multiplier (={width_multiplier}), depth_multiplier (={depth_multiplier}) and "
                f"channel_divisor (={channel_divisor}) must be positive"
            )
        if width_multiplier == 1 and depth_multiplier == 1 and channel_divisor == 8:
            return self
        scale = width_multiplier, channel_divisor
        stages = tuple([stage.scaled(width_multiplier, depth_multiplier, channel_divisor) for stage in self.stages])
        return replace(self, stem=self.stem.scaled(*scale), stages=stages, head=self.head.scaled(*scale))
