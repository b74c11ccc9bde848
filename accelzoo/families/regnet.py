"""RegNet: networks whose widths follow one straight line (X), and with squeeze-excite (Y)."""

from __future__ import annotations

import math
from itertools import groupby

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, head, network
from accelzoo.families.base import Family, Published

# Name → w0, wa, wm, depth, group size (Radosavovic et al. 2020, tables 3 and 4, as configured in pycls).
_X = {
    "regnetx_002": (24, 36.44, 2.49, 13, 8),
    "regnetx_004": (24, 24.48, 2.54, 22, 16),
    "regnetx_006": (48, 36.97, 2.24, 16, 24),
    "regnetx_008": (56, 35.73, 2.28, 16, 16),
    "regnetx_016": (80, 34.01, 2.25, 18, 24),
    "regnetx_032": (88, 26.31, 2.25, 25, 48),
    "regnetx_040": (96, 38.65, 2.43, 23, 40),
    "regnetx_064": (184, 60.83, 2.07, 17, 56),
    "regnetx_080": (80, 49.56, 2.88, 23, 120),
}
_Y = {
    "regnety_002": (24, 36.44, 2.49, 13, 8),
    "regnety_004": (48, 27.89, 2.09, 16, 8),
    "regnety_006": (48, 32.54, 2.32, 15, 16),
    "regnety_008": (56, 38.84, 2.4, 14, 16),
    "regnety_016": (48, 20.71, 2.65, 27, 24),
    "regnety_032": (80, 42.63, 2.66, 21, 24),
    "regnety_040": (96, 31.41, 2.24, 22, 64),
    "regnety_064": (112, 33.22, 2.27, 25, 72),
    "regnety_080": (192, 76.82, 2.19, 17, 56),
}


def _widths(w0: int, wa: float, wm: float, depth: int) -> list[int]:
    """Width of every block: the line `w0 + wa · j`, put on the nearest power of `wm` times `w0`, in eighths.

    Source: Radosavovic et al. 2020, §3.3, eqs. 2–4.
    """
    exponents = [round(math.log((w0 + wa * block) / w0) / math.log(wm)) for block in range(depth)]
    return [8 * round(w0 * wm**exponent / 8) for exponent in exponents]


def _network(w0: int, wa: float, wm: float, depth: int, group_size: int, se_ratio: float = 0.0) -> Config:
    stages = []
    for width, blocks in groupby(_widths(w0, wa, wm, depth)):
        size = min(group_size, width)
        out = round(width / size) * size
        stage = {"kind": "bottleneck", "repeats": len([*blocks]), "stride": 2, "out_channels": out}
        stages.append(stage | {"inner_ratio": 1, "group_size": size, "se_ratio": se_ratio})
    return network(32, stages, head(None))


def _published(top1: float, gigamacs: float, megaparameters: float) -> tuple[Published]:
    source = "facebookresearch/pycls, MODEL_ZOO.md"
    return (Published(source=source, top1=top1, macs=gigamacs * 1e9, parameters=megaparameters * 1e6),)


_MODELS = {name: _network(*line) for name, line in _X.items()} | {
    name: _network(*line, se_ratio=0.25) for name, line in _Y.items()
}

FAMILY = Family(
    name="regnet",
    source="Radosavovic et al., Designing Network Design Spaces, CVPR 2020, §3.3; parameters of facebookresearch/pycls",
    models=_MODELS,
    spaces={"regnety": stagewise(_MODELS["regnety_008"], se_ratio=(0, 0.25))},
    published={
        "regnetx_002": _published(68.9, 0.2, 2.7),
        "regnetx_004": _published(72.7, 0.4, 5.2),
        "regnetx_006": _published(74.1, 0.6, 6.2),
        "regnetx_008": _published(75.2, 0.8, 7.3),
        "regnetx_016": _published(77.0, 1.6, 9.2),
        "regnetx_032": _published(78.3, 3.2, 15.3),
        "regnetx_040": _published(78.6, 4.0, 22.1),
        "regnetx_064": _published(79.2, 6.5, 26.2),
        "regnetx_080": _published(79.3, 8.0, 39.6),
        "regnety_002": _published(70.4, 0.2, 3.2),
        "regnety_004": _published(74.1, 0.4, 4.3),
        "regnety_006": _published(75.5, 0.6, 6.1),
        "regnety_008": _published(76.3, 0.8, 6.3),
        "regnety_016": _published(78.0, 1.6, 11.2),
        "regnety_032": _published(79.0, 3.2, 19.4),
        "regnety_040": _published(79.4, 4.0, 20.6),
        "regnety_064": _published(79.9, 6.4, 30.6),
        "regnety_080": _published(79.9, 8.0, 39.2),
    },
    timm_names={name: name for name in _MODELS},
)
