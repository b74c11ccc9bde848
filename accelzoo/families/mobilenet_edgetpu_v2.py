"""MobileNetEdgeTPU v2: group-convolution inverted bottlenecks between the fused and the plain ones.

The networks follow timm's account (see `mobilenet_edgetpu`). timm's smallest has a 3×3 stem where the authors' has 5×5:
`mobilenet_edgetpu_v2_xs` is timm's and `mobilenet_edgetpu_v2_xs_tf` the authors' in all respects, their linear first
stage, padding, normalisation and class for background included. The tiny one, which timm lacks, follows timm's account.
"""

from __future__ import annotations

from collections.abc import Sequence

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, conv, fused, head, ibn, mixed, network
from accelzoo.families.base import Family, Published


def _network(
    stem_channels: int,
    stem_kernel_size: int,
    widths: Sequence[int],
    hidden_channels: int,
    group_size: int = 64,
    *,
    grouped_throughout: bool = False,
    as_in_tensorflow: bool = False,
) -> Config:
    """Config of a network; `grouped_throughout` makes all fused blocks of the middle stages group convolutions."""
    groups = {"group_size": group_size}
    also = groups if grouped_throughout else {}
    first, second, third, fourth, fifth, sixth, last = widths
    stages = [
        conv(1, 1, 1, first, residual=False, activate_output=not as_in_tensorflow),
        *mixed(fused(1, 3, 2, 8, second), fused(1, 3, 1, 4, second, **groups)),
        *mixed(
            fused(1, 3, 2, 8, third, **also),
            fused(1, 3, 1, 4, third, **groups),
            fused(1, 3, 1, 4, third, **also),
            fused(1, 3, 1, 4, third, **groups),
        ),
        *mixed(fused(1, 3, 2, 8, fourth, **also), ibn(3, 3, 1, 4, fourth)),
        *mixed(ibn(1, 3, 1, 8, fifth), ibn(3, 3, 1, 4, fifth)),
        *mixed(ibn(1, 3, 2, 8, sixth), ibn(3, 3, 1, 4, sixth)),
        ibn(1, 3, 1, 8, last),
    ]
    conventions: Config = {"padding": "same", "norm_eps": 1e-3} if as_in_tensorflow else {}
    classifier = head(hidden_channels, num_classes=1001 if as_in_tensorflow else 1000)
    made = network(stem_channels, stages, classifier, **conventions)
    return made | {"stem": made["stem"] | {"kernel_size": stem_kernel_size}}


_XS_WIDTHS = (16, 32, 48, 96, 144, 160, 192)
_MODELS = {
    "tiny": _network(32, 5, (16, 32, 48, 80, 112, 160, 192), 1280, grouped_throughout=True),
    "xs": _network(32, 3, _XS_WIDTHS, 1280),
    "s": _network(64, 5, (24, 48, 64, 128, 160, 192, 256), 1280),
    "m": _network(64, 5, (32, 64, 80, 160, 192, 240, 320), 1344),
    "l": _network(64, 7, (32, 64, 96, 192, 240, 256, 384), 1408, group_size=128),
}

def _published(top1: float, latency_ms: float) -> tuple[Published]:
    source = "tensorflow/models, official/projects/edgetpu/vision/README.md"
    return (Published(source=source, top1=top1, latency_s=latency_ms / 1e3, device="Pixel 6 Edge TPU", note="int8"),)


FAMILY = Family(
    name="mobilenet_edgetpu_v2",
    source=(
        "Akin et al., Searching for Efficient Neural Architectures for On-Device ML on Edge TPUs, CVPRW 2022; sizes of "
        "tensorflow/models, official/projects/edgetpu/vision, mobilenet_edgetpu_v2_model_blocks.py; conventions of timm"
    ),
    models={f"mobilenet_edgetpu_v2_{size}": network for size, network in _MODELS.items()}
    | {"mobilenet_edgetpu_v2_xs_tf": _network(32, 5, _XS_WIDTHS, 1280, as_in_tensorflow=True)},
    spaces={"mobilenet_edgetpu_v2": stagewise(_MODELS["s"])},
    published={
        "mobilenet_edgetpu_v2_tiny": _published(74.66, 0.78),
        "mobilenet_edgetpu_v2_xs_tf": _published(75.79, 0.82),
        "mobilenet_edgetpu_v2_s": _published(77.36, 1.03),
        "mobilenet_edgetpu_v2_m": _published(78.43, 1.35),
        "mobilenet_edgetpu_v2_l": _published(79.00, 1.64),
    },
    timm_names={f"mobilenet_edgetpu_v2_{size}": f"mobilenet_edgetpu_v2_{size}" for size in ("xs", "s", "m", "l")},
)
