"""Readers of scalars and plain values, and the words their faults are told in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from accelzoo.config._marks import FLOAT_PATTERN, Steps
from accelzoo.errors import suggestion

_MAX_LISTED: Final = 20
_MAX_SHOWN: Final = 60

# A path as nested (parent, key) pairs: building one is a single small allocation on the fast path.
Trail = Any


class Issue(NamedTuple):
    """A fault before its place is looked up; `at_key` points at the key rather than its value."""

    trail: Trail
    message: str
    at_key: bool = False

    def steps(self) -> Steps:
        """Returns the path from the root."""
        reverse = []
        trail = self.trail
        while trail is not None:
            trail, step = trail
            reverse.append(step)
        return tuple(reversed(reverse))


Issues = list[Issue]
Reader = Callable[[Any, Trail, Issues], Any]


def describe(value: object) -> str:
    """Says what a value is, for "expected …, got …"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= _MAX_SHOWN else f"the text {value[:_MAX_SHOWN]!r}…"
    if is_mapping(value):
        return "a mapping"
    if is_sequence(value):
        return f"a list of {len(value)}"
    name = "integer" if type(value) is int else "number" if type(value) is float else type(value).__name__
    shown = repr(value) if not isinstance(value, int) or value.bit_length() < 256 else f"of {value.bit_length()} bits"
    return f"the {name} {shown[:_MAX_SHOWN]}"


def allowed(names: Iterable[str]) -> str:
    """Lists what is allowed, shortened when long."""
    known = list(names)
    shown = ", ".join(known[:_MAX_LISTED])
    more = f", … {len(known)} in all" if len(known) > _MAX_LISTED else ""
    return f" (allowed: {shown or 'none'}{more})"


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Tells mappings from the rest."""
    return isinstance(value, dict | Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Tells lists and tuples from the rest; text is not a sequence here."""
    return isinstance(value, list | tuple)


def expected(what: str, value: object, trail: Trail, issues: Issues, hint: str = "") -> None:
    """Reports a value of the wrong sort."""
    issues.append(Issue(trail, f"expected {what}, got {describe(value)}{hint}"))


def unknown(
    what: str, value: object, names: Iterable[str], trail: Trail, issues: Issues, *, at_key: bool = False
) -> None:
    """Reports a name that is none of those allowed."""
    known = list(names)
    near = suggestion(value, known) if isinstance(value, str) else ""
    shown = f"{what} {value!r}" if isinstance(value, str) else f"{what}, got {describe(value)}"
    issues.append(Issue(trail, f"unknown {shown}{allowed(known)}{near}", at_key))


def read_int(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts integers; neither booleans nor 3.0."""
    if type(value) is int:
        return value
    return expected("an integer", value, trail, issues)


def read_float(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts finite numbers, integers, and text such as '5e8'."""
    if isinstance(value, float):
        number = float(value)
    elif type(value) is int or (isinstance(value, str) and FLOAT_PATTERN.fullmatch(value)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    else:
        return expected("a number", value, trail, issues)
    if not math.isfinite(number):
        return expected("a finite number", value, trail, issues)
    return number


def read_bool(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts true and false only."""
    if value is True or value is False:
        return value
    return expected("true or false", value, trail, issues)


def read_str(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts text only."""
    if isinstance(value, str):
        return str.__str__(value)
    hint = "; put it in quotes to make it text" if isinstance(value, bool | int | float) else ""
    return expected("text", value, trail, issues, hint)


def read_path(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts text and paths; relative paths stay relative."""
    if isinstance(value, Path) or (isinstance(value, str) and value and "\0" not in value):
        return Path(value)
    return expected("a path", value, trail, issues)


def read_none(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts null only."""
    return None if value is None else expected("null", value, trail, issues)


def read_any(value: Any, trail: Trail, issues: Issues) -> Any:
    """Accepts any plain value: returns fresh dicts with text keys, lists, and finite scalars."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return read_float(value, trail, issues)
    if is_mapping(value):
        return read_entries(value, read_any, trail, issues)
    if is_sequence(value):
        return [read_any(item, (trail, index), issues) for index, item in enumerate(value)]
    return expected("a plain value", value, trail, issues)


def read_entries(value: Mapping[Any, Any], reader: Reader, trail: Trail, issues: Issues) -> dict[str, Any]:
    """Reads every entry of a mapping whose keys must be text."""
    result = {}
    for key, item in value.items():
        if isinstance(key, str):
            result[key] = reader(item, (trail, key), issues)
        else:
            expected("text as a key", key, trail, issues)
    return result


# Scalar members of a union are tried in this order, whatever order they are declared in: text given to `float | str`
# stays text, 3 given to `int | float` stays an integer.
SCALARS: Final[dict[Any, Reader]] = {
    type(None): read_none,
    bool: read_bool,
    int: read_int,
    str: read_str,
    float: read_float,
    Path: read_path,
    Any: read_any,
    object: read_any,
}
