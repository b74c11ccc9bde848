"""FBNet (Wu et al. 2019): found by a differentiable search over a phone's look-up table of latencies."""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import layerwise, one_of
from accelzoo.families._stages import Config, head, ibn, mixed, network, row
from accelzoo.families.base import Family, Published

_SOURCE = "Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable NAS, CVPR 2019"
_README = "Facebook mobile-vision repository, README (Caffe2 models)"
_TORCH_README = "Facebook mobile-vision repository, README (PyTorch models)"
_PHONE = "Samsung Galaxy S8"


def _network(stages: list[Config], hidden_channels: int) -> Config:
    return network(16, stages, head(hidden_channels))


# Blocks with 1×1 convolutions in two groups ("g2" in the search space), chosen by A alone.
_G2 = {"kind": "shuffle_ibn"}
_A = _network(
    [
        *row(2, 24, (3, 3), (3, 1)),
        *row(2, 32, (5, 6), (3, 3), (5, 1), (3, 3)),
        *mixed(ibn(1, 5, 2, 6, 64), ibn(1, 5, 1, 3, 64), ibn(1, 5, 1, 1, 64, **_G2), ibn(1, 5, 1, 6, 64)),
        *mixed(
            ibn(1, 3, 1, 6, 112), ibn(1, 5, 1, 1, 112, **_G2), ibn(1, 5, 1, 3, 112), ibn(1, 3, 1, 1, 112, **_G2)
        ),
        *row(2, 184, (5, 6), (5, 6), (5, 3), (5, 6)),
        ibn(1, 5, 1, 6, 352),
    ],
    1504,
)
_B = _network(
    [
        ibn(1, 3, 1, 1, 16),
        *row(2, 24, (3, 6), (5, 1), (3, 1), (3, 1)),
        *row(2, 32, (5, 6), (5, 3), (3, 6), (5, 6)),
        *row(2, 64, (5, 6), (5, 6), (5, 3)),
        *row(1, 112, (5, 6), (3, 1), (5, 1), (5, 3)),
        *row(2, 184, (5, 6), (5, 1), (5, 6), (5, 6)),
        ibn(1, 3, 1, 6, 352),
    ],
    1984,
)
# Unlike the repository's A and B, timm's C has an expansion convolution in blocks of ratio 1, as the paper draws it.
_WIDE = {"always_expand": True}
_C = _network(
    [
        ibn(1, 3, 1, 1, 16, **_WIDE),
        *row(2, 24, (3, 6), (3, 1), (3, 1), **_WIDE),
        *row(2, 32, (5, 6), (5, 3), (5, 6), (3, 6)),
        *row(2, 64, (5, 6), (5, 3), (5, 6), (5, 6)),
        *row(1, 112, (5, 6), (5, 6), (5, 6), (5, 3)),
        ibn(4, 5, 2, 6, 184),
        ibn(1, 3, 1, 6, 352),
    ],
    1984,
)


def _published(
    macs: float,
    parameters: float,
    float_figures: tuple[float, float],
    int8: tuple[float, float],
    retrained: tuple[float, float],
) -> tuple[Published, ...]:
    """Figures are (top-1, latency); of the networks trained again in PyTorch, (top-1, MACs)."""
    counts: dict[str, Any] = {"macs": macs, "parameters": parameters}
    caffe2: dict[str, Any] = {"source": _README, "device": _PHONE}
    return (
        Published(**caffe2, **counts, top1=float_figures[0], latency_s=float_figures[1], note="224×224, float, NNPACK"),
        Published(**caffe2, **counts, top1=int8[0], latency_s=int8[1], note="224×224, int8, QNNPACK"),
        Published(
            source=_TORCH_README, top1=retrained[0], macs=retrained[1], parameters=parameters, note="224×224, float"
        ),
    )


def _choices(layer: Config) -> Config:
    """Blocks of the search (Wu et al. 2019, table 2); every layer but a stage's first may be left out."""
    kinds = {"kind": one_of("ibn", "shuffle_ibn")}
    return {**kinds, "kernel_size": one_of(3, 5), "expansion_ratio": one_of(1, 3, 6)}


FAMILY = Family(
    name="fbnet",
    source=f"{_SOURCE}, table 3; A and B after Facebook's mobile-vision repository, C as in timm",
    models={"fbnet_a": _A, "fbnet_b": _B, "fbnetc_100": _C},
    spaces={"fbnet_a": layerwise(_A, _choices, depth=4), "fbnet_b": layerwise(_B, _choices, depth=4)},
    published={
        "fbnet_a": _published(249.4e6, 4.3e6, (73.3, 124.6e-3), (71.7, 14.1e-3), (73.3, 244.5e6)),
        "fbnet_b": _published(295.6e6, 4.8e6, (74.1, 167.7e-3), (72.9, 17.3e-3), (74.5, 291.1e6)),
        "fbnetc_100": _published(383.0e6, 5.5e6, (74.9, 241.8e-3), (73.2, 21.0e-3), (75.2, 378.2e6)),
    },
    timm_names={"fbnetc_100": "fbnetc_100"},
)
