"""EfficientNet-Lite (2020): EfficientNet without squeeze-excite, with ReLU6, for quantisation."""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import head, ibn, network, scaled, separable
from accelzoo.families.base import Family, Published

_README = "TensorFlow TPU repository, models/official/efficientnet/lite/README.md"

_LITE0 = network(
    32,
    [
        separable(1, 3, 1, 16),
        ibn(2, 3, 2, 6, 24),
        ibn(2, 5, 2, 6, 40),
        ibn(3, 3, 2, 6, 80),
        ibn(3, 5, 1, 6, 112),
        ibn(4, 5, 2, 6, 192),
        ibn(1, 3, 1, 6, 320),
    ],
    head(1280),
    activation="relu6",
)
# Width, depth, and the input size of timm's weights; Google's own for lite3 and lite4 are 280 and 300.
_SIZES = {
    "efficientnet_lite0": (1.0, 1.0, 224),
    "efficientnet_lite1": (1.0, 1.1, 240),
    "efficientnet_lite2": (1.1, 1.2, 260),
    "efficientnet_lite3": (1.2, 1.4, 300),
    "efficientnet_lite4": (1.4, 1.8, 380),
}


def _published(
    size: int, macs: float, parameters: float, float_figures: tuple[float, float], int8: tuple[float, float]
) -> tuple[Published, ...]:
    """Figures are (top-1, latency on a Pixel 4's CPU)."""
    return tuple(
        Published(
            source=_README,
            top1=top1,
            macs=macs,
            parameters=parameters,
            latency_s=latency_s,
            device="Pixel 4, CPU, 4 threads",
            note=f"{size}×{size}, {precision}; the printed MACs count more than convolutions and classifier",
        )
        for precision, (top1, latency_s) in (("float32", float_figures), ("int8", int8))
    )


FAMILY = Family(
    name="efficientnet_lite",
    source=f"Google, EfficientNet-Lite, 2020 ({_README}); stages of EfficientNet-B0 (Tan & Le 2019, table 1)",
    models={
        name: scaled(_LITE0, width, depth, fixed_stem=True, fixed_ends=True, input_size=size)
        for name, (width, depth, size) in _SIZES.items()
    },
    spaces={"efficientnet_lite": stagewise(_LITE0)},
    published={
        "efficientnet_lite0": _published(224, 407e6, 4.7e6, (75.1, 12e-3), (74.4, 6.5e-3)),
        "efficientnet_lite1": _published(240, 631e6, 5.4e6, (76.7, 18e-3), (75.9, 9.1e-3)),
        "efficientnet_lite2": _published(260, 899e6, 6.1e6, (77.6, 26e-3), (77.0, 12e-3)),
        "efficientnet_lite3": _published(280, 1.44e9, 8.2e6, (79.8, 41e-3), (79.0, 18e-3)),
        "efficientnet_lite4": _published(300, 2.64e9, 13.0e6, (81.5, 76e-3), (80.2, 30e-3)),
    },
    timm_names={name: name for name in _SIZES},
)
