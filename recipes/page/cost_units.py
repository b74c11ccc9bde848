"""Costs in the unit in which they read best on an axis."""

from __future__ import annotations

from accelzoo.recipes.run_view import cost_label

_UNITS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "j": ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")),
    "bytes": ((float(1 << 20), "MiB"), (1024.0, "KiB"), (1.0, "B")),
    "macs": ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
}


def cost_unit(field: str, most: float) -> tuple[float, str]:
    """Returns the unit in which the highest value reads best, in the field's own, and what the axis is called."""
    units = _UNITS[field.rsplit("_", 1)[-1]]
    scale, unit = next((pair for pair in units if most >= pair[0]), units[-1])
    return scale, f"{cost_label(field)} ({unit})" if unit else cost_label(field)
