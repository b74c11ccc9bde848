"""MobileNetV2 (Sandler et al. 2018, table 2) in the published widths, and timm's two deeper ones."""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import head, ibn, network, scaled, separable
from accelzoo.families.base import Family, Published

_README = "TensorFlow models repository, research/slim/nets/mobilenet/README.md"

_MOBILENETV2_100 = network(
    32,
    [
        separable(1, 3, 1, 16),
        ibn(2, 3, 2, 6, 24),
        ibn(3, 3, 2, 6, 32),
        ibn(4, 3, 2, 6, 64),
        ibn(3, 3, 1, 6, 96),
        ibn(3, 3, 2, 6, 160),
        ibn(1, 3, 1, 6, 320),
    ],
    head(1280),
    activation="relu6",
)


def _published(top1: float, macs: float, parameters: float, latency_s: float) -> tuple[Published, ...]:
    return (
        Published(
            source=_README,
            top1=top1,
            macs=macs,
            parameters=parameters,
            latency_s=latency_s,
            device="Pixel 1, one large core",
            note="224×224, float TFLite",
        ),
    )


FAMILY = Family(
    name="mobilenetv2",
    source="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2; "
    "110d and 120d (wider and deeper) as in timm",
    models={
        "mobilenetv2_035": scaled(_MOBILENETV2_100, 0.35),
        "mobilenetv2_050": scaled(_MOBILENETV2_100, 0.5),
        "mobilenetv2_075": scaled(_MOBILENETV2_100, 0.75),
        "mobilenetv2_100": _MOBILENETV2_100,
        "mobilenetv2_140": scaled(_MOBILENETV2_100, 1.4, hidden_channels=1792),
        "mobilenetv2_110d": scaled(_MOBILENETV2_100, 1.1, 1.2, fixed_stem=True, fixed_ends=True),
        "mobilenetv2_120d": scaled(_MOBILENETV2_100, 1.2, 1.4, fixed_stem=True, fixed_ends=True),
    },
    spaces={"mobilenetv2": stagewise(_MOBILENETV2_100)},
    published={
        "mobilenetv2_035": _published(60.3, 59e6, 1.66e6, 19.7e-3),
        "mobilenetv2_050": _published(65.4, 97e6, 1.95e6, 28.7e-3),
        "mobilenetv2_075": _published(69.8, 209e6, 2.61e6, 55.8e-3),
        "mobilenetv2_100": _published(71.8, 300e6, 3.47e6, 73.8e-3),
        "mobilenetv2_140": _published(75.0, 582e6, 6.06e6, 138.0e-3),
    },
    timm_names={
        name: name
        for name in (f"mobilenetv2_{size}" for size in ("035", "050", "075", "100", "140", "110d", "120d"))
    },
)
