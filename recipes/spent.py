"""What a run took: core-hours, GPU-hours and energy, measured where the machine has a counter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CORE_W = 10.0
"""Watts that one busy core is taken to draw, its share of caches and memory included: servers of 2015 … 2025 have 150
to 360 W for 16 to 64 cores by their makers' data sheets."""
GPU_W = 400.0
"""Watts that one busy GPU is taken to draw; data-centre cards are rated at 250 to 700 W."""
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What energy counters said while a run went on.

    Args:
        joules: In all.
        seconds: How long they were read; what an interrupted process did after its last reading is missing.
        counters: Their names.
    """

    joules: float
    seconds: float
    counters: tuple[str, ...]


def on_gpu(trainings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tells whether any of a lock's trainings ran on a GPU."""
    return any(str(facts.get("device", "")).startswith("cuda") for facts in trainings.values())


def spent(*, core_s: float, gpu_s: float, wall_s: float, metered: Metered | None = None) -> dict[str, Any]:
    """Returns what a lock says of a run's effort.

    Args:
        core_s: Seconds of all parts, each times the cores it kept busy.
        gpu_s: Seconds of all parts, each times the GPUs it kept busy.
        wall_s: Seconds of all parts, as they passed on the wall's clock.
        metered: What counters said; None where the machine has none.

    Returns:
        `core_hours`, `gpu_hours`, `energy_j`, and `energy_from`: which counters, or what an estimate assumes. What
        counters missed more than a twentieth of is estimated.
    """
    taken = {"core_hours": round(core_s / _HOUR_S, 4), "gpu_hours": round(gpu_s / _HOUR_S, 4)}
    if metered is not None and metered.seconds >= 0.95 * wall_s:
        said = f"measured: {', '.join(metered.counters)}"
        return {**taken, "energy_j": round(metered.joules, 1), "energy_from": said}
    assumed = f"{CORE_W:g} W per busy core" + (f", {GPU_W:g} W per busy GPU" if gpu_s else "")
    energy_j = core_s * CORE_W + gpu_s * GPU_W
    return {**taken, "energy_j": round(energy_j, 1), "energy_from": f"estimated: {assumed}"}
