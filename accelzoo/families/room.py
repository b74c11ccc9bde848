"""Small networks that tell the parts of a room apart: a baseline made for CPUs, and the space of its successors.

The baseline is MobileNetV3-Large at width 0.5 up to stride 16 with LR-ASPP (Howard et al. 2019, table 1 and §6.4).
Networks whose weights ship were found by the recipe `room_segmentation` on photographs of pets (`pets_…`).
"""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import one_of
from accelzoo.families._stages import Config, ibn, mixed, separable
from accelzoo.families._zoo import shipped
from accelzoo.families.base import Family
from accelzoo.knobs import Choice

_RELU = {"activation": "relu"}
_SWISH = {"activation": "hard_swish"}
_SE = {"se_ratio": 0.25, "se_base": "gated", "se_divisor": 8, "se_activation": "relu", "se_gate": "hard_sigmoid"}
_ROOM_CPU: dict[str, Any] = {
    "input_size": [3, 144, 192],
    "stem": {"out_channels": 16, **_SWISH},
    "stages": [
        separable(1, 3, 1, 8, **_RELU),
        *mixed(ibn(1, 3, 2, 4, 16, **_RELU), ibn(1, 3, 1, 3, 16, **_RELU)),
        ibn(3, 5, 2, 3, 24, **_RELU, **_SE),
        *mixed(ibn(1, 3, 2, 6, 40, **_SWISH), ibn(1, 3, 1, 2.5, 40, **_SWISH), ibn(2, 3, 1, 2.3, 40, **_SWISH)),
        ibn(2, 3, 1, 6, 56, **_SWISH, **_SE),
    ],
    "head": {"kind": "lraspp", "num_classes": 12, "hidden_channels": 64, "low_stride": 8},
}


def _open(stage: Config) -> Config:
    """A stage whose kind, kernel, width and expansion are open, and whose gate may go."""
    out_channels = stage["out_channels"]
    widths = one_of(*(max(8, 8 * round(out_channels * ratio / 8)) for ratio in (0.5, 0.75, 1, 1.25, 1.5)))
    if "expansion_ratio" not in stage:
        return {"out_channels": widths}
    opened: Config = {"kind": Choice(("ibn", "fused_ibn")), "out_channels": widths}
    opened["expansion_ratio"] = one_of(1, 2, 3, 4, 6, stage["expansion_ratio"])
    if stage.get("kernel_size", 3) > 3:
        opened["kernel_size"] = one_of(3, stage["kernel_size"])
    if "se_ratio" in stage:
        opened["se_ratio"] = Choice((0, stage["se_ratio"]))
    return opened


_ROOM: dict[str, Any] = {
    **_ROOM_CPU,
    "input_size": Choice(([3, 96, 128], [3, 112, 144], [3, 128, 160], [3, 144, 192])),
    "stem": {"out_channels": Choice((8, 16, 24)), **_SWISH},
    "stages": [{**stage, **_open(stage)} for stage in _ROOM_CPU["stages"]],
    "head": {
        "kind": "lraspp",
        "num_classes": 12,
        "hidden_channels": Choice((32, 48, 64, 96)),
        "low_stride": Choice((4, 8)),
    },
}

FAMILY = Family(
    name="room",
    source="accelzoo; stage plan after Howard et al. 2019 (MobileNetV3), table 1, and LR-ASPP, §6.4",
    models={"room_cpu": _ROOM_CPU, **shipped("pets_")},
    spaces={"room": _ROOM},
)
