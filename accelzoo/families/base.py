"""What a family is: configs by name, spaces by name, and where they come from."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What others measured of a model: some figures, and the page or table where they stand.

    Args:
        source: Paper and table, or page.
        top1: ImageNet top-1 accuracy, percent.
        map: COCO mean average precision, percent.
        macs: Multiply-accumulates of one inference.
        parameters: Number of parameters.
        latency_s: Time of one inference on `device`.
        device: What the latency was measured on.
        note: What else one must know, such as the precision or the input size.
    """

    source: str
    top1: float | None = None
    map: float | None = None
    macs: float | None = None
    parameters: float | None = None
    latency_s: float | None = None
    device: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if (self.latency_s is None) != (not self.device):
            raise ValueError(f"latency_s (={self.latency_s}) and device (={self.device!r}) go together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of networks: every module of `accelzoo.families` holds one as `FAMILY`.

    Args:
        name: The family's name.
        source: The paper that defines it, and where the sizes were taken from.
        models: Model name → config of its architecture.
        spaces: Space name → template (see `accelzoo.knobs`).
        published: Model name → what others measured of it.
        timm_names: Model name → name of the same network in timm, whose weights fit.
    """

    name: str
    source: str
    models: Mapping[str, Mapping[str, Any]]
    spaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: Mapping[str, tuple[Published, ...]] = field(default_factory=dict)
    timm_names: Mapping[str, str] = field(default_factory=dict)


@cache
def families() -> tuple[Family, ...]:
    """Every family, in the order of their names."""
    import accelzoo.families as package

    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    names = sorted(name for name in found if name != "base" and not name.startswith("_"))
    return tuple(importlib.import_module(f"{package.__name__}.{name}").FAMILY for name in names)
