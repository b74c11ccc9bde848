"""ResNet's basic block: two standard convolutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from accelzoo.blocks._projected import ProjectedBlock
from accelzoo.layers import Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic(ProjectedBlock):
    """Two k×k convolutions, the first with the stride (He et al. 2016, figure 5 left).

    A squeeze-excite gate stands behind the second (Hu et al. 2018, figure 3). `last_dilation` is the dilation of the
    second convolution where it differs: behind a stride that became a dilation.

    Memory: the block's input stays alive beside two maps of the output's size at most: those around the second
    convolution, or its output and the projected input.

    Raises:
        ValueError: If a value is out of its range.
    """

    kind: ClassVar[str] = "basic"
    end: ClassVar[str] = "act2"

    last_dilation: int | None = None

    def __post_init__(self) -> None:
        super(Basic, self).__post_init__()
        if self.last_dilation is not None and self.last_dilation < 1:
            raise ValueError(f"last_dilation (={self.last_dilation}) must be at least 1, or null for the block's own")

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists both convolutions, each with its norm, and squeeze-excite if asked for."""
        out = self.out_channels
        dilation = self.last_dilation or self.dilation
        return (
            self.spatial_conv("conv1", out),
            NormAct("bn1", out, self.activation),
            Conv("conv2", out, self.kernel_size, dilation=dilation, padding=self.padding),
            NormAct("bn2", out, ""),
            *self.gate(in_channels, out),
        )

    def repeated(self) -> Self:
        """The block behind the first one of a stage: stride 1, one dilation, the one that ended the first."""
        return replace(self, stride=1, dilation=self.last_dilation or self.dilation, last_dilation=None)

    def dilated(self, factor: int) -> Self:
        """The block with both convolutions reading pixels `factor` times further apart."""
        block = super(Basic, self).dilated(factor)
        return replace(block, last_dilation=self.last_dilation * factor) if self.last_dilation else block

    def without_stride(self) -> Self:
        """The block at stride 1; what the stride did to the second convolution, a dilation does."""
        if self.stride == 1:
            return self
        return replace(self, stride=1, last_dilation=(self.last_dilation or self.dilation) * self.stride)
