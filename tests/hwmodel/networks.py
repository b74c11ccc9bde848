"""Networks and targets that several tests share, written out from the papers that define them."""

from __future__ import annotations

from typing import Any

from accelzoo.hwmodel import Graph, GraphBuilder, Target

TOY = Target(
    name="toy",
    description="Round numbers.",
    source="Made up for tests.",
    clock_hz=1e9,
    macs_per_cycle=64,
    input_channels_per_tile=8,
    output_channels_per_tile=8,
    elementwise_per_cycle=4,
    sram_bytes=1 << 30,
    sram_bytes_per_s=1e15,
    dram_bytes_per_s=1e15,
    weights_in="dram",
    op_overhead_s=0.0,
    energy_per_mac_j=0.0,
    energy_per_sram_byte_j=0.0,
    energy_per_dram_byte_j=0.0,
    static_power_w=0.0,
)
"""Memories so fast and large that computing decides; tests change the field they are about."""


def conv(in_channels: int, out_channels: int, size: int, kernel_size: int = 1, **options: Any) -> Graph:
    """One convolution of a square map."""
    builder = GraphBuilder((in_channels, size, size))
    builder.conv2d("conv", builder.input, out_channels, kernel_size=kernel_size, **options)
    return builder.graph()


def bottleneck(channels: int, size: int, expansion: int, *, fused: bool, kernel_size: int = 3) -> Graph:
    """An inverted bottleneck (Sandler et al., MobileNetV2, CVPR 2018) at stride 1, or its fused form."""
    builder = GraphBuilder((channels, size, size))
    wide = channels * expansion
    x = builder.conv2d("expand", builder.input, wide, kernel_size=kernel_size if fused else 1)
    x = builder.activation("expand.act", x, "relu")
    if not fused:
        x = builder.conv2d("depthwise", x, wide, kernel_size=kernel_size, groups=wide)
        x = builder.activation("depthwise.act", x, "relu")
    x = builder.conv2d("project", x, channels)
    builder.add("add", x, builder.input)
    return builder.graph()


MOBILENET_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, repeats, stride) per stage: Table 2 of the MobileNetV2 paper."""


def mobilenet_v2(
    stages: tuple[tuple[int, int, int, int], ...] = MOBILENET_V2_STAGES,
    size: int = 224,
    fused_stages: frozenset[int] = frozenset(),
) -> Graph:
    """MobileNetV2, or a relative of it with other stages, some of them fused."""
    builder = GraphBuilder((3, size, size))

    def conv(name: str, x: str, out_channels: int, **options: Any) -> str:
        return builder.activation(f"{name}.act", builder.conv2d(name, x, out_channels, **options), "relu6")

    x = conv("stem", builder.input, 32, kernel_size=3, stride=2)
    for index, (expansion, channels, repeats, first_stride) in enumerate(stages):
        for repeat in range(repeats):
            name, stride, shortcut = f"{index}.{repeat}", first_stride if repeat == 0 else 1, x
            wide = builder.shape(x)[0] * expansion
            if index in fused_stages:
                x = conv(f"{name}.expand", x, wide, kernel_size=3, stride=stride)
            else:
                x = conv(f"{name}.expand", x, wide) if expansion > 1 else x
                x = conv(f"{name}.depthwise", x, wide, kernel_size=3, stride=stride, groups=wide)
            x = builder.conv2d(f"{name}.project", x, channels)
            if repeat > 0:
                x = builder.add(f"{name}.add", x, shortcut)
    x = builder.global_pool("pool", conv("head", x, 1280))
    builder.linear("classifier", x, 1000)
    return builder.graph()


def mobilenet_v1() -> Graph:
    """MobileNet at 224 (Howard et al., arXiv 1704.04861, Table 1), activations left out."""
    builder = GraphBuilder((3, 224, 224))
    x = builder.conv2d("stem", builder.input, 32, kernel_size=3, stride=2)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for index, (channels, stride) in enumerate(plan):
        width = builder.shape(x)[0]
        x = builder.conv2d(f"{index}.depthwise", x, width, kernel_size=3, stride=stride, groups=width)
        x = builder.conv2d(f"{index}.pointwise", x, channels)
    builder.linear("classifier", builder.global_pool("pool", x), 1001)
    return builder.graph()


def vgg16() -> Graph:
    """VGG16 at 224 (Simonyan & Zisserman, ICLR 2015, D); a small depthwise convolution stands for each max pooling."""
    builder = GraphBuilder((3, 224, 224))
    x = builder.input
    for index, (repeats, channels) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]):
        for repeat in range(repeats):
            x = builder.conv2d(f"{index}.{repeat}", x, channels, kernel_size=3)
        x = builder.conv2d(f"{index}.pool", x, channels, kernel_size=3, stride=2, groups=channels)
    x = builder.conv2d("fc6", x, 4096, kernel_size=7, stride=7)
    builder.linear("fc8", builder.linear("fc7", x, 4096), 1000)
    return builder.graph()


def resnet50(size: int) -> Graph:
    """ResNet-50 (He et al., CVPR 2016), its max pooling replaced as in `vgg16`, activations left out."""
    builder = GraphBuilder((3, size, size))
    x = builder.conv2d("stem", builder.input, 64, kernel_size=7, stride=2)
    x = builder.conv2d("pool", x, 64, kernel_size=3, stride=2, groups=64)
    for stage, (width, repeats) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for repeat in range(repeats):
            name, stride = f"{stage}.{repeat}", 2 if stage and repeat == 0 else 1
            y = builder.conv2d(f"{name}.reduce", x, width)
            y = builder.conv2d(f"{name}.conv", y, width, kernel_size=3, stride=stride)
            y = builder.conv2d(f"{name}.restore", y, 4 * width)
            shortcut = x if repeat else builder.conv2d(f"{name}.shortcut", x, 4 * width, stride=stride)
            x = builder.add(f"{name}.add", y, shortcut)
    builder.linear("classifier", builder.global_pool("mean", x), 1000)
    return builder.graph()
