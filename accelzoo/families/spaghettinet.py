"""SpaghettiNet-EdgeTPU: detectors whose backbone and merging nodes were found together, for the Pixel 6's Edge TPU.

As the TensorFlow model garden has them: nodes `n0` to `n5` are the stages of the network, one for every halving of the
map, and `c0n0` to `c0n5` the merging nodes of its head. Blocks pad as TensorFlow does; the maxima of the merging nodes
are taken around the window's centre.
"""

from __future__ import annotations

from collections.abc import Sequence

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, fused, ibn, mixed, network, separable
from accelzoo.families.base import Family, Published

# `iKxE`: inverted bottleneck of kernel K, expanded to E times the width of its *output*. `fKxEgG`:
# fused one in G groups, expanded to E times the width of its input. `sK`: depthwise without normalisation, and 1×1.
# A node a line: width, blocks; the stages' first block halves the map and adds no input, nor does a merging node's.
_STAGES = {
    "s": (
        (48, "f3x8g3"),
        (64, "f3x4g4 f3x4g4 f3x4g4"),
        (72, "i3x8 f3x8g4 i3x8 i3x4"),
        (88, "i3x8 i3x8 i3x4 i3x4"),
        (88, "i3x8 s5 s5 s5"),
        (88, "s5 s3"),
    ),
    "m": (
        (48, "f3x8g3"),
        (64, "f3x8g4 f3x4g4 f3x4g4 f3x4g4"),
        (72, "i3x8 f3x8g4 i3x8 i3x8"),
        (96, "i3x8 i3x8 i3x8 i3x4"),
        (104, "i3x8 i3x4 s5 i3x4"),
        (56, "s5 s3"),
    ),
    "l": (
        (48, "f3x8g3"),
        (64, "f3x8g4 f3x8g4 f3x8g4 f3x4g4"),
        (80, "i3x8 i3x8 i3x8 i3x4"),
        (104, "i3x8 i3x8 i3x8 i3x8"),
        (88, "i3x8 i5x4 i3x4 i3x8"),
        (56, "i5x4 s5"),
    ),
}
_MERGES = {
    "s": (
        (144, "i3x4 i3x4 i3x4 i3x4"),
        (120, "i3x8 i3x4 i3x4 i3x4"),
        (168, "i3x4"),
        (136, "i3x4 s3"),
        (136, "i3x4"),
        (64, "s3 s3"),
    ),
    "m": (
        (152, "i3x8 i3x4 i3x4 i3x4"),
        (120, "i3x8 i3x4 i3x4 i3x4"),
        (168, "i3x4 s3"),
        (136, "s3 s3 s3"),
        (136, "i3x4 s5"),
        (64, "s3 s3"),
    ),
    "l": (
        (160, "i3x8 i3x4 i3x4 i3x4"),
        (120, "i3x8 i3x4 i3x4 i3x8"),
        (168, "i3x4 i3x4 i3x4 i3x4"),
        (112, "i3x8 i3x4 s3"),
        (128, "i3x4 i3x4"),
        (64, "s5 s5"),
    ),
}
# Stride and sources of the merging nodes in order, the same in all sizes. The last keeps the size of the one before it.
_EDGES = (
    (32, ("level_32", "level_64")),
    (16, ("level_16", "c0n0")),
    (32, ("c0n1", "c0n0")),
    (64, ("c0n0", "level_128")),
    (128, ("c0n0", "level_128")),
    (128, ("c0n4",)),
)


def _block(text: str, in_channels: int, out_channels: int, stride: int) -> Config:
    kernel_size, _, ratio = text[1:].partition("x")
    sizes = 1, int(kernel_size), stride
    if text[0] == "i":
        expansion = int(ratio)
        return ibn(*sizes, expansion, out_channels, expanded_channels=expansion * out_channels)
    if text[0] == "f":
        expansion, groups = map(int, ratio.split("g"))
        return fused(*sizes, expansion, out_channels, group_size=in_channels * expansion // groups)
    return separable(*sizes, out_channels, activate_output=True, depthwise_norm=False)


def _blocks(text: str, in_channels: int, out_channels: int, stride: int = 1) -> list[Config]:
    """The blocks of a node; the first, which may have a stride, adds no input."""
    first, *rest = text.split()
    blocks = [_block(first, in_channels, out_channels, stride) | {"residual": False}]
    return blocks + [_block(block, out_channels, out_channels, 1) for block in rest]


def _merging_nodes(plan: Sequence[tuple[int, str]]) -> list[Config]:
    nodes: list[Config] = []
    shared = {"activation": "relu6", "padding": "same"}
    for index, ((width, text), (stride, sources)) in enumerate(zip(plan, _EDGES, strict=True)):
        before = width if len(sources) > 1 else plan[index - 1][0]
        blocks = [shared | block for block in _blocks(text, before, width)]
        for block in blocks:
            del block["repeats"]
        nodes.append({"name": f"c0n{index}", "stride": stride, "sources": [*sources], "blocks": blocks})
    return nodes


def _network(size: str) -> Config:
    stages: list[Config] = []
    channels = 24
    for width, text in _STAGES[size]:
        stages += mixed(*_blocks(text, channels, width, stride=2))
        channels = width
    nodes, outputs = _merging_nodes(_MERGES[size]), [f"c0n{index}" for index in range(1, 6)]
    head = {"kind": "spaghetti", "num_classes": 90, "nodes": nodes, "outputs": outputs}
    made = network(24, stages, head, activation="relu6", padding="same", input_size=320, norm_eps=1e-3)
    return made | {"stem": made["stem"] | {"kernel_size": 5}}


def _published(gigamacs: float, megaparameters: float, mean_average_precision: float, latency_ms: float) -> Published:
    folder = "tensorflow/models, research/object_detection/configs/tf1"
    return Published(
        source=f"{folder}, ssd_spaghettinet_edgetpu_320x320_coco17_sync_4x4.config",
        macs=gigamacs * 1e9,
        parameters=megaparameters * 1e6,
        map=mean_average_precision,
        latency_s=latency_ms / 1e3,
        device="Edge TPU",
        note="COCO 2017; which Edge TPU is not said there",
    )


FAMILY = Family(
    name="spaghettinet",
    source="tensorflow/models, research/object_detection, ssd_spaghettinet_feature_extractor.py (2021)",
    models={f"spaghettinet_edgetpu_{size}": _network(size) for size in _STAGES},
    spaces={"spaghettinet_edgetpu": stagewise(_network("s"))},
    published={
        "spaghettinet_edgetpu_s": (_published(1.0, 3.4, 26.2, 1.31),),
        "spaghettinet_edgetpu_m": (_published(1.25, 4.1, 27.4, 1.55),),
        "spaghettinet_edgetpu_l": (_published(1.57, 5.7, 28.02, 1.75),),
    },
)
