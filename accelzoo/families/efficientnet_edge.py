"""EfficientNet-EdgeTPU: EfficientNet with fused early stages and without squeeze-excite."""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import fused, head, ibn, network, scaled
from accelzoo.families.base import Family, Published

_README = "TensorFlow TPU repository, models/official/efficientnet/edgetpu/README.md"
_CORAL = "Coral model page"

_EFFICIENTNET_ES = network(
    32,
    [
        fused(1, 3, 1, 4, 24, expanded_channels=96, residual=False),
        fused(2, 3, 2, 8, 32),
        fused(4, 3, 2, 8, 48),
        ibn(5, 5, 2, 8, 96),
        ibn(4, 5, 1, 8, 144),
        ibn(2, 5, 2, 8, 192),
    ],
    head(1280),
)


def _published(size: int, top1: float, int8_top1: float, coral_top1: float, latency_s: float) -> tuple[Published, ...]:
    shape = f"{size}×{size}"
    return (
        Published(source=_README, top1=top1, note=f"{shape}, float"),
        Published(source=_README, top1=int8_top1, note=f"{shape}, int8"),
        Published(
            source=_CORAL,
            top1=coral_top1,
            latency_s=latency_s,
            device="Coral USB Edge TPU",
            note=f"{shape}, int8; another evaluation than the README's",
        ),
    )


FAMILY = Family(
    name="efficientnet_edge",
    source="Gupta & Akin, Accelerator-aware Neural Network Design using AutoML, 2020, §4; sizes as in timm",
    models={
        "efficientnet_es": _EFFICIENTNET_ES,
        "efficientnet_em": scaled(_EFFICIENTNET_ES, 1.0, 1.1, input_size=240),
        "efficientnet_el": scaled(_EFFICIENTNET_ES, 1.2, 1.4, input_size=300, hidden_channels=1536),
    },
    spaces={"efficientnet_edge": stagewise(_EFFICIENTNET_ES)},
    published={
        "efficientnet_es": _published(224, 77.23, 77.0, 78.9, 5.0e-3),
        "efficientnet_em": _published(240, 78.69, 78.6, 80.1, 7.3e-3),
        "efficientnet_el": _published(300, 80.62, 80.2, 81.2, 21.3e-3),
    },
    timm_names={name: name for name in ("efficientnet_es", "efficientnet_em", "efficientnet_el")},
)
