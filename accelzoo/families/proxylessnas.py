"""ProxylessNAS (Cai et al. 2019): one network each for a GPU, a CPU and a phone, and a wider one for the phone."""

from __future__ import annotations

from accelzoo.families._spaces import layerwise, one_of
from accelzoo.families._stages import Config, head, ibn, network, row
from accelzoo.families.base import Family, Published

_SOURCE = "Cai et al., ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, ICLR 2019"
_README = "ProxylessNAS authors' repository, README"
_NNI = "NNI repository, authors' weights evaluated on the ported networks"

Block = tuple[int, float]
_STRIDES = (2, 2, 2, 1, 2, 1)


def _network(stem: int, first: int, widths: tuple[int, ...], blocks: tuple[tuple[Block, ...], ...], mix: int) -> Config:
    """`first` is the width of the block of ratio 1, `mix` that of the 1×1 convolution before the pool."""
    stages = [ibn(1, 3, 1, 1, first)]
    for stride, width, group in zip(_STRIDES, widths, blocks, strict=True):
        stages += row(stride, width, *group)
    return network(stem, stages, head(mix), activation="relu6", norm_eps=1e-3)


# Blocks as (kernel, expansion); those that the search replaced by the identity are left out.
_GPU = (
    ((5, 3),),
    ((7, 3), (3, 3)),
    ((7, 6), (5, 3)),
    ((5, 6), (3, 3), (5, 3)),
    ((7, 6), (7, 6), (7, 6), (5, 6)),
    ((7, 6),),
)
_CPU = (
    ((3, 6), (3, 3), (3, 3), (3, 3)),
    ((3, 6), (3, 3), (3, 3), (5, 3)),
    ((3, 6), (3, 3)),
    ((5, 6), (3, 3), (3, 3), (3, 3)),
    ((5, 6), (5, 3), (5, 3), (3, 3)),
    ((5, 6),),
)
_MOBILE = (
    ((5, 3), (3, 3)),
    ((7, 3), (3, 3), (5, 3), (5, 3)),
    ((7, 6), (5, 3), (5, 3), (5, 3)),
    ((5, 6), (5, 3), (5, 3), (5, 3)),
    ((7, 6), (7, 6), (7, 3), (7, 3)),
    ((7, 6),),
)
_PHONE = "Pixel 1"

_MODELS = {
    "proxylessnas_gpu": _network(40, 24, (32, 56, 112, 128, 256, 432), _GPU, 1728),
    "proxylessnas_cpu": _network(40, 24, (32, 48, 88, 104, 216, 360), _CPU, 1432),
    "proxylessnas_mobile": _network(32, 16, (32, 40, 80, 96, 192, 320), _MOBILE, 1280),
    "proxylessnas_mobile_14": _network(48, 24, (40, 56, 112, 136, 256, 448), _MOBILE, 1792),
}


def _choices(layer: Config) -> Config:
    """Kernels and expansions of the search (Cai et al. 2019, §4.1); every layer but a stage's first may be left out."""
    if layer["expansion_ratio"] == 1:
        return {}
    return {"kernel_size": one_of(3, 5, 7), "expansion_ratio": one_of(3, 6)}


FAMILY = Family(
    name="proxylessnas",
    source=f"{_SOURCE}; blocks after the authors' configs as transcribed in pytorchcv (parameter counts agree)",
    models=_MODELS,
    spaces={name: layerwise(network, _choices, depth=4) for name, network in _MODELS.items()},
    published={
        "proxylessnas_gpu": (
            Published(
                source=_README,
                top1=75.1,
                latency_s=5.1e-3,
                device="GPU (a V100 in the paper)",
                note="224×224",
            ),
            Published(source="pytorchcv", parameters=7_119_848, note="asserted of its transcription"),
        ),
        "proxylessnas_cpu": (
            Published(source=_NNI, top1=75.29, note="224×224; secondary"),
            Published(source="pytorchcv", parameters=4_361_648, note="asserted of its transcription"),
        ),
        "proxylessnas_mobile": (
            Published(source=_README, top1=74.6, macs=320e6, latency_s=78e-3, device=_PHONE, note="224×224"),
            Published(source="pytorchcv", parameters=4_080_512, note="asserted of its transcription"),
        ),
        "proxylessnas_mobile_14": (
            Published(source=_README, top1=76.7, macs=581e6, latency_s=147e-3, device=_PHONE, note="224×224"),
            Published(source="pytorchcv", parameters=6_857_568, note="asserted of its transcription"),
        ),
    },
)
