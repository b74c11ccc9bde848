"""Changes to config data that keep its marks: one mapping laid over another, and `key.path=value` overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelzoo.config._marks import KIND_KEY, Fault, Mark, MarkedDict, MarkedList, Marks, Step, Steps, marks_of
from accelzoo.config._scalars import describe, is_mapping, is_sequence
from accelzoo.errors import ConfigError


def merged_data(base: Mapping[str, Any], changes: Mapping[str, Any]) -> MarkedDict:
    """Lays changes over a base, as `merge` documents; every entry keeps the mark of the text it came from."""
    kinds = base.get(KIND_KEY), changes.get(KIND_KEY)
    if None not in kinds and kinds[0] != kinds[1]:
        return MarkedDict(changes, marks_of(changes))
    result = MarkedDict(base, marks_of(base))
    new_marks = marks_of(changes)
    for key, item in changes.items():
        old = base.get(key)
        if is_mapping(old) and is_mapping(item):
            item = merged_data(old, item)
        else:
            result.marks.pop(key, None)
        result[key] = item
        if key in new_marks:
            result.marks[key] = new_marks[key]
    return result


def overridden(value: Any, overrides: Sequence[str]) -> tuple[Any, list[Fault]]:
    """Applies overrides one after the other.

    Returns:
        The changed data (the data given is left alone), and the overrides that could not be applied.
    """
    if not overrides:
        return value, []
    from accelzoo.config import _yaml  # loads PyYAML, which takes a while

    faults: list[Fault] = []
    for override in overrides:
        mark = Mark(f"override {override!r}")
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        if not equals or "" in keys:
            faults.append(Fault(mark, (), "expected `key.path=value`"))
            continue
        try:
            new, _, found = _yaml.parse(text, mark.source, by_line=False) if text.strip() else (None, mark, [])
            faults.extend(found)
            value = _replaced(value, keys, (), new, mark)
        except _MisplacedError as misplaced:
            faults.append(misplaced.fault)
        except ConfigError as error:
            faults.extend(Fault(None, (), fault) for fault in error.faults)
    return value, faults


class _MisplacedError(Exception):
    """An override whose path leads nowhere."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


def _replaced(value: Any, keys: Sequence[str], steps: Steps, new: Any, mark: Mark) -> Any:
    """Returns a copy of `value`, found at `steps`, with `new` below it at `keys`; what lies beside it is shared."""
    if not keys:
        return new
    key, *rest = keys
    step: Step = key
    copy: MarkedDict | MarkedList
    if value is None or is_mapping(value):
        copy = MarkedDict(value, marks_of(value))
        old = copy.get(key)
    elif is_sequence(value):
        if not (key.isdecimal() and int(key) < len(value)):
            indices = f"0 to {len(value) - 1}" if value else "none, the list is empty"
            raise _MisplacedError(Fault(mark, steps, f"no item {key!r} (allowed: {indices})"))
        step = int(key)
        copy = MarkedList(value, marks_of(value))
        old = copy[step]
    else:
        raise _MisplacedError(Fault(mark, steps, f"has no key {key!r}: it is {describe(value)}"))
    copy[step] = _replaced(old, rest, (*steps, step), new, mark)  # type: ignore[index]
    if not rest or old is None:
        copy.marks[step] = Marks(mark, mark)
    return copy
