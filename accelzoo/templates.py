"""Templates: configs with a `Choice` in place of some values, and the ways to walk and fill them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from accelzoo import config
from accelzoo.blocks import block_kinds
from accelzoo.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead from the root of a template to something in it."""

Picker = Callable[[KeyPath, tuple[Any, ...]], Any]
"""Picks the value of the knob at a path from the knob's values."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The values that one knob may take, in order.

    Raises:
        ValueError: If there are none, or one stands twice.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a choice needs at least one value")
        if any(value in self.values[:index] for index, value in enumerate(self.values)):
            raise ValueError(f"a choice must not repeat a value: {list(self.values)}")


def choice(*values: Any) -> Choice:
    """Makes a `Choice` of its arguments."""
    return Choice(values)


def fill(node: Any, path: KeyPath, pick: Picker) -> Any:
    """Returns the template with every choice replaced by `pick(path, values)`; inapplicable fields are left out."""
    if isinstance(node, Choice):
        return pick(path, node.values)
    if isinstance(node, Mapping):
        filled = {}
        skipped: frozenset[str] = frozenset()
        if isinstance(node.get("repeats"), Choice):
            filled["repeats"] = repeats = pick((*path, "repeats"), node["repeats"].values)
            pick = pick if repeats else _first  # of a stage that is left out, nothing else makes a difference
        if isinstance(node.get("kind"), Choice):
            filled["kind"] = kind = pick((*path, "kind"), node["kind"].values)
            skipped = _foreign_fields(kind, node["kind"].values)
        for key, value in node.items():
            if key not in skipped and key not in filled:
                filled[key] = fill(value, (*path, key), pick)
        return _like(node, filled)
    if isinstance(node, list | tuple):
        return _like(node, [fill(value, (*path, index), pick) for index, value in enumerate(node)])
    return node


def _first(path: KeyPath, values: tuple[Any, ...]) -> Any:
    return values[0]


def _like(node: Any, filled: Any) -> Any:
    """Puts new content into a copy of a collection read from a file, which knows where its entries stood."""
    if type(node) in (dict, list, tuple) or not isinstance(node, dict | list):
        return filled
    copied = copy.copy(node)
    copied.clear()
    if isinstance(copied, dict):
        copied.update(filled)
    else:
        copied.extend(filled)
    return copied


def _foreign_fields(kind: Any, kinds: tuple[Any, ...]) -> frozenset[str]:
    """Fields that other kinds of the choice have and `kind` does not; none if one is unknown, for the reader to say."""
    known = block_kinds()
    if not all(isinstance(name, str) and name in known for name in kinds):
        return frozenset()
    return _foreign_fields_of(kind, kinds)


@cache
def _foreign_fields_of(kind: str, kinds: tuple[str, ...]) -> frozenset[str]:
    known = block_kinds()
    every = {field.name for other in kinds for field in fields(known[other])}
    return frozenset(every - {field.name for field in fields(known[kind])})


def choices(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Choice]]:
    """Yields every choice in a template, in order, with its path."""
    if isinstance(node, Choice):
        yield path, node
        return
    for key, value in _entries(node):
        yield from choices(value, (*path, key))


def read_choices(root: config.Node, node: Any, path: KeyPath) -> Any:
    """Returns what was read with a `Choice` in place of each `{choice: [...]}`."""
    if isinstance(node, Mapping) and set(node) == {"choice"}:
        if not isinstance(node["choice"], list | tuple):
            raise ConfigError([root.fault((*path, "choice"), f"expected a list of values, got {node['choice']!r}")])
        try:
            return Choice(tuple(node["choice"]))
        except ValueError as error:
            raise ConfigError([root.fault(path, str(error))]) from None
    if isinstance(node, Mapping):
        return _like(node, {key: read_choices(root, value, (*path, key)) for key, value in node.items()})
    if isinstance(node, list | tuple):
        return _like(node, [read_choices(root, value, (*path, index)) for index, value in enumerate(node)])
    return node


def _entries(node: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, list | tuple):
        yield from enumerate(node)


def to_plain(node: Any) -> Any:
    """Plain data for a template; `read_choices` reads it back."""
    if isinstance(node, Choice):
        return {"choice": to_plain(list(node.values))}
    if isinstance(node, Mapping):
        return {key: to_plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [to_plain(value) for value in node]
    return node


def at(template: Any, path: KeyPath) -> Any:
    """What stands at a path of a template."""
    for key in path:
        template = template[key]
    return template


def path_text(path: KeyPath) -> str:
    """A path as text: `stages[2].kernel_size`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")
