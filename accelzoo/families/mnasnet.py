"""MnasNet (Tan et al. 2019): A1 with squeeze-excite, B1 without, and the small one."""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import head, ibn, network, scaled, separable
from accelzoo.families.base import Family, Published

_SE = {"se_ratio": 0.25}
_README = "TensorFlow TPU repository, models/official/mnasnet/README.md"
_TORCHVISION = "torchvision model page, weights IMAGENET1K_V1"

_A1 = network(
    32,
    [
        separable(1, 3, 1, 16, residual=False),
        ibn(2, 3, 2, 6, 24),
        ibn(3, 5, 2, 3, 40, **_SE),
        ibn(4, 3, 2, 6, 80),
        ibn(2, 3, 1, 6, 112, **_SE),
        ibn(3, 5, 2, 6, 160, **_SE),
        ibn(1, 3, 1, 6, 320),
    ],
    head(1280),
)
_B1 = network(
    32,
    [
        separable(1, 3, 1, 16, residual=False),
        ibn(3, 3, 2, 3, 24),
        ibn(3, 5, 2, 3, 40),
        ibn(3, 5, 2, 6, 80),
        ibn(2, 3, 1, 6, 96),
        ibn(4, 5, 2, 6, 192),
        ibn(1, 3, 1, 6, 320, residual=False),
    ],
    head(1280),
)
_SMALL = network(
    8,
    [
        separable(1, 3, 1, 8),
        ibn(1, 3, 2, 3, 16),
        ibn(2, 3, 2, 6, 16),
        ibn(4, 5, 2, 6, 32, **_SE),
        ibn(3, 3, 1, 6, 32, **_SE),
        ibn(3, 5, 2, 6, 88, **_SE),
        ibn(1, 3, 1, 6, 144),
    ],
    head(1280),
)
_WIDTHS = {"050": 0.5, "075": 0.75, "100": 1.0, "140": 1.4}


def _a1_published(top1: float, macs: float, parameters: float, latency_s: float) -> tuple[Published, ...]:
    counts = {"macs": macs, "parameters": parameters, "latency_s": latency_s}
    return (Published(source=_README, top1=top1, **counts, device="Pixel 1", note="224×224, float"),)


def _b1_published(top1: float, macs: float, parameters: float) -> tuple[Published, ...]:
    counts: dict[str, Any] = {"macs": macs, "parameters": parameters}
    return (Published(source=_TORCHVISION, top1=top1, **counts, note="224×224; torchvision's own training"),)


# Tan et al. 2019, §4.1: convolution, kernel, squeeze-excite, skip, width and number of layers of each block.
_KINDS = ("conv_bn_act", "depthwise_separable", "ibn")
_KNOBS: dict[str, Any] = {"kind": _KINDS, "se_ratio": (0, 0.25), "residual": (True, False)}


FAMILY = Family(
    name="mnasnet",
    source="Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, figure 7; "
    "B1 and small after Google's reference code, sizes as in timm",
    models={
        **{f"mnasnet_{name}": scaled(_B1, width) for name, width in _WIDTHS.items()},
        **{f"semnasnet_{name}": scaled(_A1, width) for name, width in _WIDTHS.items()},
        "mnasnet_small": _SMALL,
    },
    spaces={"mnasnet": stagewise(_B1, **_KNOBS), "semnasnet": stagewise(_A1, **_KNOBS)},
    published={
        "mnasnet_050": _b1_published(67.734, 104e6, 2.219e6),
        "mnasnet_075": _b1_published(71.18, 215e6, 3.170e6),
        "mnasnet_100": _b1_published(73.456, 314e6, 4.383e6),
        "semnasnet_050": _a1_published(68.9, 105.2e6, 2.1e6, 32e-3),
        "semnasnet_075": _a1_published(73.3, 226.7e6, 2.9e6, 61e-3),
        "semnasnet_100": _a1_published(75.2, 315.2e6, 3.9e6, 78e-3),
        "semnasnet_140": _a1_published(77.2, 591.5e6, 6.1e6, 135e-3),
        "mnasnet_small": (Published(source=_README, macs=68e6, parameters=2.0e6, note="224×224"),),
    },
    timm_names={
        name: name
        for name in ("mnasnet_small", *(f"{kind}_{width}" for kind in ("mnasnet", "semnasnet") for width in _WIDTHS))
    },
)
