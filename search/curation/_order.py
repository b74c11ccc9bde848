"""Which knobs have an order: more of them is never a worse network, only a dearer one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from accelzoo.knobs import Knob

ORDERED = frozenset({
    "out_channels", "hidden_channels", "expanded_channels", "expansion_ratio", "kernel_size", "start_kernel_size",
    "repeats", "se_ratio", "width_multiplier", "depth_multiplier", "input_rank_ratio", "output_rank_ratio",
})  # fmt: skip
"""Fields of which a larger number is more capacity; none at all (None) is the least."""
PIXELS = "input_size"
"""Ordered by area."""


def field_of(knob: Knob) -> str:
    """The field that a knob sets, such as `out_channels`."""
    return str(knob.path[-1])


def ascending(knob: Knob) -> tuple[int, ...] | None:
    """Indices of a knob's values from the least capacity to the most; None if they have no order."""
    if field_of(knob) == PIXELS:
        sizes = [_area(value) for value in knob.values]
        return None if None in sizes else _sorted(sizes)
    if field_of(knob) not in ORDERED:
        return None
    numbers = [-math.inf if value is None else value for value in knob.values]
    plain = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    return _sorted(numbers) if plain else None


def _sorted(numbers: Sequence[Any]) -> tuple[int, ...]:
    return tuple(sorted(range(len(numbers)), key=lambda index: numbers[index]))


def _area(value: Any) -> int | None:
    """Pixels of `[channels, height, width]`."""
    whole = isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(side, int) for side in value)
    return math.prod(value[1:]) if whole else None
