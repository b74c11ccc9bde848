"""MobileNet-v1 (Howard et al. 2017, table 1), in Google's four widths and timm's two variants."""

from __future__ import annotations

from typing import Any

from accelzoo.families._spaces import layerwise, widths
from accelzoo.families._stages import Config, head, network, scaled, separable, with_changes
from accelzoo.families.base import Family, Published

_SOURCE = "Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, 2017"
_README = "TensorFlow models repository, research/slim/nets/mobilenet_v1.md"
_SECONDARY = "224×224, float; secondary: as quoted in the Keras documentation"


def _stage(repeats: int, stride: int, out_channels: int) -> Config:
    return separable(repeats, 3, stride, out_channels, activate_output=True, residual=False)


_STAGES = [_stage(1, 1, 64), _stage(2, 2, 128), _stage(2, 2, 256), _stage(6, 2, 512), _stage(2, 2, 1024)]
_MOBILENETV1_100 = network(32, _STAGES, head(None), activation="relu6")


def _published(
    top1: float, quantized_top1: float, paper_top1: float, paper_macs: float, **counts: Any
) -> tuple[Published, ...]:
    """The README's figures in both precisions, then the paper's."""
    return (
        Published(source=_README, top1=top1, **counts, note="224×224, float; 1001 classes"),
        Published(source=_README, top1=quantized_top1, **counts, note="224×224, 8 bit; 1001 classes"),
        Published(source=f"{_SOURCE}, table 6", top1=paper_top1, macs=paper_macs, note=_SECONDARY),
    )


def _widths(layer: Config) -> Config:
    """20 to 150 % of a layer's channels, the range of AOWS (Berman et al. 2020, §4)."""
    return {"out_channels": widths(layer["out_channels"], *(tenths / 10 for tenths in range(2, 16)))}


_WIDTHS = layerwise(_MOBILENETV1_100 | {"stem": _MOBILENETV1_100["stem"] | _widths(_MOBILENETV1_100["stem"])}, _widths)


FAMILY = Family(
    name="mobilenetv1",
    source=f"{_SOURCE}, table 1; 100h (a 1×1 convolution before the pool) and 125 as in timm",
    models={
        "mobilenetv1_025": scaled(_MOBILENETV1_100, 0.25),
        "mobilenetv1_050": scaled(_MOBILENETV1_100, 0.5),
        "mobilenetv1_075": scaled(_MOBILENETV1_100, 0.75),
        "mobilenetv1_100": _MOBILENETV1_100,
        "mobilenetv1_125": scaled(_MOBILENETV1_100, 1.25),
        "mobilenetv1_100h": with_changes(_MOBILENETV1_100, hidden_channels=1024),
    },
    # The README's 317 M for width 0.75 are not what the network has; the paper's 325 M are.
    spaces={"mobilenetv1_widths": _WIDTHS},
    published={
        "mobilenetv1_025": _published(49.8, 48.2, 50.6, 41e6, macs=41e6, parameters=0.47e6),
        "mobilenetv1_050": _published(63.3, 62.2, 63.7, 149e6, macs=150e6, parameters=1.34e6),
        "mobilenetv1_075": _published(68.4, 67.9, 68.4, 325e6, macs=317e6, parameters=2.59e6),
        "mobilenetv1_100": _published(70.9, 69.7, 70.6, 569e6, macs=569e6, parameters=4.24e6),
    },
    timm_names={name: name for name in ("mobilenetv1_100", "mobilenetv1_125", "mobilenetv1_100h")},
)
