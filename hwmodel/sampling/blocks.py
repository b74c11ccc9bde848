"""Blocks of every form the zoo knows, written as operators."""

from __future__ import annotations

from typing import NamedTuple

from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.hwmodel.sampling.choices import (
    ACTIVATIONS,
    EXPANSIONS,
    KERNELS,
    Rng,
    aligned,
    between,
    chance,
    choose,
    weighted,
)

BLOCK_KINDS = {
    "ibn": 24,
    "fused_ibn": 16,
    "uib": 14,
    "conv": 8,
    "depthwise_separable": 12,
    "tucker": 6,
    "group_conv": 5,
    "basic": 7,
    "bottleneck": 8,
}
"""Every form, with the weight at which it is drawn."""


class Style(NamedTuple):
    """What the blocks of one network share.

    `gate` is the function at the end of its squeeze-and-excitation gates; `divisor` what their widths are multiples
    of; `se_percent` how often a block that can have a gate has one; `se_of` what the gate's width is a quarter of.
    """

    activation: str
    gate: str
    gate_activation: str
    se_percent: int
    se_of: str
    divisor: int
    residual: bool


class Block(NamedTuple):
    """One block: its form, and the values that a form does not use left at their defaults."""

    kind: str
    out_channels: int
    kernel_size: int
    stride: int
    expansion: int = 1
    start_kernel: int = 0
    groups: int = 1
    has_gate: bool = False


def draw_style(rng: Rng) -> Style:
    """Draws what the blocks of one network share."""
    activation = weighted(rng, ACTIVATIONS)
    hard = activation in ("hard_swish", "relu6", "relu") and chance(rng, 60)
    return Style(
        activation=activation,
        gate="hard_sigmoid" if hard else "sigmoid",
        gate_activation=activation if activation == "silu" or chance(rng, 10) else "relu",
        se_percent=weighted(rng, {0: 50, 30: 15, 60: 15, 100: 20}),
        se_of=choose(rng, ("expanded", "input")),
        divisor=weighted(rng, {1: 15, 4: 5, 8: 50, 16: 15, 32: 15}),
        residual=chance(rng, 90),
    )


def draw_block(rng: Rng, kind: str, style: Style, in_channels: int, out_channels: int, stride: int) -> Block:
    """Draws the values of one block."""
    groups, start_kernel = 1, 0
    if kind == "group_conv" or (kind == "bottleneck" and chance(rng, 20)):
        groups = weighted(rng, {2: 40, 4: 30, 8: 30})
    if kind == "uib":
        start_kernel = weighted(rng, {0: 40, 3: 35, 5: 25})
    kernel_size = weighted(rng, KERNELS)
    if kind == "uib" and (start_kernel or stride == 1) and chance(rng, 35):
        kernel_size = 0  # no depthwise in the middle: ConvNext-like with a start, a plain feed-forward without
    if kind in ("basic", "bottleneck") or (kind == "conv" and chance(rng, 50)):
        kernel_size = 3
    if kind == "conv" and chance(rng, 15):
        kernel_size = 1
    expansion = 4 if kind == "bottleneck" else weighted(rng, EXPANSIONS)
    if kind in ("conv", "fused_ibn", "tucker", "group_conv") and (kernel_size == 7 or in_channels > 160):
        kernel_size = 3  # wide full convolutions with larger kernels are in no network
    gated = kind in ("ibn", "fused_ibn", "depthwise_separable", "uib") and chance(rng, style.se_percent)
    return Block(kind, out_channels, kernel_size, stride, expansion, start_kernel, groups, gated)


def append_block(builder: GraphBuilder, name: str, x: str, block: Block, style: Style) -> str:
    """Appends a block and returns the name of its last operator."""
    return _Writer(builder, name, style, x, block).write()


def append_gate(builder: GraphBuilder, name: str, x: str, reduced_channels: int, style: Style) -> str:
    """Appends squeeze-and-excitation: pool, reduce, activation, expand, gate, product (Hu et al. 2018, §3)."""
    channels = builder.shape(x)[0]
    gate = builder.global_pool(f"{name}.pool", x)
    gate = builder.conv2d(f"{name}.conv_reduce", gate, reduced_channels)
    gate = builder.activation(f"{name}.act", gate, style.gate_activation)
    gate = builder.conv2d(f"{name}.conv_expand", gate, channels)
    gate = builder.activation(f"{name}.gate", gate, style.gate)
    return builder.mul(f"{name}.mul", x, gate)


class _Writer:
    """Writes one block; each form is a method."""

    def __init__(self, builder: GraphBuilder, name: str, style: Style, x: str, block: Block) -> None:
        self.builder, self.name, self.style, self.x, self.block = builder, name, style, x, block
        self.in_channels = builder.shape(x)[0]
        self.wide = aligned(self.in_channels * block.expansion, style.divisor)

    def write(self) -> str:
        y = FORMS[self.block.kind](self)
        if self.block.kind in ("basic", "bottleneck"):
            return self._add_shortcut(y)
        same = self.builder.shape(y) == self.builder.shape(self.x)
        adds = same and self.style.residual and self.block.kind not in ("conv", "group_conv", "depthwise_separable")
        return self.builder.add(f"{self.name}.add", y, self.x) if adds else y

    def _ibn(self) -> str:
        block, y = self.block, self.x
        if block.expansion > 1:
            y = self._conv("expand", y, self.wide)
        y = self._depthwise("depthwise", y, block.kernel_size, block.stride)
        return self._conv("project", self._gated(y), block.out_channels, act=False)

    def _fused_ibn(self) -> str:
        block = self.block
        if block.expansion == 1:
            y = self._conv("conv", self.x, block.out_channels, block.kernel_size, block.stride)
            return self._gated(y)
        y = self._conv("expand", self.x, self.wide, block.kernel_size, block.stride)
        return self._conv("project", self._gated(y), block.out_channels, act=False)

    def _uib(self) -> str:
        # Universal inverted bottleneck (Qin et al., MobileNetV4, ECCV 2024, §4): the stride is the middle's, if any.
        block, y = self.block, self.x
        if block.start_kernel:
            y = self._depthwise("start", y, block.start_kernel, 1 if block.kernel_size else block.stride, act=False)
        y = self._conv("expand", y, self.wide)
        if block.kernel_size:
            y = self._depthwise("middle", y, block.kernel_size, block.stride)
        return self._conv("project", self._gated(y), block.out_channels, act=False)

    def _conv2d(self) -> str:
        return self._conv("conv", self.x, self.block.out_channels, self.block.kernel_size, self.block.stride)

    def _depthwise_separable(self) -> str:
        y = self._depthwise("depthwise", self.x, self.block.kernel_size, self.block.stride)
        return self._conv("pointwise", self._gated(y), self.block.out_channels)

    def _tucker(self) -> str:
        # Compressed convolution (Xiong et al., MobileDets, CVPR 2021, §3.2.2); `expansion` picks both ratios.
        block = self.block
        quarters = 1 + block.expansion % 3
        inner = aligned(self.in_channels * quarters // 4, min(self.style.divisor, 8))
        outer = aligned(block.out_channels * (1 + (block.expansion + 1) % 3) // 4, min(self.style.divisor, 8))
        y = self._conv("compress", self.x, inner)
        y = self._conv("core", y, outer, block.kernel_size, block.stride)
        return self._conv("restore", y, block.out_channels, act=False)

    def _group_conv(self) -> str:
        block = self.block
        groups = _common(self.in_channels, block.out_channels, block.groups)
        return self._conv("conv", self.x, block.out_channels, block.kernel_size, block.stride, groups=groups)

    def _basic(self) -> str:
        y = self._conv("conv1", self.x, self.block.out_channels, 3, self.block.stride)
        return self._conv("conv2", y, self.block.out_channels, 3, act=False)

    def _bottleneck(self) -> str:
        block = self.block
        narrow = aligned(block.out_channels // 4, min(self.style.divisor, 8))
        y = self._conv("conv1", self.x, narrow)
        y = self._conv("conv2", y, narrow, 3, block.stride, groups=_common(narrow, narrow, block.groups))
        return self._conv("conv3", y, block.out_channels, act=False)

    def _add_shortcut(self, y: str) -> str:
        shortcut = self.x
        if self.builder.shape(y) != self.builder.shape(shortcut):
            shortcut = self._conv("shortcut", shortcut, self.block.out_channels, 1, self.block.stride, act=False)
        y = self.builder.add(f"{self.name}.add", y, shortcut)
        return self.builder.activation(f"{self.name}.act", y, self.style.activation)

    def _gated(self, y: str) -> str:
        if not self.block.has_gate:
            return y
        base = self.builder.shape(y)[0] if self.style.se_of == "expanded" else self.in_channels
        reduced = aligned(max(1, base // 4), min(self.style.divisor, 8))
        return append_gate(self.builder, f"{self.name}.se", y, reduced, self.style)

    def _conv(
        self, part: str, x: str, channels: int, kernel_size: int = 1, stride: int = 1, groups: int = 1, act: bool = True
    ) -> str:
        name = f"{self.name}.{part}"
        y = self.builder.conv2d(name, x, channels, kernel_size, stride, groups=groups)
        return self.builder.activation(f"{name}.act", y, self.style.activation) if act else y

    def _depthwise(self, part: str, x: str, kernel_size: int, stride: int, act: bool = True) -> str:
        channels = self.builder.shape(x)[0]
        return self._conv(part, x, channels, kernel_size, stride, groups=channels, act=act)


FORMS = {
    "ibn": _Writer._ibn,
    "fused_ibn": _Writer._fused_ibn,
    "uib": _Writer._uib,
    "conv": _Writer._conv2d,
    "depthwise_separable": _Writer._depthwise_separable,
    "tucker": _Writer._tucker,
    "group_conv": _Writer._group_conv,
    "basic": _Writer._basic,
    "bottleneck": _Writer._bottleneck,
}


def _common(in_channels: int, out_channels: int, groups: int) -> int:
    """Returns the largest number of groups up to `groups` that divides both widths."""
    return next(count for count in range(groups, 0, -1) if in_channels % count == 0 == out_channels % count)


def block_channels(rng: Rng, size: int, low: int = 8) -> int:
    """Draws a width that networks have at maps of this size: the larger the map, the fewer channels."""
    limit = max(2 * low, min(640, 4480 // max(size, 1)))
    wide = between(rng, low, limit) if chance(rng, 50) else between(rng, low, max(low, limit // 3))
    return aligned(wide, weighted(rng, {1: 15, 4: 5, 8: 45, 16: 20, 32: 15}))
