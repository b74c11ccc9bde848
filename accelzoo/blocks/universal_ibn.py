"""Universal inverted bottleneck (UIB) of MobileNetV4: an IBN whose depthwise convolutions may stand in three places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelzoo.blocks._expansion import ExpandingBlock
from accelzoo.blocks._layer_scale import check_layer_scale, layer_scale
from accelzoo.blocks.base import check_kernel_size
from accelzoo.layers import Conv, Layer, NormAct


@dataclass(frozen=True, slots=True, kw_only=True)
class UniversalIBN(ExpandingBlock):
    """Expansion and projection, with a depthwise convolution before, between and behind them or not (0 leaves it out).

    `start_kernel_size`, `kernel_size` and `end_kernel_size` are theirs: start and middle make ExtraDW, the middle alone
    the IBN, the start alone the ConvNext-like form, none the FFN. The middle one carries the stride, else the start,
    else the end. The expansion is there at ratio 1, too. `layer_scale` is the initial value of a learned factor per
    output channel (None: no factor).

    Source: Qin et al. 2024 (MobileNetV4), §4; names and the place of the stride as in timm's UniversalInvertedResidual.

    Memory: as an IBN's; the block's input stays alive beside the start's output only with a residual, and without a
    middle one a single expanded tensor is alive at a time.

    Raises:
        ValueError: If a value is out of its range, or there is a stride but no depthwise convolution to carry it.
    """

    kind: ClassVar[str] = "universal_ibn"
    optional_kernel: ClassVar[bool] = True

    start_kernel_size: int = 0
    end_kernel_size: int = 0
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        super(UniversalIBN, self).__post_init__()
        check_kernel_size("start_kernel_size", self.start_kernel_size, optional=True)
        check_kernel_size("end_kernel_size", self.end_kernel_size, optional=True)
        check_layer_scale(self.layer_scale)
        if self.stride > 1 and not (self.start_kernel_size or self.kernel_size or self.end_kernel_size):
            names = "start_kernel_size, kernel_size or end_kernel_size"
            raise ValueError(f"stride (={self.stride}) needs a depthwise convolution: {names} must be positive")

    def layers(self, in_channels: int) -> tuple[Layer, ...]:
        """Lists the convolutions that are there, each with its norm, squeeze-excite and layer scale."""
        expanded, out, act = self.expanded(in_channels), self.out_channels, self.activation
        start_stride = 1 if self.kernel_size else self.stride
        end_stride = 1 if self.kernel_size or self.start_kernel_size else self.stride
        return (
            *self._depthwise("dw_start", in_channels, self.start_kernel_size, start_stride, ""),
            Conv("pw_exp.conv", expanded),
            NormAct("pw_exp.bn", expanded, act),
            *self._depthwise("dw_mid", expanded, self.kernel_size, self.stride, act),
            *self.gate(in_channels, expanded),
            Conv("pw_proj.conv", out),
            NormAct("pw_proj.bn", out, ""),
            *self._depthwise("dw_end", out, self.end_kernel_size, end_stride, ""),
            *layer_scale(out, self.layer_scale),
        )

    def _depthwise(
        self, name: str, channels: int, kernel_size: int, stride: int, activation: str
    ) -> tuple[Layer, ...]:
        if not kernel_size:
            return ()
        conv = Conv(f"{name}.conv", channels, kernel_size, stride, channels, self.dilation, self.padding)
        return conv, NormAct(f"{name}.bn", channels, activation)
