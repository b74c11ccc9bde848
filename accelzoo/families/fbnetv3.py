"""FBNetV3 (Dai et al. 2021): architecture and training recipe searched together."""

from __future__ import annotations

from accelzoo.families._spaces import stagewise
from accelzoo.families._stages import Config, conv, head, ibn, mixed, network, separable
from accelzoo.families.base import Family, Published

_MODEL_INFO = "Facebook mobile-vision repository, model_info_fbnet_v3.json"
_SE = {"se_ratio": 0.25, "se_divisor": 8, "se_gate": "hard_sigmoid"}
# timm rounds a gate's width up where rounding to the nearest multiple of 8 would lose 5 % (10 % elsewhere). Of all the
# gates here that concerns one: 104 input channels, 26 inside, which become 32 and not 24.
_SE_104 = _SE | {"se_ratio": 32 / 104}


def _network(stem: int, stages: list[Config], input_size: int = 224) -> Config:
    classifier = head(1984, pool_first=True, hidden_norm=False, hidden_bias=False)
    return network(stem, stages, classifier, activation="hard_swish", input_size=input_size)


def _last(out_channels: int) -> Config:
    return conv(1, 1, 1, out_channels, residual=False)


_B = [
    separable(2, 3, 1, 16),
    *mixed(ibn(1, 5, 2, 4, 24), ibn(3, 5, 1, 2, 24)),
    *mixed(ibn(1, 5, 2, 5, 40, **_SE), ibn(4, 5, 1, 3, 40, **_SE)),
    *mixed(ibn(1, 5, 2, 5, 72), ibn(4, 3, 1, 3, 72)),
    *mixed(ibn(1, 3, 1, 5, 120, **_SE), ibn(5, 5, 1, 3, 120, **_SE)),
    *mixed(ibn(1, 3, 2, 6, 184, **_SE), ibn(5, 5, 1, 4, 184, **_SE), ibn(1, 5, 1, 6, 224, **_SE)),
    _last(1344),
]
_D = [
    separable(2, 3, 1, 16),
    *mixed(ibn(1, 3, 2, 5, 24), ibn(5, 3, 1, 2, 24)),
    *mixed(ibn(1, 5, 2, 4, 40, **_SE), ibn(4, 3, 1, 3, 40, **_SE)),
    *mixed(ibn(1, 3, 2, 5, 72), ibn(4, 3, 1, 3, 72)),
    *mixed(ibn(1, 3, 1, 5, 128, **_SE), ibn(6, 5, 1, 3, 128, **_SE)),
    *mixed(ibn(1, 3, 2, 6, 208, **_SE), ibn(5, 5, 1, 5, 208, **_SE), ibn(1, 5, 1, 6, 240, **_SE)),
    _last(1440),
]
_G = [
    separable(3, 3, 1, 24),
    *mixed(ibn(1, 5, 2, 4, 40), ibn(4, 5, 1, 2, 40)),
    *mixed(ibn(1, 5, 2, 4, 56, **_SE), ibn(4, 5, 1, 3, 56, **_SE)),
    *mixed(ibn(1, 5, 2, 5, 104), ibn(4, 3, 1, 3, 104)),
    *mixed(ibn(1, 3, 1, 5, 160, **_SE_104), ibn(8, 5, 1, 3, 160, **_SE)),
    *mixed(ibn(1, 3, 2, 6, 264, **_SE), ibn(6, 5, 1, 5, 264, **_SE), ibn(2, 5, 1, 6, 288, **_SE)),
    _last(1728),
]


def _published(size: int, macs: float, parameters: float, top1: float) -> tuple[Published, ...]:
    note = f"{size}×{size}; Facebook's own network, of which timm's is a transcription"
    return (Published(source=_MODEL_INFO, top1=top1, macs=macs, parameters=parameters, note=note),)


_MODELS = {
    "fbnetv3_b": _network(16, _B),
    "fbnetv3_d": _network(24, _D),
    "fbnetv3_g": _network(32, _G, input_size=240),
}

FAMILY = Family(
    name="fbnetv3",
    source="Dai et al., FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining, CVPR 2021; as in timm",
    models=_MODELS,
    spaces={"fbnetv3": stagewise(_MODELS["fbnetv3_b"])},
    published={
        "fbnetv3_b": _published(248, 461.6e6, 8.542e6, 80.206),
        "fbnetv3_d": _published(248, 644.4e6, 10.238e6, 81.042),
        "fbnetv3_g": _published(320, 2129.7e6, 16.514e6, 82.794),
    },
    timm_names={name: name for name in _MODELS},
)
