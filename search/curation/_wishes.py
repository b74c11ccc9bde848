"""What a user pins and forbids, checked against a space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from accelzoo.errors import ConfigError, suggestion
from accelzoo.knobs import Knob, Space

Kept = tuple[tuple[int, ...], ...]
"""For every knob of a space the indices of the values that stay, ascending."""


def wished(space: Space, pins: Mapping[str, Any], forbids: Mapping[str, Any]) -> Kept:
    """Returns what pins and forbids leave of every knob.

    Args:
        space: The space.
        pins: Knob → the value, or the list of values, that it may still take. A `*` in a knob's name stands for
            anything (`stages[*].kernel_size`).
        forbids: Knob → the value, or the values, that it must not take.

    Raises:
        ConfigError: All faults: knobs that there are not, values that a knob does not have, knobs left without any.
    """
    faults: list[str] = []
    kept = [set(range(len(knob.values))) for knob in space.knobs]
    for what, wishes in (("pins", pins), ("forbids", forbids)):
        for pattern, given in wishes.items():
            positions = _matching(space, pattern)
            if not positions:
                names = [knob.name for knob in space.knobs]
                faults.append(f"{what}.{pattern}: no knob is called so{suggestion(pattern, names)}")
            for position in positions:
                knob = space.knobs[position]
                named, unknown = _named(knob, given)
                if unknown:
                    listed = ", ".join(repr(value) for value in unknown)
                    faults.append(f"{what}.{knob.name}: {listed} is none of {list(knob.values)}{_near(unknown, knob)}")
                kept[position] = kept[position] & named if what == "pins" else kept[position] - named
    for knob, left in zip(space.knobs, kept, strict=True):
        if not left and not faults:
            faults.append(f"{knob.name}: pins and forbids leave none of {list(knob.values)}")
    if faults:
        raise ConfigError([f"space {space.name!r}: {fault}" for fault in faults])
    return tuple(tuple(sorted(left)) for left in kept)


def _matching(space: Space, pattern: str) -> list[int]:
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
    return [position for position, knob in enumerate(space.knobs) if expression.fullmatch(knob.name)]


def _named(knob: Knob, given: Any) -> tuple[set[int], list[Any]]:
    """Indices of the values that were given, and those given that the knob does not have."""
    values = [_plain(value) for value in knob.values]
    given = _plain(given)
    several = [given] if given in values or not isinstance(given, list) else given
    return {values.index(value) for value in several if value in values}, [v for v in several if v not in values]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _near(unknown: list[Any], knob: Knob) -> str:
    texts = [value for value in knob.values if isinstance(value, str)]
    return next((suggestion(value, texts) for value in unknown if isinstance(value, str)), "")
