"""Reading configs: sources, nodes of them, and the one function that turns them into dataclasses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from accelzoo.config._edit import merged_data, overridden
from accelzoo.config._marks import Fault, Mark, MarkedDict, Steps, locate, marks_of
from accelzoo.config._scalars import Issues, is_mapping
from accelzoo.config._types import compile_reader
from accelzoo.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Text:
    """YAML or JSON text, with the name that its faults are reported under."""

    text: str
    name: str = "<text>"


@dataclass(frozen=True, slots=True)
class Node:
    """A parsed config, or a part of one, that knows where everything in it stands.

    Attributes:
        value: The data; may be looked at, must not be changed.
        mark: Where it begins; None for data that never was text.
        steps: The keys that lead from the root of its source to it.
        faults: Duplicate keys and the like found by parsing; `read` and `plain` report them.
    """

    value: Any
    mark: Mark | None = None
    steps: Steps = ()
    faults: tuple[Fault, ...] = ()

    def get(self, key: str) -> Node | None:
        """Returns the entry under `key`; None if this is no mapping or has no such key."""
        if not is_mapping(self.value) or key not in self.value:
            return None
        mark = locate(self.value, self.mark, (key,))
        return Node(self.value[key], mark, (*self.steps, key), self.faults)

    def without(self, *keys: str) -> Node:
        """Returns this mapping without some of its keys (those that are read by other means)."""
        if not is_mapping(self.value):
            return self
        items = {key: item for key, item in self.value.items() if key not in keys}
        kept = MarkedDict(items, marks_of(self.value))
        return Node(kept, self.mark, self.steps, self.faults)

    def merged(self, changes: Node) -> Node:
        """Returns this node with the changes laid over it, as `merge` does; faults point at whichever text applies."""
        faults = self.faults + tuple(fault for fault in changes.faults if fault not in self.faults)
        if is_mapping(self.value) and is_mapping(changes.value):
            return Node(merged_data(self.value, changes.value), self.mark, self.steps, faults)
        return Node(changes.value, changes.mark, self.steps, faults)

    def fault(self, steps: Steps, message: str) -> str:
        """Returns what is wrong with the entry that `steps` lead to from here, with its place and path."""
        return str(Fault(locate(self.value, self.mark, steps), (*self.steps, *steps), message))

    def plain(self) -> Any:
        """Returns the data as fresh dicts, lists and scalars.

        Raises:
            ConfigError: If parsing found faults, or a number is not finite.
        """
        return read(Any, self)


Source = str | os.PathLike[str] | Text | Node | Mapping[str, Any] | Sequence[Any]


def load(source: Source) -> Node:
    """Parses a file (a path), `Text`, or takes plain data as it is.

    Raises:
        ConfigError: If the file cannot be read or is not one YAML (or JSON) document.
    """
    if isinstance(source, Node):
        return source
    if not isinstance(source, str | os.PathLike | Text):
        return Node(source)
    from accelzoo.config import _yaml  # loads PyYAML, which takes a while

    if not isinstance(source, Text):
        if "\n" in str(source):
            raise ConfigError([f"{str(source).splitlines()[0]!r}…: not a path; wrap YAML or JSON text in `Text`"])
        source = Text(_yaml.read_text(Path(source)), str(Path(source)))
    value, mark, faults = _yaml.parse(source.text, source.name)
    return Node(value, mark, (), tuple(faults))


def read(cls: type[T], source: Source, *, overrides: Sequence[str] = (), base: Source | None = None) -> T:
    """Reads a config as a dataclass (or any other readable type).

    Args:
        cls: What to read.
        source: A path, `Text`, a `Node`, or plain data.
        overrides: Changes such as `stages.2.kernel_size=5`: keys and list indices joined by dots, then a YAML value.
            Missing keys are created; an empty value is null.
        base: What `source` is laid over (see `merge`).

    Returns:
        The value, built anew.

    Raises:
        ConfigError: Naming every fault there is, in the order of the text.
    """
    node = load(source)
    if base is not None:
        node = load(base).merged(node)
    value, override_faults = overridden(node.value, overrides)
    faults = [*node.faults, *override_faults]
    issues: Issues = []
    reader = compile_reader(cls)
    try:
        result = reader(value, None, issues)
    except RecursionError:
        raise ConfigError(["nested too deeply, or containing itself"]) from None
    for issue in issues:
        steps = issue.steps()
        mark = locate(value, node.mark, steps, at_key=issue.at_key)
        faults.append(Fault(mark, (*node.steps, *steps), issue.message))
    if faults:
        raise ConfigError(str(fault) for fault in sorted(faults, key=_text_order))
    return result


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lays changes over a base: mappings are merged key by key, everything else (lists, null) is replaced.

    A mapping with another `kind` than the base's replaces it as a whole, since its other keys belong to that kind.
    """
    merged: dict[str, Any] = Node(merged_data(base, changes)).plain()
    return merged


def _text_order(fault: Fault) -> tuple[bool, str, int, int]:
    """Sorts faults as they stand in their texts; those of plain data, then those of overrides, come last."""
    mark = fault.mark or Mark("")
    return (mark.line == 0, mark.source, mark.line, mark.column)
