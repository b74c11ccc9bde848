"""Small classifiers for a camera: the plain IBN baseline, the space of its successors, and the one that was found."""

from __future__ import annotations

from typing import Any

from accelzoo.families.base import Family
from accelzoo.knobs import choice


def _ibn(repeats: int, stride: int, expansion_ratio: float, out_channels: int) -> dict[str, Any]:
    block = {"kind": "ibn", "stride": stride, "expansion_ratio": expansion_ratio}
    return block | {"out_channels": out_channels, "repeats": repeats}


_CAMERA_IBN = {
    "input_size": [3, 32, 32],
    "stem": {"out_channels": 16, "stride": 2},
    "stages": [_ibn(1, 1, 1, 16), _ibn(1, 1, 6, 24), _ibn(2, 2, 6, 32), _ibn(1, 1, 6, 48), _ibn(2, 2, 6, 80)],
    "head": {"kind": "classification", "num_classes": 10, "hidden_channels": 320},
}


# The winner of the recipe `camera_classification`, profile `full`; its weights and the search's trace ship with it.
_CAMERA_ACCEL = {
    "input_size": [3, 32, 32],
    "stem": {"out_channels": 24, "stride": 2},
    "stages": [
        {"kind": "fused_ibn", "out_channels": 16, "expansion_ratio": 1, "repeats": 3},
        {"kind": "ibn", "out_channels": 32, "expansion_ratio": 2},
        {"kind": "ibn", "out_channels": 32, "kernel_size": 5, "stride": 2, "expansion_ratio": 1},
        {"kind": "conv_bn_act", "out_channels": 24, "kernel_size": 5},
        {"kind": "conv_bn_act", "out_channels": 32, "kernel_size": 5, "stride": 2, "repeats": 2},
    ],
    "head": {"kind": "classification", "num_classes": 10, "hidden_channels": None},
}


def _free_stage(stride: int, *out_channels: int) -> dict[str, Any]:
    """A stage whose kind, kernel, expansion, repeats and width are open; widths are multiples of the 8-channel tile."""
    return {
        "kind": choice("ibn", "fused_ibn", "conv_bn_act"),
        "stride": stride,
        "kernel_size": choice(3, 5),
        "expansion_ratio": choice(1, 2, 3, 4, 6),
        "repeats": choice(1, 2, 3),
        "out_channels": choice(*out_channels),
    }


_CAMERA = {
    "input_size": choice([3, 24, 24], [3, 28, 28], [3, 32, 32]),
    "stem": {"out_channels": choice(8, 16, 24, 32), "stride": 2},
    "stages": [
        _free_stage(1, 8, 16, 24),
        _free_stage(1, 16, 24, 32),
        _free_stage(2, 16, 24, 32, 40),
        _free_stage(1, 24, 32, 48, 64),
        _free_stage(2, 32, 48, 64, 80, 96),
    ],
    "head": {"kind": "classification", "num_classes": 10, "hidden_channels": choice(None, 128, 224, 320)},
    "width_multiplier": choice(0.75, 1.0, 1.25),
}

FAMILY = Family(
    name="camera",
    source="accelzoo; stage plan after Sandler et al. 2018 (MobileNetV2) for 32×32 images",
    models={"camera_ibn": _CAMERA_IBN, "camera_accel": _CAMERA_ACCEL},
    spaces={"camera": _CAMERA},
)
