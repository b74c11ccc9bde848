"""The way back: config values as plain data, YAML, canonical JSON and digests."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from accelzoo.config._marks import KIND_KEY, Fault, Steps
from accelzoo.config._types import inline_of, kind_of
from accelzoo.errors import ConfigError


def to_config(value: Any, *, defaults: bool = True) -> Any:
    """Returns the plain data (dicts, lists, scalars) that `read` turns back into an equal value.

    A dataclass becomes a mapping of all its fields, in order, with its `kind` first; fields that are None by default
    and None are left out, and an integer in a float field is written as a float, so that equal values give equal text.

    Args:
        value: A dataclass, or plain data that may hold some.
        defaults: Whether to write fields that are at their default. Without them, the data of a value stays the same
            when its class gains a field with a default.

    Raises:
        ConfigError: If a number is not finite.
        TypeError: If a value, or the key of a mapping, has no plain form.
    """
    return _plain(value, (), defaults)


def dump_yaml(value: Any) -> str:
    """Writes a value (or plain data) as YAML: blocks outside, innermost collections on one line."""
    from accelzoo.config import _yaml  # loads PyYAML, which takes a while

    return _yaml.dump(to_config(value))


def canonical_json(value: Any) -> str:
    """Writes a value (or plain data) as the one JSON text it has: sorted keys, no blanks, ASCII, floats by repr."""
    return json.dumps(to_config(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Returns `sha256:` and the hexadecimal SHA-256 of the canonical JSON."""
    import hashlib  # loads OpenSSL, which takes longer than all else here

    return "sha256:" + hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


class _Shape(NamedTuple):
    """What writing a dataclass needs to know of its class."""

    kind: str | None
    inline: str | None
    fields: tuple[tuple[str, Any, bool], ...]


@cache
def _shape_of(cls: type) -> _Shape:
    hints = typing.get_type_hints(cls)
    fields = tuple(
        (field.name, _default_of(field), _holds_only_floats(hints[field.name]))
        for field in dataclasses.fields(cls)
        if field.init
    )
    return _Shape(kind_of(cls), inline_of(cls), fields)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    """Returns a field's default, or a marker equal to nothing where it has none."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _holds_only_floats(hint: Any) -> bool:
    """Tells whether a type has float members and no other numbers, so that an integer there stands for a float."""
    leaves: set[Any] = set()
    pending = [hint]
    while pending:
        current = pending.pop()
        arguments = typing.get_args(current)
        leaves.update(() if arguments else (current,))
        pending.extend(arguments)
    return float in leaves and leaves <= {float, str, type(None), Ellipsis}


def _plain(value: Any, steps: Steps, defaults: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError([str(Fault(None, steps, f"{value!r} is not finite and cannot be written"))])
        return float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_dataclass(value, steps, defaults)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} at {Fault(None, steps, 'a mapping')} is not text")
        return {str(key): _plain(item, (*steps, key), defaults) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*steps, index), defaults) for index, item in enumerate(value)]
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(str(Fault(None, steps, f"a {type(value).__name__} has no plain form ({value!r})")))


def _plain_dataclass(value: Any, steps: Steps, defaults: bool) -> dict[str, Any]:
    cls: type = type(value)
    kind, inline, fields = _shape_of(cls)
    result: dict[str, Any] = {} if kind is None else {KIND_KEY: kind}
    for name, default, floats in fields:
        item = getattr(value, name)
        if (item is None and default is None) or (not defaults and item == default):
            continue
        if name == inline:
            result.update(_plain(item, steps, defaults))
        elif floats:
            result[name] = _as_floats(_plain(item, (*steps, name), defaults))
        else:
            result[name] = _plain(item, (*steps, name), defaults)
    return result


def _as_floats(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_as_floats(item) for item in plain]
    if isinstance(plain, dict):
        return {key: _as_floats(item) for key, item in plain.items()}
    return float(plain) if type(plain) is int else plain
