"""What timm wants to know of a network before it is built: its `pretrained_cfg`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from accelzoo.arch import Arch
from accelzoo.heads import ClassificationHead
from accelzoo.pretrained import ZOO
from accelzoo.registry import models
from accelzoo.release import CONFIG_FILE, WEIGHTS_FILE

FIRST_CONV, CLASSIFIER = "conv_stem", "classifier"
_INPUT_SIZE = (3, 224, 224)


def classifies(config: Mapping[str, Any]) -> bool:
    """Whether an architecture's config has a classification head."""
    return config.get("head", {}).get("kind", ClassificationHead.kind) == ClassificationHead.kind


def registry_entry(name: str, config: Mapping[str, Any], weights: bool = True) -> dict[str, Any]:
    """The pretrained_cfg of a registered network, from its config alone: no architecture is read.

    Args:
        name: The network.
        config: The config of its architecture.
        weights: Name the weights that ship in the package, if any do.
    """
    size = tuple(config.get("input_size", _INPUT_SIZE))
    facts = {
        "input_size": size,
        "pool_size": _pool_size(size, _reduction(config)),
        "num_classes": config.get("head", {}).get("num_classes", 1000),
        "first_conv": FIRST_CONV,
        "classifier": CLASSIFIER,
        "paper_name": models()[name].source,
    }
    return facts | (_packaged(name) if weights else {})


def image_facts(arch: Arch) -> dict[str, Any]:
    """The part of a pretrained_cfg that follows from an architecture."""
    return {
        "input_size": arch.input_size,
        "pool_size": _pool_size(arch.input_size, arch.feature_levels()[-1].stride),
        "num_classes": arch.head.num_classes,
    }


def _packaged(name: str) -> dict[str, Any]:
    folder = ZOO / name
    if not (folder / WEIGHTS_FILE).exists():
        return {}
    described: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_bytes())["pretrained_cfg"]
    facts = {key: tuple(value) if isinstance(value, list) else value for key, value in described.items()}
    return facts | {"file": str(folder / WEIGHTS_FILE)}


def _reduction(config: Mapping[str, Any]) -> int:
    """The stride of the last map; the defaults are those of `Stem` and of every block."""
    stem = config["stem"]
    start = stem.get("space_to_depth", 1) * stem.get("stride", 2) * (2 if stem.get("max_pool") else 1)
    return start * math.prod(stage.get("stride", 1) for stage in config["stages"])


def _pool_size(input_size: tuple[int, ...], reduction: int) -> tuple[int, int]:
    height, width = (-(-side // reduction) for side in input_size[-2:])
    return height, width
