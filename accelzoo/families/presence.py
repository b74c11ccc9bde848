"""Small detectors of people: the plain IBN baseline with SSDLite, and the spaces of what may be changed in it.

The baseline is MobileNetV2 at width 0.5, its first stage at full width and without its last (Sandler et al. 2018, table
2). Widths may be other multiples of 8, inside blocks and between them; a block may be fused; or both. Networks whose
weights ship were found by the recipe `presence_detection` on blood cells (`cells_…`), whose licence allows it.
"""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import layerwise, one_of
from accelzoo.families._stages import Config, fused, ibn
from accelzoo.families._zoo import shipped
from accelzoo.families.base import Family
from accelzoo.knobs import Choice

_RELU6 = {"activation": "relu6"}
_STAGES = [
    ibn(1, 3, 1, 1, 16, **_RELU6),
    ibn(2, 3, 2, 6, 16, **_RELU6),
    ibn(3, 3, 2, 6, 16, **_RELU6),
    ibn(4, 3, 2, 6, 32, **_RELU6),
    ibn(3, 3, 1, 6, 48, **_RELU6),
    ibn(3, 3, 2, 6, 80, **_RELU6),
]
_PRESENCE_IBN: dict[str, Any] = {
    "input_size": [3, 192, 192],
    "stem": {"out_channels": 16, **_RELU6},
    "stages": _STAGES,
    "head": {
        "kind": "ssdlite",
        "num_classes": 1,
        "feature_levels": [16, 32],
        "extra_channels": [128, 64],
        "background": False,
    },
}

_KINDS = (ibn(1, 3, 1, 1, 8)["kind"], fused(1, 3, 1, 1, 8)["kind"])


def _kinds(layer: Config) -> Config:
    return {"kind": Choice(_KINDS)}


def _widths(layer: Config) -> Config:
    """Multiples of 8 from half to about twice the baseline's width, and the expansion that makes the inner width."""
    out_channels, expansion_ratio = layer["out_channels"], layer["expansion_ratio"]
    widths = one_of(*(max(8, 8 * round(out_channels * ratio / 8)) for ratio in (0.5, 0.75, 1, 1.25, 1.5, 2)))
    if expansion_ratio == 1:
        return {"out_channels": widths}
    return {"out_channels": widths, "expansion_ratio": one_of(1, 2, 3, 4, 6, 8)}


def _by_part(*openers: Any) -> Config:
    """The space in which every stage's first block, which has the stride, and its others have choices of their own."""
    stages: list[Config] = []
    for stage in _STAGES:
        opened = {name: value for opener in openers for name, value in opener(stage).items()}
        stages.append({**stage, **opened, "repeats": 1})
        if stage["repeats"] > 1:
            others = {"stride": 1, "repeats": stage["repeats"] - 1, "continued": True}
            stages.append({**stage, **opened, **others})
    return {**_PRESENCE_IBN, "stages": stages, "stem": {"out_channels": Choice((8, 16, 24)), **_RELU6}}


FAMILY = Family(
    name="presence",
    source="accelzoo; stage plan after Sandler et al. 2018 (MobileNetV2), table 2, and SSDLite, §6.2",
    models={"presence_ibn": _PRESENCE_IBN, **shipped("cells_")},
    spaces={
        "presence_width": _by_part(_widths),
        "presence_fusion": layerwise(_PRESENCE_IBN, _kinds),
        "presence": _by_part(_kinds, _widths),
    },
)
