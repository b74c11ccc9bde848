"""Plain inverted-bottleneck networks in several sizes, and the space of their accelerator-aware variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelzoo.families.base import Family
from accelzoo.knobs import choice

# (out_channels at width 1, stride) of the six stages; MobileNetV2's plan with channels that are multiples of 8.
_STAGES = ((16, 1), (24, 2), (40, 2), (80, 2), (112, 1), (192, 2))


def _network(widths: Sequence[int], repeats: Sequence[int], hidden_channels: int) -> dict[str, Any]:
    stages = []
    for index, (out_channels, count) in enumerate(zip(widths, repeats, strict=True)):
        expansion = 1 if index == 0 else 6
        block = {"kind": "ibn", "stride": _STAGES[index][1], "expansion_ratio": expansion, "activation": "relu6"}
        stages.append(block | {"out_channels": out_channels, "repeats": count})
    return {
        "input_size": [3, 224, 224],
        "stem": {"out_channels": max(16, 2 * widths[0]), "activation": "relu6"},
        "stages": stages,
        "head": {"kind": "classification", "hidden_channels": hidden_channels, "activation": "relu6"},
    }


def _free_stage(out_channels: int, stride: int) -> dict[str, Any]:
    """A stage whose kind, kernel, expansion, repeats and width are open."""
    return {
        "kind": choice("ibn", "fused_ibn", "conv_bn_act"),
        "stride": stride,
        "kernel_size": choice(3, 5),
        "expansion_ratio": choice(2, 4, 6),
        "repeats": choice(1, 2, 3, 4),
        "out_channels": choice(*(out_channels * eighths // 8 for eighths in (4, 6, 8, 12))),
        "activation": "relu6",
    }


_SPACE = {
    "input_size": choice([3, 160, 160], [3, 192, 192], [3, 224, 224]),
    "stem": {"out_channels": choice(16, 24, 32), "activation": "relu6"},
    "stages": [_free_stage(8 * round(out / 8), stride) for out, stride in _STAGES],
    "head": {"kind": "classification", "hidden_channels": choice(640, 960, 1280), "activation": "relu6"},
    "width_multiplier": choice(0.5, 0.75, 1.0, 1.25),
}

# For detecting people and the like: both levels that SSDLite reads, at strides 16 and 32.
_DETECTION = {
    "input_size": choice([3, 256, 256], [3, 288, 288], [3, 320, 320]),
    "stem": {"out_channels": choice(16, 24, 32), "activation": "relu6"},
    "stages": [_free_stage(8 * round(out / 8), stride) for out, stride in _STAGES],
    "head": {
        "kind": "ssdlite",
        "num_classes": 1,
        "feature_levels": [16, 32],
        "extra_channels": choice([256, 256], [512, 256]),
    },
    "width_multiplier": choice(0.5, 0.75, 1.0, 1.25),
}
# For telling rooms or roads apart: the gate reads stride 16, the details stride 8.
_SEGMENTATION = {
    "input_size": choice([3, 192, 256], [3, 240, 320], [3, 288, 384]),
    "stem": {"out_channels": choice(16, 24, 32), "activation": "relu6"},
    "stages": [_free_stage(8 * round(out / 8), stride) for out, stride in _STAGES[:-1]],
    "head": {
        "kind": "lraspp",
        "num_classes": 12,
        "hidden_channels": choice(64, 96, 128),
        "low_stride": choice(4, 8),
        "activation": "relu6",
    },
    "width_multiplier": choice(0.5, 0.75, 1.0, 1.25),
}
# For words in a second of sound: 40 frequencies by 98 steps, as one map.
_SEQUENCE = {
    "input_size": choice([1, 40, 49], [1, 40, 98]),
    "stem": {"out_channels": choice(16, 24, 32), "stride": choice(1, 2), "activation": "relu6"},
    "stages": [_free_stage(8 * round(out / 8), stride) for out, stride in _STAGES[:4]],
    "head": {"kind": "sequence", "num_classes": 12, "hidden_channels": choice(None, 64, 128), "activation": "relu6"},
    "width_multiplier": choice(0.5, 0.75, 1.0, 1.25),
}

FAMILY = Family(
    name="ibn",
    source="accelzoo; block and stage plan after Sandler et al. 2018 (MobileNetV2)",
    models={
        "ibn_t": _network((8, 16, 24, 40, 56, 96), (1, 2, 2, 3, 2, 2), 640),
        "ibn_s": _network((16, 24, 32, 64, 96, 160), (1, 2, 2, 3, 2, 2), 960),
        "ibn_m": _network((16, 24, 40, 80, 112, 192), (1, 2, 3, 4, 3, 3), 1280),
        "ibn_l": _network((24, 32, 56, 112, 160, 256), (1, 3, 4, 5, 4, 4), 1536),
    },
    spaces={
        "ibn": _SPACE,
        "ibn_detection": _DETECTION,
        "ibn_segmentation": _SEGMENTATION,
        "ibn_sequence": _SEQUENCE,
    },
)
