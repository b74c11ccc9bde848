"""Spaces: an architecture's config with a `Choice` in place of some values.

A choice is a knob; a genome names one value per knob, in the order in which the knobs stand in the template. Beside an
architecture's own keys a template may hold `width_multiplier`, `depth_multiplier` and `channel_divisor`, which scale
the architecture after the other knobs are set. In YAML a choice is written `{choice: [ibn, fused_ibn]}`.

Where a block's `kind` is a choice, a stage lists the fields of all its kinds; those that the chosen kind does not have
are left out, and their knobs are inactive.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from accelzoo import config, draw
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import ConvBnAct, block_kinds
from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.heads import Head
from accelzoo.stem import Stem

KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead from the root of a template to something in it."""

Genome = tuple[int, ...]
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


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of a space and where it stands in the template."""

    path: KeyPath
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The path as text: `stages[2].kernel_size`."""
        return _path_text(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """What a template becomes once every knob is set: an architecture and how to scale it."""

    inline: ClassVar[str] = "arch"

    arch: Arch
    width_multiplier: float = 1.0
    depth_multiplier: float = 1.0
    channel_divisor: int = 8

    def __post_init__(self) -> None:
        self.scaled()

    def scaled(self) -> Arch:
        return self.arch.scaled(self.width_multiplier, self.depth_multiplier, self.channel_divisor)


_SCALES = tuple(field.name for field in fields(_Filled) if field.name != _Filled.inline)
_PARTS: Mapping[str, Any] = {
    "input_size": tuple[int, int, int],
    "stem": Stem,
    "stages": tuple[Stage, ...],
    "head": Head,
}


class Space:
    """A finite set of architectures.

    Args:
        name: What to call it.
        template: An architecture's config with `Choice`s, and the scaling keys.

    A fault in the template shows when a genome is decoded; `validate` looks for all of them.
    """

    __slots__ = ("_index", "knobs", "name", "template")

    def __init__(self, name: str, template: Mapping[str, Any]) -> None:
        self.name = name
        self.template = template
        self.knobs = tuple(Knob(path, leaf.values) for path, leaf in _choices(template, ()))
        self._index = {knob.path: index for index, knob in enumerate(self.knobs)}

    @classmethod
    def from_config(cls, source: Path | config.Text | Mapping[str, Any], name: str | None = None) -> Space:
        """Reads a space from a YAML file, text or plain data and tries every value of every knob once.

        Raises:
            ConfigError: All faults, each with its place.
        """
        node = config.load(source)
        node.plain()  # reports what parsing found, such as duplicate keys
        template = _read_choices(node, node.value, ())
        space = cls(name or (source.stem if isinstance(source, Path) else "space"), template)
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
        return config.digest(self.to_config())

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
            ConfigError: If the genome has the wrong length, an index is out of range, or a value does not fit.
        """
        self._check(genome)
        filled = _fill(self.template, (), lambda path, values: values[int(genome[self._index[path]])])
        return config.read(_Filled, filled).scaled()

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
        """Returns a canonical genome that decodes to `arch`: of each scale and each part, the first that fits.

        Raises:
            AccelzooError: If `arch` is not in the space; the message names the part that no choice makes.
        """
        reasons = []
        scale_knobs = [index for index, knob in enumerate(self.knobs) if knob.path[0] in _SCALES]
        for scale_genome in self._assignments(scale_knobs):
            genome = dict(scale_genome)
            for path, wanted in _parts_of(arch, self.template):
                found = self._match(path, wanted, scale_genome)
                if found is None:
                    reasons.append(f"no choice makes {_path_text(path)} = {config.canonical_json(wanted)}")
                    break
                genome |= found
            else:
                return self.canonical([genome.get(index, 0) for index in range(len(self.knobs))])
        raise AccelzooError(f"the architecture is not in space {self.name!r}: {reasons[0]}")

    def validate(self) -> None:
        """Decodes and lowers every value of every knob once, the others at their first value.

        Raises:
            ConfigError: All faults, each naming where it stands, or else the knob and the value.
        """
        base = self._faults([0] * len(self.knobs))
        faults = list(base)
        for index, knob in enumerate(self.knobs):
            for value in range(1, len(knob.values)):
                genome = [0] * len(self.knobs)
                genome[index] = value
                said = f"(with {knob.name} = {knob.values[value]!r})"
                faults += [f"{fault} {said}" for fault in self._faults(genome) if fault not in base]
        if faults:
            raise ConfigError(faults)

    def _faults(self, genome: Sequence[int]) -> tuple[str, ...]:
        try:
            self.decode(genome).lower()
        except ConfigError as error:
            return error.faults
        except ShapeError as error:
            return (str(error),)
        return ()

    def _assignments(self, indices: Sequence[int]) -> Iterator[dict[int, int]]:
        """Yields every setting of some knobs, as value index by knob index."""
        for values in itertools.product(*(range(len(self.knobs[index].values)) for index in indices)):
            yield dict(zip(indices, values, strict=True))

    def _match(self, path: KeyPath, wanted: Any, scale_genome: Mapping[int, int]) -> dict[int, int] | None:
        """Finds values of the knobs inside the part at `path` with which that part, once scaled, becomes `wanted`."""
        inside = [index for index, knob in enumerate(self.knobs) if knob.path[: len(path)] == path]
        genome: dict[int, int]

        def pick(at: KeyPath, values: tuple[Any, ...]) -> Any:
            return values[genome[self._index[at]]]

        for part_genome in self._assignments(inside):
            genome = {**scale_genome, **part_genome}
            scales = {key: _fill(self.template[key], (key,), pick) for key in _SCALES if key in self.template}
            try:
                part = self._read_part(path, pick)
            except ConfigError:
                continue  # these values do not go together, so they make nothing
            if _scaled_part(path, part, scales) == wanted:
                return part_genome
        return None

    def _read_part(self, path: KeyPath, pick: Picker) -> Any:
        key = path[0]
        if key not in self.template:
            return getattr(_PROBE, str(key))
        filled = _fill(_at(self.template, path), path, pick)
        return config.read(Stage if len(path) > 1 else _PARTS[str(key)], config.Node(filled))

    def _check(self, genome: Sequence[int]) -> None:
        if len(genome) != len(self.knobs):
            raise ConfigError([f"a genome of space {self.name!r} has {len(self.knobs)} positions, got {len(genome)}"])
        for value, knob in zip(genome, self.knobs, strict=True):
            if not 0 <= value < len(knob.values):
                raise ConfigError([f"knob {knob.name}: index {value} is not in 0 … {len(knob.values) - 1}"])


# Carries one part at a time through `Arch.scaled`; its other parts are Arch's defaults or do not matter.
_PROBE = Arch(stem=Stem(out_channels=8), stages=(Stage(block=ConvBnAct(out_channels=8)),))


def _scaled_part(path: KeyPath, part: Any, scales: Mapping[str, Any]) -> Any:
    """Scales one part alone, as the whole architecture would be."""
    key, one_stage = str(path[0]), len(path) > 1
    changes: dict[str, Any] = {key: (part,) if one_stage else part}
    scaled = getattr(replace(_PROBE, **changes).scaled(**scales), key)
    return scaled[0] if one_stage else scaled


def _parts_of(arch: Arch, template: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the parts of an architecture that can be matched one by one, each with its path."""
    yield ("input_size",), arch.input_size
    yield ("stem",), arch.stem
    stages = template.get("stages")
    if isinstance(stages, list | tuple) and len(stages) == len(arch.stages):
        for index, stage in enumerate(arch.stages):
            yield ("stages", index), stage
    else:
        yield ("stages",), arch.stages
    yield ("head",), arch.head


def _fill(node: Any, path: KeyPath, pick: Picker) -> Any:
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
        return _like(node, filled)
    if isinstance(node, list | tuple):
        return _like(node, [_fill(value, (*path, index), pick) for index, value in enumerate(node)])
    return node


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


def _choices(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Choice]]:
    if isinstance(node, Choice):
        yield path, node
        return
    for key, value in _entries(node):
        yield from _choices(value, (*path, key))


def _read_choices(root: config.Node, node: Any, path: KeyPath) -> Any:
    """Returns what was read with a `Choice` in place of each `{choice: [...]}`."""
    if isinstance(node, Mapping) and set(node) == {"choice"}:
        if not isinstance(node["choice"], list | tuple):
            raise ConfigError([root.fault((*path, "choice"), f"expected a list of values, got {node['choice']!r}")])
        try:
            return Choice(tuple(node["choice"]))
        except ValueError as error:
            raise ConfigError([root.fault(path, str(error))]) from None
    if isinstance(node, Mapping):
        return _like(node, {key: _read_choices(root, value, (*path, key)) for key, value in node.items()})
    if isinstance(node, list | tuple):
        return _like(node, [_read_choices(root, value, (*path, index)) for index, value in enumerate(node)])
    return node


def _entries(node: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, list | tuple):
        yield from enumerate(node)


def _to_plain(node: Any) -> Any:
    if isinstance(node, Choice):
        return {"choice": _to_plain(list(node.values))}
    if isinstance(node, Mapping):
        return {key: _to_plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_to_plain(value) for value in node]
    return node


def _at(template: Any, path: KeyPath) -> Any:
    for key in path:
        template = template[key]
    return template


def _path_text(path: KeyPath) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")
