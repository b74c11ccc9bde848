"""The architecture as a value: input size, stem, stages of blocks, head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from accelzoo import config
from accelzoo.blocks import Block
from accelzoo.errors import ShapeError
from accelzoo.heads import ClassificationHead, Head
from accelzoo.hwmodel.ir import Graph, GraphBuilder
from accelzoo.rounding import scale_depth
from accelzoo.stem import Stem

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One block repeated; only the first repeat carries the block's stride.

    A `continued` stage goes on the one before it with other blocks: they are numbered on (`blocks.2.3` …), keep the
    map's size, and may be left out altogether (`repeats` 0).

    Raises:
        ValueError: If `repeats` is too low, or a continued stage has a stride.
    """

    inline: ClassVar[str] = "block"

    block: Block
    repeats: int = 1
    continued: bool = False

    def __post_init__(self) -> None:
        if self.repeats < (0 if self.continued else 1):
            raise ValueError(f"repeats (={self.repeats}) must be at least 1, or 0 in a continued stage")
        if self.continued and self.block.stride != 1:
            raise ValueError(f"a continued stage keeps the map's size: stride (={self.block.stride}) must be 1")

    def blocks(self) -> Iterator[Block]:
        """Yields the stage's blocks in order."""
        if self.repeats:
            yield self.block
        if self.repeats > 1:
            repeated = self.block.repeated()
            for _ in range(self.repeats - 1):
                yield repeated

    def scaled(self, width_multiplier: float, depth_multiplier: float, channel_divisor: int) -> Stage:
        """The stage with its channels and repeats scaled; see `Arch.scaled`."""
        block = self.block.scaled(width_multiplier, channel_divisor)
        repeats = scale_depth(self.repeats, depth_multiplier) if self.repeats else 0
        return replace(self, block=block, repeats=repeats)


class FeatureLevel(NamedTuple):
    """The last feature map of one size: how many input pixels one of its pixels stands for, and where it is made."""

    stride: int
    channels: int
    group: int  # blocks.<group - 1> makes it; 0 is the stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A network: nothing else defines one. Hashable, comparable, and the same as its config.

    `input_size` is `(channels, height, width)`; `norm_eps` is what normalisations add to variances.

    Raises:
        ValueError: If a value is not positive, there are no stages, or the first is a continued one.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head = field(default_factory=ClassificationHead)
    input_size: tuple[int, int, int] = (3, 224, 224)
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if min(self.input_size) < 1:
            raise ValueError(f"input_size (={list(self.input_size)}) must be positive (channels, height, width)")
        if not self.stages:
            raise ValueError("an architecture needs at least one stage")
        if self.stages[0].continued:
            raise ValueError("the first stage has none before it that it could continue")
        if self.norm_eps <= 0:
            raise ValueError(f"norm_eps (={self.norm_eps}) must be positive")

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
        stride, group, repeat = self.stem.reduction, -1, 0
        levels = {}
        for stage in self.stages:
            graph.mark()
            if not stage.continued:
                if stage.block.stride > 1:
                    levels[stride] = x
                group, repeat, stride = group + 1, 0, stride * stage.block.stride
            for block in stage.blocks():
                x = block.lower(graph, f"blocks.{group}.{repeat}", x)
                repeat += 1
        graph.mark()
        self.head.lower(graph, {**levels, stride: x})
        return graph.graph()

    def normal(self) -> Arch:
        """The same network with equal neighbours written as repeats and without stages that are left out."""
        stages: list[Stage] = []
        for group in self.groups():
            continued = False
            for block in group:
                if continued and block == stages[-1].block.repeated():
                    stages[-1] = replace(stages[-1], repeats=stages[-1].repeats + 1)
                else:
                    stages.append(Stage(block=block, continued=continued))
                continued = True
        return replace(self, stages=tuple(stages))

    def groups(self) -> tuple[tuple[Block, ...], ...]:
        """The blocks of every stage together with the stages that continue it (`blocks.0`, `blocks.1` …)."""
        groups: list[list[Block]] = []
        for stage in self.stages:
            if not stage.continued:
                groups.append([])
            groups[-1].extend(stage.blocks())
        return tuple([tuple(group) for group in groups])

    def feature_levels(self) -> tuple[FeatureLevel, ...]:
        """The last feature map of every size, from the finest to the coarsest."""
        levels = []
        stride, channels = self.stem.reduction, self.stem.out_channels
        groups = self.groups()
        for index, group in enumerate(groups):
            if group[0].stride > 1:
                levels.append(FeatureLevel(stride, channels, index))
            stride, channels = stride * group[0].stride, group[-1].out_channels
        return (*levels, FeatureLevel(stride, channels, len(groups)))

    def build(self) -> nn.Module:
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
