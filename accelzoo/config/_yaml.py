"""YAML and JSON text to data with marks; the one module that loads PyYAML, imported when there is text to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from accelzoo.config._marks import FLOAT_PATTERN, Fault, Mark, MarkedDict, MarkedList, Marks, Steps
from accelzoo.errors import ConfigError, suggestion

MAX_DEPTH: Final = 100
MAX_ALIASED_NODES: Final = 100_000
MERGE_KEY: Final = "<<"
_INT_PATTERN: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,999})")
_NOT_FINITE_PATTERN: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SURROGATE_PAIR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path) -> str:
    """Reads a UTF-8 file.

    Raises:
        ConfigError: If it is missing (naming the nearest file beside it), not readable, or not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError([f"{path}: no such file{suggestion(path.name, beside)}"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", errors="replace")
        message = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        line, column = _place_after(before)
        raise ConfigError([str(Fault(Mark(str(path), line + 1, column + 1), (), message))]) from None


def parse(text: str, source: str, *, by_line: bool = True) -> tuple[Any, Mark, list[Fault]]:
    """Parses YAML or JSON text.

    Scalars follow YAML 1.2's core rules, so `5e8` is a number and `on`, `yes`, `010` and dates stay text. Keys are
    always text. Aliases are allowed; tags, merge keys and recursive aliases are faults.

    Args:
        text: One document.
        source: The name that faults are reported under.
        by_line: Whether marks tell line and column; for an override only its name helps.

    Returns:
        The data (`MarkedDict`, `MarkedList` or a scalar), where it starts, and the faults that did not stop parsing
        (duplicate keys, tags, merge keys).

    Raises:
        ConfigError: If the text is not one YAML document.
    """
    if text.lstrip()[:1] in ("{", "[", '"'):
        text = _SURROGATE_PAIR.sub(_join_surrogates, text)
    composer = _Composer(source, text, by_line)
    try:
        value, mark = composer.document()
    except yaml.YAMLError as error:
        raise ConfigError([str(_syntax_fault(error, text, composer.mark))]) from None
    except UnicodeError as error:
        raise ConfigError([str(_syntax_fault(yaml.YAMLError(str(error)), text, composer.mark))]) from None
    except _StopParsingError as stop:
        raise ConfigError([str(fault) for fault in (*composer.faults, stop.fault)]) from None
    return value, mark, composer.faults


class _StopParsingError(Exception):
    """Ends parsing with a fault that leaves nothing sensible to read on."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


class _Anchor(NamedTuple):
    """What an alias stands for, and how many values and levels of nesting that adds."""

    value: Any
    nodes: int
    levels: int


class _Composer:
    """Builds marked data from parser events; unlike PyYAML's own composer it keeps tags and duplicates visible."""

    def __init__(self, source: str, text: str, by_line: bool) -> None:
        self.faults: list[Fault] = []
        self._source = source
        self._by_line = by_line
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, _Anchor | None] = {}
        self._nodes = 0
        self._aliased_nodes = 0
        self._deepest = 0

    def document(self) -> tuple[Any, Mark]:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise self._stop(event, (), "empty: expected a YAML or JSON document")
        event = next(self._events)
        mark = self._mark(event)
        value = self._node(event, ())
        next(self._events)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._stop(event, (), "a second document begins here; one file holds one")
        return value, mark

    def mark(self, line: int, column: int) -> Mark:
        """Returns the mark of a place counted from 0."""
        return Mark(self._source, line + 1, column + 1) if self._by_line else Mark(self._source)

    def _mark(self, event: Any) -> Mark:
        return self.mark(event.start_mark.line, event.start_mark.column)

    def _fault(self, event: Any, steps: Steps, message: str) -> None:
        self.faults.append(Fault(self._mark(event), steps, message))

    def _stop(self, event: Any, steps: Steps, message: str) -> _StopParsingError:
        return _StopParsingError(Fault(self._mark(event), steps, message))

    def _node(self, event: Any, steps: Steps) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, steps)
        self._count(event, len(steps), 1)
        if event.tag is not None:
            self._fault(event, steps, f"tags are not allowed (got {event.tag!r})")
        if not event.anchor:
            return self._value(event, steps)
        self._anchors[event.anchor] = None
        nodes, deepest, self._deepest = self._nodes, self._deepest, len(steps)
        value = self._value(event, steps)
        self._anchors[event.anchor] = _Anchor(value, self._nodes - nodes + 1, self._deepest - len(steps))
        self._deepest = max(deepest, self._deepest)
        return value

    def _count(self, event: Any, depth: int, nodes: int) -> None:
        if depth > MAX_DEPTH:
            raise self._stop(event, (), f"nested deeper than {MAX_DEPTH} levels")
        self._deepest = max(depth, self._deepest)
        self._nodes += nodes

    def _value(self, event: Any, steps: Steps) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else resolve(event.value)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(steps)
        return self._sequence(steps)

    def _mapping(self, steps: Steps) -> MarkedDict:
        mapping = MarkedDict()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_mark = self._mark(event)
            key = self._key(event, steps)
            value_event = next(self._events)
            value = self._node(value_event, (*steps, key if key is not None else "?"))
            if key is None:
                continue
            if key in mapping:
                line = mapping.marks[key].key.line
                self._fault(event, (*steps, key), f"duplicate key (first given at line {line or 1})")
                continue
            mapping[key] = value
            mapping.marks[key] = Marks(key_mark, self._mark(value_event))
        return mapping

    def _key(self, event: Any, steps: Steps) -> str | None:
        if not isinstance(event, yaml.ScalarEvent):
            self._fault(event, steps, "a key must be plain text, not an alias, a list or a mapping")
            if not isinstance(event, yaml.AliasEvent):
                self._node(event, (*steps, "?"))
            return None
        if event.value == MERGE_KEY and not event.style:
            self._fault(event, steps, "merge keys (<<) are not supported; write the keys out or use a base")
            return None
        self._node(event, steps)
        return str(event.value)

    def _sequence(self, steps: Steps) -> MarkedList:
        items = MarkedList()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            mark = self._mark(event)
            items.marks[len(items)] = Marks(mark, mark)
            items.append(self._node(event, (*steps, len(items))))
        return items

    def _alias(self, event: Any, steps: Steps) -> Any:
        if event.anchor not in self._anchors:
            raise self._stop(event, steps, f"the alias *{event.anchor} has no anchor before it")
        anchor = self._anchors[event.anchor]
        if anchor is None:
            raise self._stop(event, steps, f"the alias *{event.anchor} contains itself")
        self._count(event, len(steps) + anchor.levels, anchor.nodes)
        self._aliased_nodes += anchor.nodes
        if self._aliased_nodes > MAX_ALIASED_NODES:
            raise self._stop(event, steps, f"aliases expand to over {MAX_ALIASED_NODES} values")
        return anchor.value


def resolve(text: str) -> bool | int | float | str | None:
    """Returns the value of a plain (unquoted) scalar by YAML 1.2's core rules; octal, hex and dates stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0].isalpha():
        return text
    if _INT_PATTERN.fullmatch(text):
        return int(text)
    if any(sign in text for sign in ".eE") and FLOAT_PATTERN.fullmatch(text):
        return float(text)
    if _NOT_FINITE_PATTERN.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _join_surrogates(match: re.Match[str]) -> str:
    """JSON escapes an emoji as two surrogates, a form that YAML does not know."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _place_after(before: str) -> tuple[int, int]:
    """Returns line and column, from 0, of what follows the text `before`."""
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def _syntax_fault(error: yaml.YAMLError, text: str, mark_at: Callable[[int, int], Mark]) -> Fault:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem, context = getattr(error, "problem", None) or str(error), getattr(error, "context", None)
        lines = text.split("\n")
        line = lines[mark.line] if mark.line < len(lines) else ""
        hint = "; indent with spaces, not tabs" if line[mark.column : mark.column + 1] == "\t" else ""
        message = f"not valid YAML: {problem}{f' ({context})' if context else ''}{hint}"
        return Fault(mark_at(mark.line, mark.column), (), message)
    bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if bad is None:
        return Fault(mark_at(0, 0), (), f"not valid YAML: {error}")
    place = _place_after(text[: bad.start()])
    return Fault(mark_at(*place), (), f"not valid YAML: the character {bad[0]!a} is not allowed")


def dump(plain: Any) -> str:
    """Writes plain data as YAML: blocks outside, innermost collections on one line."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or our reader would take for something else; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML would leave these line breaks bare, and so lose them, in any but double quotes.
    style = '"' if any(character in text for character in "\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(FLOAT_PATTERN.pattern + r"\Z"), list("-+.0123456789")
)
