"""What blocks with an expanded tensor between their convolutions share: its width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from accelzoo.blocks._gated import GatedBlock
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandingBlock(GatedBlock):
    """A block with an expanded tensor of `expansion_ratio` times its input channels, a multiple of `expanded_divisor`.

    `expanded_channels` sets the width outright, for published networks whose first block is wider than its ratio. The
    expanded tensor and what reads or makes it are alive together: it decides the block's peak activation memory.
    """

    expansion_ratio: float = 6.0
    expanded_channels: int | None = None
    expanded_divisor: int = 8

    def __post_init__(self) -> None:
        super(ExpandingBlock, self).__post_init__()
        if self.expansion_ratio <= 0:
            raise ValueError(f"expansion_ratio (={self.expansion_ratio}) must be positive")
        if self.expanded_channels is not None and self.expanded_channels < 1:
            raise ValueError(f"expanded_channels (={self.expanded_channels}) must be at least 1")
        if self.expanded_divisor < 1:
            raise ValueError(f"expanded_divisor (={self.expanded_divisor}) must be at least 1")

    def expanded(self, in_channels: int) -> int:
        """Channels of the expanded tensor."""
        if self.expanded_channels is not None:
            return self.expanded_channels
        if self.expansion_ratio == 1:
            return in_channels
        return make_divisible(in_channels * self.expansion_ratio, self.expanded_divisor)

    def repeated(self) -> Self:
        """The block behind the first one of a stage: stride 1, its width given by the ratio."""
        return replace(self, stride=1, expanded_channels=None)

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        """The block with output and explicit expanded channels scaled and rounded."""
        block = super(ExpandingBlock, self).scaled(width_multiplier, channel_divisor)
        if block.expanded_channels is None:
            return block
        expanded = make_divisible(block.expanded_channels * width_multiplier, channel_divisor)
        return replace(block, expanded_channels=expanded)
