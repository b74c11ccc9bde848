"""Readers compiled once per type: plain data in, frozen dataclasses out, every fault collected on the way."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union

from accelzoo.config._marks import KIND_KEY
from accelzoo.config._scalars import (
    SCALARS,
    Issue,
    Issues,
    Reader,
    Trail,
    allowed,
    expected,
    is_mapping,
    is_sequence,
    read_entries,
    unknown,
)
from accelzoo.errors import AccelzooError, ConfigError

INLINE: Final = "inline"
VARIANTS: Final = "config_variants"
_SCALAR_WORDS: Final[dict[Any, str]] = {
    type(None): "null",
    bool: "true or false",
    int: "an integer",
    str: "text",
    float: "a number",
    Path: "a path",
}


def compile_reader(hint: Any) -> Reader:
    """Builds the reader of a type.

    Raises:
        TypeError: If values of this type cannot be read (a mistake of the dataclass's author, not of the user).
    """
    if isinstance(hint, typing.NewType):
        return compile_reader(hint.__supertype__)
    if hint in SCALARS:
        return SCALARS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is tuple and arguments:
        return _tuple_reader(arguments)
    if origin in (dict, Mapping) and arguments[0] is str:
        return _dict_reader(arguments[1])
    if isinstance(hint, type):
        if VARIANTS in vars(hint):
            return Tagged(hint.config_variants)  # type: ignore[attr-defined]
        if dataclasses.is_dataclass(hint):
            return record(hint)
    raise TypeError(f"a config cannot hold values of type {hint!r}")


def _literal_reader(values: tuple[Any, ...]) -> Reader:
    table = {(type(value), value): value for value in values}
    names = [value if isinstance(value, str) else "null" if value is None else str(value).lower() for value in values]

    def read(value: Any, trail: Trail, issues: Issues) -> Any:
        if (value is None or isinstance(value, bool | int | str)) and (type(value), value) in table:
            return value
        return unknown("choice", value, names, trail, issues)

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        reader = compile_reader(arguments[0])

        def read_all(value: Any, trail: Trail, issues: Issues) -> Any:
            if not is_sequence(value):
                return expected("a list", value, trail, issues)
            return tuple([reader(item, (trail, index), issues) for index, item in enumerate(value)])

        return read_all
    readers = [compile_reader(argument) for argument in arguments]

    def read_fixed(value: Any, trail: Trail, issues: Issues) -> Any:
        if not is_sequence(value) or len(value) != len(readers):
            return expected(f"a list of {len(readers)}", value, trail, issues)
        return tuple([read(value[index], (trail, index), issues) for index, read in enumerate(readers)])

    return read_fixed


def _dict_reader(hint: Any) -> Reader:
    reader = compile_reader(hint)

    def read(value: Any, trail: Trail, issues: Issues) -> Any:
        if not is_mapping(value):
            return expected("a mapping", value, trail, issues)
        return read_entries(value, reader, trail, issues)

    return read


def _union_reader(members: tuple[Any, ...]) -> Reader:
    """Chooses by shape: a mapping, a list or a scalar each go to the members that can take one."""
    classes = [member for member in members if _is_class(member)]
    others = [member for member in members if not _is_class(member) and member is not type(None)]
    if len(classes) == len(members):
        return _class_reader(classes)
    of_mapping: list[Reader] = [_class_reader(classes)] if classes else []
    of_list: list[Reader] = []
    of_scalar: list[Reader] = []
    ranks = {hint: rank for rank, hint in enumerate(SCALARS)}
    for member in sorted(others, key=lambda member: ranks.get(member, -1)):
        origin = typing.get_origin(member)
        readers = of_mapping if origin in (dict, Mapping) else of_list if origin is tuple else of_scalar
        readers.append(compile_reader(member))
    if len(of_mapping) > 1 or len(of_list) > 1:
        raise TypeError(f"a config cannot tell these apart: {members}")
    everything = of_mapping + of_list + of_scalar
    optional = len(members) > len(classes) + len(others)
    words = " or ".join(_words(member) for member in members)

    def read(value: Any, trail: Trail, issues: Issues) -> Any:
        if value is None and optional:
            return None
        readers = of_mapping if is_mapping(value) else of_list if is_sequence(value) else of_scalar
        if len(readers) == 1:
            return readers[0](value, trail, issues)
        if len(everything) == 1:
            return everything[0](value, trail, issues)
        for reader in readers:
            attempt: Issues = []
            result = reader(value, trail, attempt)
            if not attempt:
                return result
        return expected(words, value, trail, issues)

    return read


def _is_class(hint: Any) -> bool:
    return isinstance(hint, type) and (VARIANTS in vars(hint) or dataclasses.is_dataclass(hint))


def _class_reader(classes: list[Any]) -> Reader:
    if len(classes) == 1:
        return compile_reader(classes[0])
    variants = {kind_of(cls): cls for cls in classes}
    if None in variants or len(variants) < len(classes):
        raise TypeError(f"each of {classes} needs its own `kind: ClassVar[str]`")
    return Tagged(lambda: typing.cast("Mapping[str, type]", variants))


def _words(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    default = "a list" if origin is tuple else "a mapping"
    return _SCALAR_WORDS.get(hint, default)


def kind_of(cls: type) -> str | None:
    """Returns the `kind: ClassVar[str]` of a dataclass, or None where it has none (a field of that name is none)."""
    kind = getattr(cls, KIND_KEY, None)
    is_field = any(field.name == KIND_KEY for field in dataclasses.fields(cls))
    return kind if isinstance(kind, str) and not is_field else None


def inline_of(cls: type) -> str | None:
    """Returns the name of the field whose keys are written flat beside the others, or None."""
    name = getattr(cls, INLINE, None)
    names = [field.name for field in dataclasses.fields(cls)]
    if not isinstance(name, str) or INLINE in names:
        return None
    if name not in names:
        raise TypeError(f"{cls.__name__}.{INLINE} names {name!r}, which is no field of it")
    return name


class Tagged:
    """Reads one of several dataclasses, chosen by the key `kind`; asks for the variants anew at every read."""

    def __init__(self, variants: Callable[[], Mapping[str, type]]) -> None:
        self._variants = variants

    def __call__(self, value: Any, trail: Trail, issues: Issues) -> Any:
        """Reads the mapping as the variant that its `kind` names."""
        if not is_mapping(value):
            return expected(f"a mapping with the key {KIND_KEY!r}", value, trail, issues)
        chosen = self.choose(value, trail, issues)
        return None if chosen is None else chosen(value, trail, issues)

    def choose(self, value: Mapping[Any, Any], trail: Trail, issues: Issues) -> Record | None:
        """Returns the record that `kind` names; None, with an issue, where it names none."""
        variants = self._variants()
        if KIND_KEY not in value:
            issues.append(Issue(trail, f"missing required key {KIND_KEY!r}{allowed(variants)}"))
            return None
        kind = value[KIND_KEY]
        if not isinstance(kind, str) or kind not in variants:
            unknown("kind", kind, variants, (trail, KIND_KEY), issues)
            return None
        chosen = record(variants[kind])
        if chosen.kind != kind:
            raise TypeError(f"{variants[kind]!r} is registered as {kind!r} but its kind is {chosen.kind!r}")
        return chosen


class Record:
    """Reads one dataclass from a mapping of its fields' names."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.kind = kind_of(cls)
        self._inline_name = inline_of(cls)
        self._inline: Tagged | Record | None = None
        self._plan: list[tuple[str, Reader, bool]] | None = None
        self._partners: set[type] = set()

    def __call__(self, value: Any, trail: Trail, issues: Issues) -> Any:
        """Reads the dataclass; every key of the mapping must belong to it."""
        if not is_mapping(value):
            return expected("a mapping", value, trail, issues)
        result, taken = self._take(value, trail, issues)
        if taken < len(value):
            self._report_unknown(value, trail, issues)
        return result

    def choose(self, value: Mapping[Any, Any], trail: Trail, issues: Issues) -> Record | None:
        """Returns itself: a record is a union of one."""
        return self

    def _compiled(self) -> list[tuple[str, Reader, bool]]:
        """Compiles the fields' readers on the first use, so that a dataclass may hold others of its own kind."""
        hints = typing.get_type_hints(self.cls)
        plan = []
        for field in dataclasses.fields(self.cls):
            if not field.init:
                continue
            reader = compile_reader(hints[field.name])
            if field.name == self._inline_name:
                if not isinstance(reader, Tagged | Record):
                    raise TypeError(f"{self.cls.__name__}.{field.name} cannot be inline: it is no dataclass")
                self._inline = reader
                continue
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            plan.append((field.name, reader, required))
        self._plan = plan
        return plan

    def _take(self, value: Mapping[Any, Any], trail: Trail, issues: Issues) -> tuple[Any, int]:
        """Reads its own keys; returns the instance and how many keys of the mapping belong to it."""
        before = len(issues)
        taken = 0
        arguments: dict[str, Any] = {}
        missing = []
        for name, reader, required in self._compiled() if self._plan is None else self._plan:
            if name in value:
                taken += 1
                arguments[name] = reader(value[name], (trail, name), issues)
            elif required:
                missing.append(name)
        if self.kind is not None and KIND_KEY in value:
            taken += 1
            if value[KIND_KEY] != self.kind:
                unknown("kind", value[KIND_KEY], [self.kind], (trail, KIND_KEY), issues)
        if missing:
            plural = "s" if len(missing) > 1 else ""
            issues.append(Issue(trail, f"missing required key{plural} {', '.join(map(repr, missing))}"))
        if self._inline is not None:
            partner = self._inline.choose(value, trail, issues)
            if partner is None:
                return None, len(value)
            if partner.cls not in self._partners:
                self._check_apart(partner, value)
            arguments[self._inline_name or ""], extra = partner._take(value, trail, issues)
            taken += extra
        if len(issues) > before:
            return None, taken
        return self._construct(arguments, trail, issues), taken

    def _check_apart(self, partner: Record, value: Mapping[Any, Any]) -> None:
        """Refuses an inline dataclass with a key that this one has too: the keys could not be told apart."""
        names = self._names(value)
        if len(set(names)) < len(names):
            raise TypeError(f"{self.cls.__name__} and its inline {partner.cls.__name__} share a key: {sorted(names)}")
        self._partners.add(partner.cls)

    def _construct(self, arguments: dict[str, Any], trail: Trail, issues: Issues) -> Any:
        try:
            return self.cls(**arguments)
        except ConfigError as error:
            issues.extend(Issue(trail, fault) for fault in error.faults)
        except (ValueError, AccelzooError) as error:
            issues.append(Issue(trail, str(error)))
        return None

    def _names(self, value: Mapping[Any, Any]) -> list[str]:
        names = [name for name, _, _ in (self._compiled() if self._plan is None else self._plan)]
        if self.kind is not None:
            names.insert(0, KIND_KEY)
        partner = self._inline.choose(value, None, []) if self._inline is not None else None
        return names + (partner._names(value) if partner is not None else [])

    def _report_unknown(self, value: Mapping[Any, Any], trail: Trail, issues: Issues) -> None:
        names = self._names(value)
        for key in value:
            if not isinstance(key, str):
                expected("text as a key", key, trail, issues)
            elif key not in names:
                unknown("key", key, names, (trail, key), issues, at_key=True)


_records: Final[dict[type, Record]] = {}


def record(cls: type) -> Record:
    """Returns the one record of a dataclass.

    Raises:
        TypeError: If `cls` is not a dataclass.
    """
    if cls not in _records:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls!r} is not a dataclass")
        _records[cls] = Record(cls)
    return _records[cls]
