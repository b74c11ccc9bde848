"""Single-Path NAS (Stamoulis et al. 2019): searched with one superkernel per layer for a Pixel 1."""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import head, ibn, network, row, separable
from accelzoo.families.base import Family, Published

_SOURCE = "Stamoulis et al., Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours, 2019"

_SPNASNET_100 = network(
    32,
    [
        separable(1, 3, 1, 16, residual=False),
        ibn(3, 3, 2, 3, 24),
        *row(2, 40, (5, 6), (3, 3), (3, 3), (3, 3)),
        *row(2, 80, (5, 6), (3, 3), (3, 3), (3, 3)),
        *row(1, 96, (5, 6), (5, 3), (5, 3), (5, 3)),
        ibn(4, 5, 2, 6, 192),
        ibn(1, 3, 1, 6, 320, residual=False),
    ],
    head(1280),
)

FAMILY = Family(
    name="single_path_nas",
    source=f"{_SOURCE}, figure 7; sizes as in timm",
    models={"spnasnet_100": _SPNASNET_100},
    spaces={"single_path_nas": stagewise(_SPNASNET_100)},
    published={
        "spnasnet_100": (
            Published(source=f"{_SOURCE}, abstract", top1=74.96, latency_s=79e-3, device="Pixel 1", note="224×224"),
        )
    },
    timm_names={"spnasnet_100": "spnasnet_100"},
)
