"""MobileDet: four backbones, each found for one accelerator, and the SSDLite detectors on them.

As the authors' release has them: TensorFlow's padding in the backbone, residual sums only where the release sets them,
91 logits a box, one of them for background. The release's normalisation adds 0.01 to variances in the backbone and
0.001 behind it; here there is one value for both, the backbone's. The detector's further maps pad symmetrically, and
with a logit for background `accelzoo.detection` decodes by a softmax, where the release takes sigmoids. The classifiers
are the bare backbones with a linear layer behind the pool.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from accelzoo.families._spaces import layerwise, one_of
from accelzoo.families._stages import Config, fused, head, ibn, mixed, network, separable
from accelzoo.families.base import Family, Published

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


def _blocks(text: str, repeats: int) -> Config:
    """A stage of `repeats` blocks, each as `text` says."""
    kind, size = text.removesuffix("!").split(":")
    size, _, stride = size.partition("s")
    width, _, kernel = size.partition("k")
    sizes = repeats, int(kernel or 3), int(stride or 1)
    residual = {"residual": not text.endswith("!")}
    if kind == "dw":
        return separable(*sizes, int(width), **residual)
    if kind.startswith("ibn"):
        return ibn(*sizes, int(kind.removeprefix("ibn")), int(width), **residual)
    if kind.startswith("fused"):
        return fused(*sizes, int(kind.removeprefix("fused")), int(width), **residual)
    before, behind = (int(percent) / 100 for percent in kind.removeprefix("tucker").split("/"))
    ranks = {"input_rank_ratio": before, "output_rank_ratio": behind}
    return separable(*sizes, int(width), **residual) | {"kind": "tucker"} | ranks


def _backbone(stem_channels: int, plan: str, activation: str = "relu6", **gate: Any) -> Config:
    stages: list[Config] = []
    for line in plan.strip().splitlines():
        runs = [_blocks(block, len([*run])) | gate for block, run in groupby(line.split())]
        stages += mixed(*runs)
    options: dict[str, Any] = {"activation": activation, "padding": "same", "input_size": 320, "norm_eps": 0.01}
    return network(stem_channels, stages, head(None), **options)


_BACKBONES = {
    "cpu": _backbone(16, _CPU, "hard_swish", se_ratio=0.25, se_base="gated", se_divisor=8),
    "edgetpu": _backbone(32, _EDGETPU),
    "dsp": _backbone(32, _DSP),
    "gpu": _backbone(32, _GPU),
}
_SSDLITE = {"kind": "ssdlite", "num_classes": 90, "activation": "relu6", "feature_levels": [16, 32]}


def _published(
    size: str, gigamacs: float, megaparameters: float, minival: float, val: float, latency_ms: float, device: str
) -> tuple[Published, ...]:
    folder = "tensorflow/models, research/object_detection/samples/configs"
    source = f"{folder}, ssdlite_mobiledet_{size}_320x320_coco_sync_4x4.config"
    counts: dict[str, Any] = {"source": source, "macs": gigamacs * 1e9, "parameters": megaparameters * 1e6}
    timing: dict[str, Any] = {"latency_s": latency_ms / 1e3, "device": device}
    return (
        Published(**counts, **timing, map=minival, note="COCO 2014 minival"),
        Published(**counts, **timing, map=val, note="COCO 2017 val"),
    )


def _choices(layer: Config) -> Config:
    """Inverted bottlenecks, fused ones and Tucker blocks (Xiong et al. 2021, §3 and §5.1)."""
    if layer["kind"] == "depthwise_separable":
        return {}
    ranks = {"input_rank_ratio": one_of(0.25, 0.75), "output_rank_ratio": one_of(0.25, 0.75)}
    kinds = {"kind": one_of("ibn", "fused_ibn", "tucker")}
    return {**kinds, "kernel_size": one_of(3, 5), "expansion_ratio": one_of(4, 8), **ranks}


FAMILY = Family(
    name="mobiledet",
    source=(
        "Xiong et al., MobileDets: Searching for Object Detection Architectures for Mobile Accelerators, CVPR 2021; "
        "sizes of tensorflow/models, research/object_detection, ssd_mobiledet_feature_extractor.py"
    ),
    models={f"mobiledet_{name}": backbone for name, backbone in _BACKBONES.items()}
    | {f"ssdlite_mobiledet_{name}": backbone | {"head": _SSDLITE} for name, backbone in _BACKBONES.items()},
    spaces={f"mobiledet_{name}": layerwise(backbone, _choices) for name, backbone in _BACKBONES.items()},
    published={
        "ssdlite_mobiledet_cpu": _published("cpu", 0.45, 4.21, 24.1, 23.5, 113, "Pixel 1 CPU"),
        "ssdlite_mobiledet_edgetpu": _published("edgetpu", 1.53, 4.20, 26.0, 25.2, 6.9, "Pixel 4 Edge TPU"),
        "ssdlite_mobiledet_dsp": _published("dsp", 2.82, 7.16, 28.9, 28.4, 12.3, "Pixel 4 DSP"),
        "ssdlite_mobiledet_gpu": _published("gpu", 5.07, 13.11, 28.7, 27.5, 3.2, "Jetson Xavier GPU (TensorRT, fp16)"),
    },
)
