"""EfficientNetV2 (Tan & Le 2021): S to XL, the scaled B0 to B3, and timm's three retuned ones."""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, conv, fused, head, ibn, network, scaled, with_changes
from accelzoo.families.base import Family, Published

_README = "Google AutoML repository, efficientnetv2/README.md"
_SE = {"se_ratio": 0.25}


def _network(stem: int, stages: list[Config], input_size: int, hidden_channels: int = 1280) -> Config:
    return network(stem, stages, head(hidden_channels), activation="silu", input_size=input_size)


def _seven(repeats: tuple[int, ...], widths: tuple[int, ...], input_size: int) -> Config:
    """M, L and XL: their seven stages differ in repeats and widths alone."""
    r, w = repeats, widths
    stages = [
        conv(r[0], 3, 1, w[0]),
        fused(r[1], 3, 2, 4, w[1]),
        fused(r[2], 3, 2, 4, w[2]),
        ibn(r[3], 3, 2, 4, w[3], **_SE),
        ibn(r[4], 3, 1, 6, w[4], **_SE),
        ibn(r[5], 3, 2, 6, w[5], **_SE),
        ibn(r[6], 3, 1, 6, w[6], **_SE),
    ]
    return _network(w[0], stages, input_size)


def _small(first: Config, last: int, input_size: int, hidden_channels: int) -> Config:
    """S and its relatives, which differ in the first stage and in the last one's width."""
    stages = [
        first,
        fused(4, 3, 2, 4, 48),
        fused(4, 3, 2, 4, 64),
        ibn(6, 3, 2, 4, 128, **_SE),
        ibn(9, 3, 1, 6, 160, **_SE),
        ibn(15, 3, 2, 6, last, **_SE),
    ]
    return _network(24, stages, input_size, hidden_channels)


def _nearest(width: float) -> int:
    """The nearest multiple of 8, however far below: the rule of B0 to B3."""
    return max(8, int(width + 4) // 8 * 8)


def _base(width: float, depth: float, input_size: int, hidden_channels: int) -> Config:
    head_and_size = {"input_size": input_size, "hidden_channels": hidden_channels}
    return with_changes(scaled(_B0, width, depth, round_width=_nearest), **head_and_size)


_S = _small(conv(2, 3, 1, 24), 256, 384, 1280)
_RW_S = _small(fused(2, 3, 1, 1, 24), 272, 384, 1792)
_B0 = network(
    32,
    [
        conv(1, 3, 1, 16),
        fused(2, 3, 2, 4, 32),
        fused(2, 3, 2, 4, 48),
        ibn(3, 3, 2, 4, 96, **_SE),
        ibn(5, 3, 1, 6, 112, **_SE),
        ibn(8, 3, 2, 6, 192, **_SE),
    ],
    head(1280),
    activation="silu",
    padding="same",
    norm_eps=1e-3,
)
_SAME_NAME = ("s", "m", "l", "xl", "rw_t", "rw_s", "rw_m")
_BASES = ("b0", "b1", "b2", "b3")


def _published(size: int, macs: float, parameters: float, top1: float, top1_21k: float) -> tuple[Published, ...]:
    counts: dict[str, Any] = {"macs": macs, "parameters": parameters}
    return (
        Published(source=_README, top1=top1, **counts, note=f"{size}×{size}, trained on ImageNet-1k"),
        Published(source=_README, top1=top1_21k, **counts, note=f"{size}×{size}, pre-trained on ImageNet-21k"),
    )


def _base_published(size: int, macs: float, parameters: float, top1: float) -> tuple[Published, ...]:
    note = f"{size}×{size}, trained on ImageNet-1k"
    return (Published(source=_README, top1=top1, macs=macs, parameters=parameters, note=note),)


FAMILY = Family(
    name="efficientnetv2",
    source="Tan & Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021, table 4; sizes (also of the rw "
    "variants, which are timm's own) and test resolutions as in timm",
    models={
        "efficientnetv2_s": _S,
        "efficientnetv2_m": _seven((3, 5, 5, 7, 14, 18, 5), (24, 48, 80, 160, 176, 304, 512), 480),
        "efficientnetv2_l": _seven((4, 7, 7, 10, 19, 25, 7), (32, 64, 96, 192, 224, 384, 640), 480),
        "efficientnetv2_xl": _seven((4, 8, 8, 16, 24, 32, 8), (32, 64, 96, 192, 256, 512, 640), 512),
        "efficientnetv2_rw_t": scaled(_S, 0.8, 0.9, input_size=288, hidden_channels=1024),
        "efficientnetv2_rw_s": _RW_S,
        "efficientnetv2_rw_m": scaled(
            _RW_S, 1.2, (1.2, 1.2, 1.2, 1.2, 1.6, 1.6), input_size=416, hidden_channels=2152
        ),
        "efficientnetv2_b0": _B0,
        "efficientnetv2_b1": _base(1.0, 1.1, 240, 1280),
        "efficientnetv2_b2": _base(1.1, 1.2, 260, 1408),
        "efficientnetv2_b3": _base(1.2, 1.4, 300, 1536),
    },
    spaces={"efficientnetv2": stagewise(_S), "efficientnetv2_b0": stagewise(_B0)},
    published={
        "efficientnetv2_s": _published(384, 8.4e9, 21.5e6, 83.9, 84.9),
        "efficientnetv2_m": _published(480, 24.7e9, 54.1e6, 85.2, 86.2),
        "efficientnetv2_l": _published(480, 56.3e9, 119.5e6, 85.7, 86.9),
        "efficientnetv2_xl": (Published(source=_README, top1=87.2, note="512×512, pre-trained on ImageNet-21k"),),
        "efficientnetv2_b0": _base_published(224, 0.72e9, 7.1e6, 78.7),
        "efficientnetv2_b1": _base_published(240, 1.2e9, 8.1e6, 79.8),
        "efficientnetv2_b2": _base_published(260, 1.7e9, 10.1e6, 80.5),
        "efficientnetv2_b3": _base_published(300, 3.0e9, 14.4e6, 82.1),
    },
    timm_names={
        **{f"efficientnetv2_{size}": f"efficientnetv2_{size}" for size in _SAME_NAME},
        **{f"efficientnetv2_{size}": f"tf_efficientnetv2_{size}" for size in _BASES},
    },
)
