"""What blocks with a squeeze-excite gate share: how wide it is inside, and its functions."""

from __future__ import annotations

from dataclasses import dataclass

from accelzoo.blocks.base import Block
from accelzoo.errors import check_one_of
from accelzoo.hwmodel.ir import ACTIVATIONS
from accelzoo.layers import SqueezeExcite
from accelzoo.rounding import make_divisible

SE_BASES = ("input", "gated")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedBlock(Block):
    """A block that may hold a squeeze-excite gate.

    `se_ratio` is the gate's inner width relative to the block's input channels or, with `se_base` "gated", to the
    channels that it gates; 0 leaves the gate out. The width is rounded to a multiple of `se_divisor`, where that is
    not 1 never down to less than `se_round_limit` of it. `se_activation` is the activation inside (None: the block's
    own), `se_gate` the function that makes the factors.

    Source: Hu et al. 2018, §3; base and hard functions as in MobileNetV3 (Howard et al. 2019, §5.3).
    """

    se_ratio: float = 0.0
    se_base: str = "input"
    se_divisor: int = 1
    se_round_limit: float = 0.9
    se_activation: str | None = None
    se_gate: str = "sigmoid"

    def __post_init__(self) -> None:
        super(GatedBlock, self).__post_init__()
        if not 0 <= self.se_ratio <= 1:
            raise ValueError(f"se_ratio (={self.se_ratio}) must lie in 0 … 1")
        if self.se_divisor < 1:
            raise ValueError(f"se_divisor (={self.se_divisor}) must be at least 1")
        if not 0 <= self.se_round_limit <= 1:
            raise ValueError(f"se_round_limit (={self.se_round_limit}) must lie in 0 … 1")
        check_one_of("se_base", self.se_base, SE_BASES)
        check_one_of("se_gate", self.se_gate, ACTIVATIONS)
        if self.se_activation is not None:
            check_one_of("se_activation", self.se_activation, ACTIVATIONS)

    def gate(self, in_channels: int, channels: int) -> tuple[SqueezeExcite, ...]:
        """The gate over `channels` channels of a block with `in_channels` input channels; empty if there is none."""
        if not self.se_ratio:
            return ()
        wanted = (in_channels if self.se_base == "input" else channels) * self.se_ratio
        divisor = self.se_divisor
        reduced = max(1, round(wanted)) if divisor == 1 else make_divisible(wanted, divisor, self.se_round_limit)
        return (SqueezeExcite("se", channels, reduced, self.se_activation or self.activation, self.se_gate),)
