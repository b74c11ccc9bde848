"""MobileNetV2 (Sandler et al. 2018, table 2)."""

from __future__ import annotations

from typing import Any

from accelzoo.families.base import Family


def _ibn(repeats: int, stride: int, out_channels: int) -> dict[str, Any]:
    block = {"kind": "ibn", "kernel_size": 3, "expansion_ratio": 6, "activation": "relu6"}
    return block | {"repeats": repeats, "stride": stride, "out_channels": out_channels}


_MOBILENETV2_100 = {
    "input_size": [3, 224, 224],
    "stem": {"out_channels": 32, "activation": "relu6"},
    "stages": [
        {"kind": "depthwise_separable", "out_channels": 16, "activation": "relu6"},
        _ibn(2, 2, 24),
        _ibn(3, 2, 32),
        _ibn(4, 2, 64),
        _ibn(3, 1, 96),
        _ibn(3, 2, 160),
        _ibn(1, 1, 320),
    ],
    "head": {"kind": "classification", "hidden_channels": 1280, "activation": "relu6"},
}

FAMILY = Family(
    name="mobilenetv2",
    source="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2",
    models={"mobilenetv2_100": _MOBILENETV2_100},
)
