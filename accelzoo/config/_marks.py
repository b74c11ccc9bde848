"""Plain data that remembers where every key and value of it stood, and faults that tell the place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

KIND_KEY: Final = "kind"
FLOAT_PATTERN: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

Step = str | int
Steps = tuple[Step, ...]


class Mark(NamedTuple):
    """A place in a source; lines and columns count from 1, line 0 means the source as a whole."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Marks(NamedTuple):
    """Where an entry's key (or list item) and its value begin."""

    key: Mark
    value: Mark


class MarkedDict(dict[str, Any]):
    """A mapping that knows where its entries stood; entries without marks came from plain data."""

    __slots__ = ("marks",)

    def __init__(self, items: Mapping[str, Any] | None = None, marks: Mapping[Step, Marks] | None = None) -> None:
        super().__init__(items or {})
        self.marks: dict[Step, Marks] = dict(marks or {})


class MarkedList(list[Any]):
    """A list that knows where its items stood."""

    __slots__ = ("marks",)

    def __init__(self, items: Sequence[Any] = (), marks: Mapping[Step, Marks] | None = None) -> None:
        super().__init__(items)
        self.marks: dict[Step, Marks] = dict(marks or {})


def marks_of(value: object) -> Mapping[Step, Marks]:
    """Returns the marks of a collection's entries; none for plain data."""
    return value.marks if isinstance(value, MarkedDict | MarkedList) else {}


class Fault(NamedTuple):
    """One thing wrong with a config: where its text stands, the path of keys to it, and what is wrong."""

    mark: Mark | None
    steps: Steps
    message: str

    def __str__(self) -> str:
        parts = (str(self.mark) if self.mark else "", render_path(self.steps), self.message)
        return ": ".join(part for part in parts if part)


def render_path(steps: Steps) -> str:
    """Writes a path as a user would: `stages[2].block.kernel_size`; odd keys appear as `['a.b']`."""
    text = ""
    for step in steps:
        if isinstance(step, str) and re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def locate(value: object, mark: Mark | None, steps: Steps, *, at_key: bool = False) -> Mark | None:
    """Walks from `value` (standing at `mark`) along `steps`; returns the mark of the deepest marked entry met."""
    for index, step in enumerate(steps):
        entry = marks_of(value).get(step)
        if entry is not None:
            mark = entry.key if at_key and index == len(steps) - 1 else entry.value
        try:
            value = value[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return mark
