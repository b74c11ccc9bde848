"""Architectures of releases that ship in the package: a release's folder is all that there is to add."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ZOO = Path(__file__).parent.parent / "zoo"


def shipped(prefix: str) -> dict[str, Mapping[str, Any]]:
    """Returns the architecture's config of every packaged release whose name begins with `prefix`, by name."""
    found = sorted(path for path in _ZOO.glob(f"{prefix}*/config.json"))
    return {path.parent.name: json.loads(path.read_text("utf-8"))["accelzoo"]["arch"] for path in found}
