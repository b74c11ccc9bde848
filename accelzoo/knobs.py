"""Spaces: an architecture's config with a `Choice` in place of some values.

A choice is a knob; a genome names one value per knob, in the order in which the knobs stand in the template. Beside the
architecture's own keys a template may hold `width_multiplier`, `depth_multiplier` and `channel_divisor`, which scale the
architecture after the other knobs are set. In YAML a choice is written `{choice: [ibn, fused_ibn]}`.

Where a block's `kind` is a choice, a stage lists the fields of all its kinds; those that the chosen kind does not have
are left out, and their knobs are inactive.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accelzoo import config, draw
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import block_kinds
from accelzoo.errors import AccelzooError, ConfigError, suggestion
from accelzoo.heads import Head
from accelzoo.stem import Stem

_SCALES = {"width_multiplier": 1.0, "depth_multiplier": 1.0, "channel_divisor": 8}
_ARCH_KEYS = ("input_size", "stem", "stages", "head")

KeyPath = tuple[str | int, ...]
Genome = tuple[int, ...]


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


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of a space and where it stands in the template."""

    path: KeyPath
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The path as text: `stages[2].kernel_size`."""
        return _path_text(self.path)


class Space:
    """A finite set of architectures.

    Args:
        name: What to call it.
        template: An architecture's config with `Choice`s, and the scaling keys.

    Raises:
        ConfigError: If the template has an unknown key.
    """

    __slots__ = ("_index", "knobs", "name", "template")

    def __init__(self, name: str, template: Mapping[str, Any]) -> None:
        allowed = (*_ARCH_KEYS, *_SCALES)
        if faults := [_unknown_key(name, key, allowed) for key in template if key not in allowed]:
            raise ConfigError(faults)
        self.name = name
        self.template = template
        self.knobs = tuple(Knob(path, leaf.values) for path, leaf in _choices(template, ()))
        self._index = {knob.path: index for index, knob in enumerate(self.knobs)}

    @classmethod
    def from_config(cls, source: Path | Mapping[str, Any], name: str | None = None) -> Space:
        """Reads a space from a YAML file or plain data and tries every value of every knob once.

        Raises:
            ConfigError: All faults.
        """
        node = config.load(source)
        space = cls(name or (source.stem if isinstance(source, Path) else "space"), _read_choices(node.plain(), ()))
        space.validate()
        return space

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {len(self.knobs)} knobs, {self.size():.3g} genomes)"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each knob."""
        return tuple(len(knob.values) for knob in self.knobs)

    def size(self) -> int:
        """Number of genomes; genomes that differ in inactive knobs alone count once each."""
        return math.prod(self.sizes)

    def digest(self) -> str:
        """`sha256:…` over the template."""
        return config.digest(_to_plain(self.template))

    def to_config(self) -> dict[str, Any]:
        """Plain data that `from_config` reads back."""
        plain: dict[str, Any] = _to_plain(self.template)
        return plain

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draws an architecture, each knob uniform and independent."""
        return self.decode(self.sample_genome(rng))

    def sample_genome(self, rng: np.random.Generator) -> Genome:
        """Draws a genome, each knob uniform and independent."""
        return tuple(draw.below(rng, size) for size in self.sizes)

    def decode(self, genome: Sequence[int]) -> Arch:
        """Returns the architecture of a genome.

        Raises:
            ConfigError: If the genome has the wrong length or an index is out of range.
        """
        self._check(genome)
        filled = _fill(self.template, (), lambda path, values: values[int(genome[self._index[path]])])
        return self._scaled(filled)

    def canonical(self, genome: Sequence[int]) -> Genome:
        """Returns the genome with its inactive knobs at their first value."""
        self._check(genome)
        active: set[KeyPath] = set()

        def pick(path: KeyPath, values: tuple[Any, ...]) -> Any:
            active.add(path)
            return values[int(genome[self._index[path]])]

        _fill(self.template, (), pick)
        return tuple(int(g) if k.path in active else 0 for g, k in zip(genome, self.knobs, strict=True))

    def encode(self, arch: Arch) -> Genome:
        """Returns the first genome that decodes to `arch`.

        Raises:
            AccelzooError: If `arch` is not in the space; the message names the part that no choice makes.
        """
        scale_knobs = [knob for knob in self.knobs if knob.path[0] in _SCALES]
        reason = ""
        for values in itertools.product(*(knob.values for knob in scale_knobs)):
            scales = {knob.path: value for knob, value in zip(scale_knobs, values, strict=True)}
            picked = dict(scales)
            for part, wanted in _parts(self.template, arch):
                found = self._match(part, wanted, scales)
                if found is None:
                    reason = reason or f"no choice makes {_path_text(part)} = {config.canonical_json(wanted)}"
                    break
                picked.update(found)
            else:
                return tuple(knob.values.index(picked.get(knob.path, knob.values[0])) for knob in self.knobs)
        raise AccelzooError(f"the architecture is not in space {self.name!r}: {reason}")

    def validate(self) -> None:
        """Decodes every value of every knob once, the others at their first value.

        Raises:
            ConfigError: All faults, each naming the knob and the value.
        """
        faults: list[str] = []
        for index, knob in enumerate(self.knobs):
            for value in range(len(knob.values)):
                genome = [0] * len(self.knobs)
                genome[index] = value
                try:
                    self.decode(genome).lower()
                except AccelzooError as error:
                    faults.append(f"space {self.name!r}: {knob.name} = {knob.values[value]!r}: {error}")
        if faults:
            raise ConfigError(faults)

    def _match(self, part: KeyPath, wanted: Any, scales: Mapping[KeyPath, Any]) -> dict[KeyPath, Any] | None:
        """Finds values of the knobs inside `part` with which it becomes `wanted`."""
        knobs = [knob for knob in self.knobs if knob.path[: len(part)] == part]
        template = _at(self.template, part)
        settings = self._scales(lambda path, _values: scales[path])
        for values in itertools.product(*(knob.values for knob in knobs)):
            picked = {knob.path: value for knob, value in zip(knobs, values, strict=True)}
            filled = _fill(template, part, lambda path, _values, picked=picked: picked[path])  # type: ignore[misc]
            if _read_part(part, filled, settings) == wanted:
                return picked
        return None

    def _scaled(self, filled: dict[str, Any]) -> Arch:
        scales = {key: filled.pop(key, default) for key, default in _SCALES.items()}
        return Arch.from_config(filled).scaled(**scales)

    def _scales(self, pick: Any) -> dict[str, Any]:
        return {key: _fill(self.template.get(key, default), (key,), pick) for key, default in _SCALES.items()}

    def _check(self, genome: Sequence[int]) -> None:
        if len(genome) != len(self.knobs):
            raise ConfigError([f"a genome of space {self.name!r} has {len(self.knobs)} positions, got {len(genome)}"])
        for value, knob in zip(genome, self.knobs, strict=True):
            if not 0 <= value < len(knob.values):
                raise ConfigError([f"knob {knob.name}: index {value} is not in 0 … {len(knob.values) - 1}"])


def _parts(template: Mapping[str, Any], arch: Arch) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the parts of an architecture that can be matched one by one."""
    yield ("input_size",), arch.input_size
    yield ("stem",), arch.stem
    if len(arch.stages) != len(template["stages"]):
        yield ("stages",), None
    for index, stage in enumerate(arch.stages):
        yield ("stages", index), stage
    yield ("head",), arch.head


def _read_part(part: KeyPath, filled: Any, scales: Mapping[str, Any]) -> Any:
    """Builds one part alone, scaled as the whole architecture would be."""
    if part == ("input_size",):
        return tuple(filled)
    if part == ("stages",):
        return NotImplemented
    kinds: dict[str | int, Any] = {"stem": Stem, "stages": Stage, "head": Head}
    whole = {"stem": Stem(out_channels=8), "stages": (_ANY_STAGE,)}
    piece = config.read(kinds[part[0]], filled)
    key = str(part[0])
    arch = Arch(**{**whole, key: (piece,) if key == "stages" else piece}).scaled(**scales)
    return arch.stages[0] if key == "stages" else getattr(arch, key)


_ANY_STAGE = Stage(block=block_kinds()["conv_bn_act"](out_channels=8))


def _fill(node: Any, path: KeyPath, pick: Any) -> Any:
    """Returns the template with every choice replaced by `pick(path, values)`; inapplicable fields are left out."""
    if isinstance(node, Choice):
        return pick(path, node.values)
    if isinstance(node, Mapping):
        filled = {}
        skipped: frozenset[str] = frozenset()
        if isinstance(node.get("kind"), Choice):
            filled["kind"] = kind = pick((*path, "kind"), node["kind"].values)
            skipped = _foreign_fields(kind, node["kind"].values)
        for key, value in node.items():
            if key not in skipped and key not in filled:
                filled[key] = _fill(value, (*path, key), pick)
        return filled
    if isinstance(node, (list, tuple)):
        return [_fill(value, (*path, index), pick) for index, value in enumerate(node)]
    return node


@cache
def _foreign_fields(kind: str, kinds: tuple[str, ...]) -> frozenset[str]:
    """Fields that other kinds of the choice have and `kind` does not."""
    known = block_kinds()
    if any(other not in known for other in kinds):
        return frozenset()
    every = {field.name for other in kinds for field in fields(known[other])}
    return frozenset(every - {field.name for field in fields(known[kind])})


def _choices(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Choice]]:
    if isinstance(node, Choice):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _choices(value, (*path, key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _choices(value, (*path, index))


def _read_choices(node: Any, path: KeyPath) -> Any:
    if isinstance(node, Mapping):
        if set(node) == {"choice"}:
            try:
                return Choice(tuple(node["choice"]))
            except (TypeError, ValueError) as error:
                raise ConfigError([f"{_path_text(path)}: {error}"]) from None
        return {key: _read_choices(value, (*path, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_read_choices(value, (*path, index)) for index, value in enumerate(node)]
    return node


def _to_plain(node: Any) -> Any:
    if isinstance(node, Choice):
        return {"choice": _to_plain(list(node.values))}
    if isinstance(node, Mapping):
        return {key: _to_plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_to_plain(value) for value in node]
    return node


def _at(template: Any, path: KeyPath) -> Any:
    for key in path:
        template = template[key]
    return template


def _path_text(path: KeyPath) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def _unknown_key(name: str, key: str, allowed: Sequence[str]) -> str:
    return f"space {name!r}: unknown key {key!r} (allowed: {', '.join(allowed)}){suggestion(key, allowed)}"
