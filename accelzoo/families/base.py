"""What a family is: configs by name, spaces by name, and where they come from."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of networks: every module of `accelzoo.families` holds one as `FAMILY`.

    Args:
        name: The family's name.
        source: The paper or page that defines it.
        models: Model name → config of its architecture.
        spaces: Space name → template (see `accelzoo.knobs`).
    """

    name: str
    source: str
    models: Mapping[str, Mapping[str, Any]]
    spaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@cache
def families() -> tuple[Family, ...]:
    """Every family, in the order of their names."""
    import accelzoo.families as package

    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "base")
    return tuple(importlib.import_module(f"{package.__name__}.{name}").FAMILY for name in names)
