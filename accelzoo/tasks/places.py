"""Where data sets are looked for when the user names no path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "ACCELZOO_DATA"


def candidates(places: Sequence[Path], *names: str) -> list[Path]:
    """Returns `$ACCELZOO_DATA/<name>` for each name, when that variable is set, and then the usual places."""
    root = os.environ.get(VARIABLE)
    return [*(Path(root) / name for name in names if root), *places]


def first_existing(places: Sequence[Path], *names: str) -> Path | None:
    """Returns the first place that exists, or None."""
    return next((place for place in candidates(places, *names) if place.exists()), None)


def tried(places: Sequence[Path], *names: str) -> str:
    """Returns the text of an error: which places were looked at."""
    text = "looked at " + ", ".join(str(place) for place in candidates(places, *names))
    return text if os.environ.get(VARIABLE) else f"{text}; ${VARIABLE} is not set"
