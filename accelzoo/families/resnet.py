"""ResNet: what every accelerator is measured with; the bottlenecks carry their stride on the 3×3 convolution."""

from __future__ import annotations

from collections.abc import Sequence

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, head, network
from accelzoo.families.base import Family, Published


def _network(kind: str, widths: Sequence[int], repeats: Sequence[int]) -> Config:
    stages = [
        {"kind": kind, "repeats": count, "stride": stride, "out_channels": out}
        for count, stride, out in zip(repeats, (1, 2, 2, 2), widths, strict=True)
    ]
    made = network(64, stages, head(None))
    return made | {"stem": made["stem"] | {"kernel_size": 7, "max_pool": True}}


def _published(top1: float, gigamacs: float, parameters: int) -> tuple[Published]:
    source = "torchvision 0.29, metadata of the IMAGENET1K_V1 weights"
    return (Published(source=source, top1=top1, macs=gigamacs * 1e9, parameters=parameters),)


_BASIC = (64, 128, 256, 512)
_BOTTLENECK = (256, 512, 1024, 2048)
_MODELS = {
    "resnet18": _network("basic", _BASIC, (2, 2, 2, 2)),
    "resnet34": _network("basic", _BASIC, (3, 4, 6, 3)),
    "resnet50": _network("bottleneck", _BOTTLENECK, (3, 4, 6, 3)),
    "resnet101": _network("bottleneck", _BOTTLENECK, (3, 4, 23, 3)),
}

FAMILY = Family(
    name="resnet",
    source="He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1; strides as in timm",
    models=_MODELS,
    spaces={"resnet": stagewise(_MODELS["resnet50"])},
    published={
        "resnet18": _published(69.758, 1.814, 11_689_512),
        "resnet34": _published(73.314, 3.664, 21_797_672),
        "resnet50": _published(76.130, 4.089, 25_557_032),
        "resnet101": _published(77.374, 7.801, 44_549_160),
    },
    timm_names={name: name for name in _MODELS},
)
