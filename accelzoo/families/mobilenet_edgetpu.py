"""MobileNetEdgeTPU: MobileNet with fused inverted bottlenecks in its early stages, for the Pixel 4's Edge TPU.

The networks follow timm's account, with an activation behind the first stage's 1×1 convolution, symmetric padding and
1000 classes; the authors' code leaves that convolution linear, pads as TensorFlow does and has a class for background.
Operators, shapes and widths are the same otherwise.
"""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import conv, fused, head, ibn, mixed, network, scaled
from accelzoo.families.base import Family, Published
from accelzoo.rounding import make_divisible

_README = "tensorflow/models, official/projects/edgetpu/vision/README.md"
_SLIM = "tensorflow/models, research/slim/nets/mobilenet/README.md"
_WIDTHS = {"075": 0.75, "100": 1.0, "125": 1.25, "150": 1.5, "175": 1.75}

_MOBILENET_EDGETPU = network(
    32,
    [
        conv(1, 1, 1, 16, residual=False),
        *mixed(fused(1, 3, 2, 8, 32), fused(3, 3, 1, 4, 32)),
        *mixed(fused(1, 3, 2, 8, 48), fused(3, 3, 1, 4, 48)),
        *mixed(ibn(1, 3, 2, 8, 96), ibn(3, 3, 1, 4, 96)),
        *mixed(ibn(1, 3, 1, 8, 96, residual=False), ibn(3, 3, 1, 4, 96)),
        *mixed(ibn(1, 5, 2, 8, 160), ibn(3, 5, 1, 4, 160)),
        ibn(1, 3, 1, 8, 192),
    ],
    head(1280),
)


def _pixel_4(top1: float, latency_ms: float, macs: float, parameters: float) -> Published:
    return Published(
        source=_SLIM,
        top1=top1,
        macs=macs,
        parameters=parameters,
        latency_s=latency_ms / 1e3,
        device="Pixel 4 Edge TPU",
        note="int8",
    )


def _pixel_6(top1: float, latency_ms: float, note: str = "int8") -> Published:
    return Published(source=_README, top1=top1, latency_s=latency_ms / 1e3, device="Pixel 6 Edge TPU", note=note)


FAMILY = Family(
    name="mobilenet_edgetpu",
    source=(
        "Howard & Gupta, Introducing the Next Generation of On-Device Vision Models, Google AI Blog 2019; sizes of "
        "tensorflow/models, official/projects/edgetpu/vision, mobilenet_edgetpu_v1_model_blocks.py; conventions of timm"
    ),
    models={
        f"mobilenet_edgetpu_{name}": scaled(_MOBILENET_EDGETPU, width, hidden_channels=make_divisible(1280 * width))
        for name, width in _WIDTHS.items()
    },
    spaces={"mobilenet_edgetpu": stagewise(_MOBILENET_EDGETPU)},
    published={
        "mobilenet_edgetpu_075": (_pixel_4(73.5, 3.1, 624e6, 2.9e6),),
        "mobilenet_edgetpu_100": (_pixel_4(75.6, 3.6, 990e6, 4.0e6), _pixel_6(75.6, 0.92)),
        "mobilenet_edgetpu_125": (_pixel_6(77.06, 1.20),),
        "mobilenet_edgetpu_150": (_pixel_6(75.9, 1.42, "int8; accuracy as printed, out of line with its neighbours"),),
        "mobilenet_edgetpu_175": (_pixel_6(78.6, 1.93),),
    },
    timm_names={"mobilenet_edgetpu_100": "mobilenet_edgetpu_100"},
)
