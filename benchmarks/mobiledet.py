"""The four MobileDet backbones, and the SSDLite detectors on them, as operator graphs.

Source: Xiong et al., "MobileDets: Searching for Object Detection Architectures for Mobile Accelerators", CVPR 2021,
with the sizes of the authors' release in the TensorFlow model garden (`ssd_mobiledet_feature_extractor.py`). Batch
normalisation is folded; `relu6(x + 3) / 6 · x` is `hard_swish`.

`python benchmarks/mobiledet.py` prints the detectors beside what was published.
"""

from __future__ import annotations

from typing import NamedTuple

from accelzoo.hwmodel import Graph, GraphBuilder
from accelzoo.recipes.report import markdown_table

CLASSES = 91  # of COCO's numbering, with the background
ANCHORS = (3, 6, 6, 6, 6, 6)  # per position of each feature map
EXTRA_WIDTHS = (512, 256, 256, 128)

# A stage a line, a block an item: channels, then what differs from a 3×3 kernel, stride 1 and a residual connection.
# `k5` kernel, `s2` stride, `!` no residual. `ibnE` and `fusedE`: expansion E; `tuckerI/O`: percent of the input's and
# the output's channels; `dw`: no expansion.
_CPU = """
dw:8!
ibn4:16s2!
ibn8:32s2! ibn4:32 ibn4:32 ibn4:32
ibn8:72k5s2! ibn8:72 ibn4:72k5 ibn4:72 ibn8:72! ibn8:72 ibn8:72 ibn8:72
ibn8:104k5s2! ibn4:104k5 ibn4:104k5 ibn4:104 ibn8:144!
"""
_EDGETPU = """
tucker25/75:16!
fused8:16s2! fused4:16 fused8:16 fused4:16
fused8:40k5s2! fused4:40 fused4:40 fused4:40
ibn8:72s2! ibn8:72 fused4:72 fused4:72 ibn8:96k5! ibn8:96k5 ibn8:96 ibn8:96
ibn8:120k5s2! ibn8:120 ibn4:120k5 ibn8:120 ibn8:384k5!
"""
_DSP = """
dw:24!
fused4:32s2! fused4:32 ibn4:32 tucker25/75:32
fused8:64s2! ibn4:64 fused4:64 fused4:64
fused8:120s2! ibn4:120 ibn8:120 ibn8:120 fused8:144! ibn8:144 ibn8:144 ibn8:144
ibn4:160s2! ibn4:160 fused4:160 tucker75/75:160 ibn8:240!
"""
_GPU = """
tucker25/25:16!
fused8:32s2! tucker25/25:32 tucker25/25:32 tucker25/25:32
fused8:64s2! fused8:64 fused8:64 fused4:64
fused8:128s2! fused4:128 fused4:128 fused4:128 fused8:128! fused8:128 fused8:128 fused8:128
fused4:128s2! fused4:128 fused4:128 fused4:128 ibn8:384!
"""


class Backbone(NamedTuple):
    """Channels of the stem, the stages, and whether blocks use hard swish and squeeze-and-excitation."""

    stem: int
    stages: str
    gated: bool = False


PUBLISHED = {"cpu": (0.45, 4.21), "edgetpu": (1.53, 4.20), "dsp": (2.82, 7.16), "gpu": (5.07, 13.11)}
"""Billions of MACs, millions of parameters of the detectors at 320, from the headers of the authors' configurations."""

BACKBONES = {
    "cpu": Backbone(16, _CPU, gated=True),
    "edgetpu": Backbone(32, _EDGETPU),
    "dsp": Backbone(32, _DSP),
    "gpu": Backbone(32, _GPU),
}


def backbone(name: str, pixels: int = 320) -> Graph:
    """Returns a backbone, up to its last feature map, for square images."""
    drawing = _Drawing(BACKBONES[name], pixels)
    drawing.stages()
    return drawing.builder.graph()


def detector(name: str, pixels: int = 320) -> Graph:
    """Returns a detector: backbone, four more feature maps, and box and class predictions; twelve outputs."""
    drawing = _Drawing(BACKBONES[name], pixels)
    maps = drawing.stages()[-2:]
    for width in EXTRA_WIDTHS:
        half = drawing.conv(maps[-1], width // 2)
        maps.append(drawing.conv(drawing.depthwise(half, stride=2), width))
    for features, anchors in zip(maps, ANCHORS, strict=True):
        for values in (4, CLASSES):
            drawing.conv(drawing.depthwise(features), anchors * values, activate=False)
    return drawing.builder.graph()


class _Drawing:
    """Appends the blocks of one backbone to a graph."""

    def __init__(self, plan: Backbone, pixels: int) -> None:
        self.builder = GraphBuilder((3, pixels, pixels))
        self.plan = plan
        self.function = "hard_swish" if plan.gated else "relu6"
        self.count = 0

    def stages(self) -> list[str]:
        """Appends stem and stages; returns the last tensor of each stage."""
        x = self.conv(self.builder.input, self.plan.stem, 3, 2)
        ends = []
        for line in self.plan.stages.split("\n")[1:-1]:
            for block in line.split():
                x = self.block(x, block)
            ends.append(x)
        return ends

    def block(self, x: str, text: str) -> str:
        kind, size = text.removesuffix("!").split(":")
        size, _, stride = size.partition("s")
        width, _, kernel = size.partition("k")
        kernel_size, step = int(kernel or 3), int(stride or 1)
        channels = self.builder.shape(x)[0]
        if kind.startswith("tucker"):
            ranks = kind.removeprefix("tucker").split("/")
            y = self.conv(x, _share(channels, int(ranks[0])))
            y = self.conv(y, _share(int(width), int(ranks[1])), kernel_size, step)
        elif kind.startswith("fused"):
            y = self.conv(x, channels * int(kind.removeprefix("fused")), kernel_size, step)
        else:
            y = x if kind == "dw" else self.conv(x, channels * int(kind.removeprefix("ibn")))
            y = self.depthwise(y, kernel_size, step)
        if self.plan.gated:
            y = self.gate(y)
        y = self.conv(y, int(width), activate=False)
        return y if text.endswith("!") else self.builder.add(self.name("add"), y, x)

    def conv(self, x: str, width: int, kernel_size: int = 1, stride: int = 1, *, activate: bool = True) -> str:
        y = self.builder.conv2d(self.name("conv"), x, width, kernel_size, stride)
        return self.builder.activation(self.name(self.function), y, self.function) if activate else y

    def depthwise(self, x: str, kernel_size: int = 3, stride: int = 1) -> str:
        width = self.builder.shape(x)[0]
        y = self.builder.conv2d(self.name("depthwise"), x, width, kernel_size, stride, groups=width)
        return self.builder.activation(self.name(self.function), y, self.function)

    def gate(self, x: str) -> str:
        """Squeeze-and-excitation with a quarter of the channels in the middle."""
        width = self.builder.shape(x)[0]
        pooled = self.builder.global_pool(self.name("pool"), x)
        middle = self.conv(pooled, _share(width, 25))
        opened = self.builder.conv2d(self.name("conv"), middle, width)
        return self.builder.mul(self.name("mul"), x, self.builder.activation(self.name("sigmoid"), opened, "sigmoid"))

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}{self.count}"


def _share(channels: int, percent: int) -> int:
    """Returns a share of the channels, rounded half up to a multiple of 8."""
    return max(8, int(channels * percent / 100 / 8 + 0.5) * 8)


def main() -> None:
    """Prints the table; a folded batch normalisation leaves one of the two parameters that it had per channel."""
    rows = []
    for name, (published_macs, published_parameters) in PUBLISHED.items():
        graph = detector(name)
        parameters = sum(op.weight_count + op.bias * op.out_shape[0] for op in graph.ops) / 1e6
        rows.append(
            (
                name,
                f"{published_macs:.2f}",
                f"{graph.macs / 1e9:.3f}",
                f"{published_parameters:.2f}",
                f"{parameters:.2f}",
            )
        )
    header = ("backbone", "published MACs (G)", "ours", "published parameters (M)", "ours")
    print(markdown_table(header, rows), end="")


if __name__ == "__main__":
    main()
