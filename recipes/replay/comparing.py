"""The first difference between what a lock or a trace recorded and what came out now."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from accelzoo.recipes.replay.values import Divergence
from accelzoo.search.record import Record
from accelzoo.search.trace import Trace

_BEFORE_TRAINING = ("index", "genome", "arch", "cost", "violation", "duplicate_of")
"""Of a candidate: what is known before it is judged, in the order in which it comes about."""


def first_difference(
    expected: Any, got: Any, path: str = "", *, relative: float = 0.0, index: int | None = None
) -> Divergence | None:
    """Finds the first value in which plain data differ, keys in the recorded order; None if there is none.

    Args:
        expected: As recorded.
        got: As it came out; read back through JSON first, so that types are alike.
        path: What to call the data.
        relative: By what share of the larger one numbers that are no integers may differ.
        index: Of the candidate that the data are of.
    """
    return _difference(expected, json.loads(json.dumps(got)), path, relative, index)


def _difference(expected: Any, got: Any, path: str, relative: float, index: int | None) -> Divergence | None:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in dict.fromkeys([*expected, *got]):
            inner = f"{path}.{key}" if path else str(key)
            found = _difference(expected.get(key), got.get(key), inner, relative, index)
            if found is not None:
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list):
        for place, (theirs, ours) in enumerate(zip_longest(expected, got)):
            found = _difference(theirs, ours, f"{path}[{place}]", relative, index)
            if found is not None:
                return found
        return None
    if _equal(expected, got, relative):
        return None
    return Divergence(field=path, expected=expected, got=got, index=index)


def _equal(expected: Any, got: Any, relative: float) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expected, got))
    if relative and numbers and (isinstance(expected, float) or isinstance(got, float)):
        return math.isclose(expected, got, rel_tol=relative, abs_tol=0.0)
    return (type(expected) is type(got) and bool(expected == got)) or (numbers and expected == got)


def compare_traces(expected: Trace, got: Trace, *, reasons: bool = True) -> Divergence | None:
    """Finds the first difference of two traces: in their settings, then candidate by candidate.

    Args:
        expected: The recorded one. Settings that traces of its age did not have are not asked of it.
        got: The one that was made now.
        reasons: Whether the reasons of failed trainings count; they are not made again where accuracies are recorded.
    """
    settings = {key: value for key, value in got.header.items() if key in expected.header}
    settings |= {key: _known(expected.header[key], value) for key, value in settings.items()}
    found = first_difference(expected.header, settings, "settings")
    return found or compare_records(expected.records, got.records, reasons=reasons)


def _known(expected: Any, got: Any) -> Any:
    """Returns a setting without the keys that traces of the recorded one's age did not have."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return {key: value for key, value in got.items() if key in expected}
    return got


def compare_records(
    expected: Sequence[Record], got: Sequence[Record], *, reasons: bool = True
) -> Divergence | None:
    """Finds the first candidate that differs, and in which field; arguments as for `compare_traces`."""
    for index, (theirs, ours) in enumerate(zip_longest(expected, got)):
        if theirs is None or ours is None:
            there, now = len(expected), len(got)
            return Divergence(field="candidates", expected=there, got=now, index=index)
        found = first_difference(_plain(theirs, reasons), _plain(ours, reasons), index=index)
        if found is not None:
            return found
    return None


def _plain(record: Record, reasons: bool) -> dict[str, Any]:
    """Returns a candidate's fields, what is known before it is judged first."""
    content = record.to_json()
    if not reasons:
        content.pop("reason", None)
    return {name: content[name] for name in dict.fromkeys([*_BEFORE_TRAINING, *content]) if name in content}
