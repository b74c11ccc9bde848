"""EfficientNet-EdgeTPU: EfficientNet with fused early stages and without squeeze-excite."""

from __future__ import annotations

from typing import Any

from accelzoo.families.base import Family


def _stage(kind: str, repeats: int, kernel_size: int, stride: int, expansion: float, out: int) -> dict[str, Any]:
    block = {"kind": kind, "kernel_size": kernel_size, "stride": stride, "expansion_ratio": expansion}
    return block | {"out_channels": out, "repeats": repeats}


_EFFICIENTNET_ES = {
    "input_size": [3, 224, 224],
    "stem": {"out_channels": 32},
    "stages": [
        _stage("fused_ibn", 1, 3, 1, 4, 24) | {"expanded_channels": 96, "residual": False},
        _stage("fused_ibn", 2, 3, 2, 8, 32),
        _stage("fused_ibn", 4, 3, 2, 8, 48),
        _stage("ibn", 5, 5, 2, 8, 96),
        _stage("ibn", 4, 5, 1, 8, 144),
        _stage("ibn", 2, 5, 2, 8, 192),
    ],
    "head": {"kind": "classification", "hidden_channels": 1280},
}

FAMILY = Family(
    name="efficientnet_edge",
    source="Gupta & Akin, Accelerator-aware Neural Network Design using AutoML, 2020, §4; sizes as in timm",
    models={"efficientnet_es": _EFFICIENTNET_ES},
)
