"""MobileNetV3 (Howard et al. 2019, tables 1 and 2): large and small, and the minimalistic ones for DSPs."""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import layerwise, one_of, stagewise
from accelzoo.families._stages import Config, conv, head, ibn, mixed, network, scaled, separable
from accelzoo.families.base import Family, Published

_README = "TensorFlow models repository, research/slim/nets/mobilenet/README.md"
_GATE = {"se_base": "gated", "se_divisor": 8, "se_activation": "relu", "se_gate": "hard_sigmoid"}
_SE = {"se_ratio": 0.25, **_GATE}
_RELU = {"activation": "relu"}

_LARGE = [
    separable(1, 3, 1, 16, **_RELU),
    *mixed(ibn(1, 3, 2, 4, 24, **_RELU), ibn(1, 3, 1, 3, 24, **_RELU)),
    ibn(3, 5, 2, 3, 40, **_RELU, **_SE),
    *mixed(ibn(1, 3, 2, 6, 80), ibn(1, 3, 1, 2.5, 80), ibn(2, 3, 1, 2.3, 80)),
    ibn(2, 3, 1, 6, 112, **_SE),
    ibn(3, 5, 2, 6, 160, **_SE),
    conv(1, 1, 1, 960, residual=False),
]
_SMALL = [
    separable(1, 3, 2, 16, **_RELU, **_SE),
    *mixed(ibn(1, 3, 2, 4.5, 24, **_RELU), ibn(1, 3, 1, 3.67, 24, **_RELU)),
    *mixed(ibn(1, 5, 2, 4, 40, **_SE), ibn(2, 5, 1, 6, 40, **_SE)),
    ibn(2, 5, 1, 3, 48, **_SE),
    ibn(3, 5, 2, 6, 96, **_SE),
    conv(1, 1, 1, 576, residual=False),
]


def _network(stages: list[Config], hidden_channels: int, **more: Any) -> Config:
    classifier = head(hidden_channels, pool_first=True, hidden_norm=False)
    return network(16, stages, classifier, **({"activation": "hard_swish"} | more))


def _minimal(stages: list[Config], hidden_channels: int) -> Config:
    """The network with 3×3 kernels, ReLU, and no squeeze-excite, padded and normalised as TensorFlow does."""
    plain = []
    for stage in stages:
        kept = {key: value for key, value in stage.items() if not key.startswith("se_")}
        plain.append(kept | _RELU | {"kernel_size": min(3, stage["kernel_size"])})
    return _network(plain, hidden_channels, activation="relu", padding="same", norm_eps=1e-3)


_LARGE_100 = _network(_LARGE, 1280)
_SMALL_100 = _network(_SMALL, 1024)


def _published(top1: float, macs: float, parameters: float, note: str, *latencies_s: float) -> tuple[Published, ...]:
    phones = zip(("Pixel 1", "Pixel 2", "Pixel 3"), latencies_s, strict=True)
    return tuple(
        Published(
            source=_README,
            top1=top1,
            macs=macs,
            parameters=parameters,
            latency_s=latency_s,
            device=f"{phone}, one large core",
            note=f"224×224, {note}",
        )
        for phone, latency_s in phones
    )


# What the page says of the small networks' MACs fits no build of them: timm's and torchvision's have 56.5 M, not 66 M.
_SMALL_NOTE = "float; MACs and parameters as printed, more than the network has"
_SIZES = ("large_075", "large_100", "small_050", "small_075", "small_100", "large_minimal_100", "small_minimal_100")

def _ofa(layer: Config) -> Config:
    """The choices of once-for-all (Cai et al. 2020, §3.2), and the published network's two ratios that they lack."""
    if layer["kind"] != "ibn":
        return {}
    published = (2.3, 2.5) if layer["out_channels"] == 80 else ()
    return {"kernel_size": one_of(3, 5, 7), "expansion_ratio": one_of(3, 4, 6, *published)}


FAMILY = Family(
    name="mobilenetv3",
    source="Howard et al., Searching for MobileNetV3, ICCV 2019, tables 1 and 2; minimalistic variants after the "
    f"{_README}",
    models={
        "mobilenetv3_large_075": scaled(_LARGE_100, 0.75),
        "mobilenetv3_large_100": _LARGE_100,
        "mobilenetv3_small_050": scaled(_SMALL_100, 0.5, fixed_stem=True),
        "mobilenetv3_small_075": scaled(_SMALL_100, 0.75),
        "mobilenetv3_small_100": _SMALL_100,
        "mobilenetv3_large_minimal_100": _minimal(_LARGE, 1280),
        "mobilenetv3_small_minimal_100": _minimal(_SMALL, 1024),
    },
    spaces={
        "ofa_mobilenetv3": layerwise(_LARGE_100, _ofa, depth=4),
        "mobilenetv3_small": stagewise(_SMALL_100),
    },
    published={
        "mobilenetv3_large_075": _published(73.3, 155e6, 4.0e6, "float", 39.8e-3, 48e-3, 34e-3),
        "mobilenetv3_large_100": (
            *_published(75.2, 217e6, 5.4e6, "float", 51.2e-3, 61e-3, 44e-3),
            *_published(73.9, 217e6, 5.4e6, "8 bit", 44e-3, 42.5e-3, 32e-3),
        ),
        "mobilenetv3_small_075": _published(65.4, 44e6, 2.4e6, _SMALL_NOTE, 12.8e-3, 15.9e-3, 11.6e-3),
        "mobilenetv3_small_100": (
            *_published(67.5, 66e6, 2.9e6, _SMALL_NOTE, 15.8e-3, 19.4e-3, 14.4e-3),
            *_published(64.9, 66e6, 2.9e6, _SMALL_NOTE.replace("float", "8 bit"), 15.5e-3, 15e-3, 10.7e-3),
        ),
        "mobilenetv3_large_minimal_100": (
            *_published(72.3, 209e6, 3.9e6, "float", 44.1e-3, 51e-3, 35e-3),
            *_published(71.3, 209e6, 3.9e6, "8 bit", 37e-3, 35e-3, 27e-3),
        ),
        "mobilenetv3_small_minimal_100": _published(61.9, 65e6, 2.0e6, _SMALL_NOTE, 12.2e-3, 15.1e-3, 11e-3),
    },
    timm_names={f"mobilenetv3_{size}": f"{'tf_' * ('minimal' in size)}mobilenetv3_{size}" for size in _SIZES},
)
