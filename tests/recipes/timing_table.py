"""A table of timings for tests: sixteen models of the zoo on a made-up device."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.hwmodel import estimate, load_target
from accelzoo.registry import get_arch

MODELS = [
    f"camera_ibn input_size=64 width_multiplier={width} kernel_size={kernel} depth_multiplier={depth}"
    for width in (0.5, 0.75, 1.0, 1.25)
    for kernel in (3, 5)
    for depth in (1.0, 2.0)
]


def seconds(model: str) -> float:
    """What a model takes on the device: twice as long as on paper on edge-npu."""
    name, *overrides = model.split()
    changes: dict[str, Any] = config.read(dict[str, Any], {}, overrides=overrides)
    return 2 * estimate(get_arch(name, **changes).lower(), load_target("edge-npu")).latency_s


def timing_rows(count: int = 12, unit: str = "latency_ms", scale: float = 1e3) -> list[list[str]]:
    """Returns the header and `count` rows."""
    return [["model", unit], *([model, repr(seconds(model) * scale)] for model in MODELS[:count])]


def write_table(rows: list[list[str]], name: str = "timings.csv") -> Path:
    """Writes rows as CSV."""
    path = Path(name)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def write_example() -> Path:
    """Writes the `timings.csv` of the help text: twelve timings and four candidates."""
    return write_table([*timing_rows(12), *([model, ""] for model in MODELS[12:])])
