"""Tucker block of MobileDets: a standard convolution between two factors of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._gated import GatedBlock
from accelzoo.layers import Conv, Layer, NormAct
from accelzoo.rounding import make_divisible


@dataclass(frozen=True, slots=True, kw_only=True)
class Tucker(GatedBlock):
    """1×1 to the input rank, k×k to the output rank, linear 1×1: the generalised bottleneck (Xiong et al. 2021, §3.2).

    The ranks are `input_rank_ratio` times the input channels and `output_rank_ratio` times the output channels, rounded
    half up to multiples of `rank_divisor` as in the authors' code. A squeeze-excite gate scales the output rank.

    Memory: the block's input and the input rank, then both ranks, then the output rank beside the output; with a
    residual the input stays alive throughout.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "tucker"

    input_rank_ratio: float = 0.25
    output_rank_ratio: float = 0.75
    rank_divisor: int = 8

    def __post_init__(self) -> None:
        super(Tucker, self).__post_init__()
        for name in ("input_rank_ratio", "output_rank_ratio"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} (={getattr(self, name)}) must be positive")
        if self.rank_divisor < 1:
            raise ValueError(f"rank_divisor (={self.rank_divisor}) must be at least 1")

    def ranks(self, in_channels: int) -> tuple[int, int]:
        """Channels before and behind the k×k convolution."""
        wanted = in_channels * self.input_rank_ratio, self.out_channels * self.output_rank_ratio
        before, behind = (make_divisible(value, self.rank_divisor, round_limit=0.0) for value in wanted)
        return before, behind

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the three convolutions, each with its norm, and squeeze-excite if asked for."""
        before, behind = self.ranks(in_channels)
        return (
            Conv("conv_in", before),
            NormAct("bn1", before, self.activation),
            self.spatial_conv("conv_core", behind),
            NormAct("bn2", behind, self.activation),
            *self.gate(in_channels, behind),
            Conv("conv_out", self.out_channels),
            NormAct("bn3", self.out_channels, ""),
        )
