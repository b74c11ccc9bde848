"""MobileNetV4: universal inverted bottlenecks, and in the hybrid networks attention over pixels.

The networks are timm's, whose larger ones hold some more channels than the paper's tables count. Left out are timm's
anti-aliased ones (`aa`, `blur`), whose strides are pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from accelzoo.families._spaces import layerwise, one_of
from accelzoo.families._stages import Config, conv, fused, head, mixed, network, scaled
from accelzoo.families.base import Family, Published

# A stage of blocks a line. `S-MxE` is a universal inverted bottleneck with depthwise kernels S before and M behind the
# expansion by E (0: none); `mqa` is attention.
_SMALL = (
    (96, "5-5x3 0-3x2 0-3x2 0-3x2 0-3x2 3-0x4"),
    (128, "3-3x6 5-5x4 0-5x4 0-5x3 0-3x4 0-3x4"),
)
_MEDIUM = (
    (80, "3-5x4 3-3x2"),
    (160, "3-5x6 3-3x4 3-3x4 3-5x4 3-3x4 3-0x4 0-0x2 3-0x4"),
    (256, "5-5x6 5-5x4 3-5x4 3-5x4 0-0x4 3-0x4 3-5x2 5-5x4 0-0x4 0-0x4 5-0x2"),
)
_LARGE = (
    (96, "3-5x4 3-3x4"),
    (192, "3-5x4 3-3x4 3-3x4 3-3x4 3-5x4 5-3x4 5-3x4 5-3x4 5-3x4 5-3x4 3-0x4"),
    (512, "5-5x4 5-5x4 5-5x4 5-5x4 5-0x4 5-3x4 5-0x4 5-0x4 5-3x4 5-5x4 5-0x4 5-0x4 5-0x4"),
)
_HYBRID_MEDIUM = (
    (80, "3-5x4 3-3x2"),
    (160, "3-5x6 0-0x2 3-3x4 3-5x4 mqa 3-3x4 mqa 3-0x4 mqa 3-3x4 mqa 3-0x4"),
    (256, "5-5x6 5-5x4 3-5x4 3-5x4 0-0x2 3-5x2 0-0x2 0-0x4 mqa 3-0x4 mqa 5-5x4 mqa 5-0x4 mqa 5-0x4"),
)
_HYBRID_LARGE = (
    (96, "3-5x4 3-3x4"),
    (192, "3-5x4 3-3x4 3-3x4 3-3x4 3-5x4 5-3x4 5-3x4 mqa 5-3x4 mqa 5-3x4 mqa 5-3x4 mqa 3-0x4"),
    (512, "5-5x4 5-5x4 5-5x4 5-5x4 5-0x4 5-3x4 5-0x4 5-0x4 5-3x4 5-5x4 mqa 5-0x4 mqa 5-0x4 mqa 5-0x4 mqa 5-0x4"),
)
_Attention = Mapping[int, Mapping[str, Any]]
"""Fields of the attention in the stage of a width."""

_MEDIUM_ATTENTION: _Attention = {
    160: {"heads": 4, "head_channels": 64, "kv_stride": 2},
    256: {"heads": 4, "head_channels": 64},
}
_LARGE_ATTENTION: _Attention = {
    192: {"heads": 8, "head_channels": 48, "kv_stride": 2},
    512: {"heads": 8, "head_channels": 64},
}


def _block(text: str, attention: Mapping[str, Any]) -> Config:
    if text == "mqa":
        return {"kind": "mobile_attention", **attention}
    kernels, _, ratio = text.partition("x")
    start, middle = map(int, kernels.split("-"))
    sizes = {"start_kernel_size": start, "kernel_size": middle, "expansion_ratio": int(ratio)}
    return {"kind": "universal_ibn", **sizes}


def _stages(plan: Sequence[tuple[int, str]], attention: _Attention) -> list[Config]:
    """The stages of a plan, with a layer scale where there is attention; equal neighbours are repeats of one."""
    scale = {"layer_scale": 1e-5} if attention else {}
    stages = []
    for out, text in plan:
        blocks = [
            _block(block, attention.get(out, {})) | scale | {"repeats": len([*run]), "out_channels": out}
            for block, run in groupby(text.split())
        ]
        stages += mixed(blocks[0] | {"stride": 2}, *blocks[1:])
    return stages


def _network(
    input_size: int,
    stem_channels: int,
    early: Sequence[Config],
    plan: Sequence[tuple[int, str]],
    attention: _Attention | None = None,
    activation: str = "relu",
) -> Config:
    """A network; `early` are the stages before those of the plan."""
    stages = [*early, *_stages(plan, attention or {}), conv(1, 1, 1, 960, residual=False)]
    options: dict[str, Any] = {"input_size": input_size, "activation": activation}
    return network(stem_channels, stages, head(1280, pool_first=True), **options)


_PAIRS = (
    *mixed(conv(1, 3, 2, 32), conv(1, 1, 1, 32, residual=False)),
    *mixed(conv(1, 3, 2, 96), conv(1, 1, 1, 64)),
)
_FUSED = (fused(1, 3, 2, 4, 48),)
_CONV_S = _network(224, 32, _PAIRS, _SMALL)
_HYBRID_M = _network(256, 32, _FUSED, _HYBRID_MEDIUM, _MEDIUM_ATTENTION)
_HYBRID_L = _network(384, 24, _FUSED, _HYBRID_LARGE, _LARGE_ATTENTION, "gelu")
_MODELS = {
    "mobilenetv4_conv_small": _CONV_S,
    "mobilenetv4_conv_small_035": scaled(_CONV_S, 0.35, fixed_stem=True),
    "mobilenetv4_conv_small_050": scaled(_CONV_S, 0.5, fixed_stem=True),
    "mobilenetv4_conv_medium": _network(256, 32, _FUSED, _MEDIUM),
    "mobilenetv4_conv_large": _network(384, 24, _FUSED, _LARGE),
    "mobilenetv4_hybrid_medium": _HYBRID_M,
    "mobilenetv4_hybrid_medium_075": scaled(_HYBRID_M, 0.75, fixed_stem=True, input_size=224),
    "mobilenetv4_hybrid_large": _HYBRID_L,
    "mobilenetv4_hybrid_large_075": scaled(_HYBRID_L, 0.75, fixed_stem=True, input_size=256),
}


def _published(
    size: str, top1: float, gigamacs: float, megaparameters: float, latency_ms: float
) -> tuple[Published, ...]:
    """Accuracy from the authors' configuration; the paper's other figures, read in others' transcriptions of it."""
    folder = "tensorflow/models, official/vision/configs/experiments/image_classification"
    return (
        Published(source=f"{folder}, imagenet_mobilenetv4_{size}_tpu.yaml", top1=top1),
        Published(
            source="Qin et al. 2024, table of ImageNet results",
            macs=gigamacs * 1e9,
            parameters=megaparameters * 1e6,
            latency_s=latency_ms / 1e3,
            device="Pixel 8 Edge TPU",
            note="second-hand: as two independent transcriptions of the table agree",
        ),
    )


def _choices(layer: Config) -> Config:
    """All four forms of the universal inverted bottleneck (Qin et al. 2024, §5), and its expansion."""
    if layer["kind"] != "universal_ibn":
        return {}
    strided = layer.get("stride", 1) == 2  # one of the two depthwise convolutions must halve the map
    kernels = {"start_kernel_size": one_of(0, 3, 5), "kernel_size": one_of(*((3, 5) if strided else (0, 3, 5)))}
    return {**kernels, "expansion_ratio": one_of(2, 3, 4, 6)}


_SEARCHED = [f"mobilenetv4_{size}" for size in ("conv_small", "conv_medium", "conv_large", "hybrid_medium")]


FAMILY = Family(
    name="mobilenetv4",
    source="Qin et al., MobileNetV4: Universal Models for the Mobile Ecosystem, ECCV 2024; sizes as in timm",
    models=_MODELS,
    spaces={name: layerwise(_MODELS[name], _choices) for name in _SEARCHED},
    published={
        "mobilenetv4_conv_small": _published("conv_small", 73.8, 0.2, 3.8, 0.7),
        "mobilenetv4_conv_medium": _published("conv_medium", 79.9, 1.0, 9.2, 1.1),
        "mobilenetv4_conv_large": _published("conv_large", 82.92, 5.9, 31.0, 2.4),
        "mobilenetv4_hybrid_medium": _published("hybrid_medium", 80.7, 1.2, 10.5, 1.5),
        "mobilenetv4_hybrid_large": _published("hybrid_large", 83.7, 7.2, 35.9, 3.8),
    },
    timm_names={name: name for name in _MODELS},
)
