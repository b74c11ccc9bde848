"""Spaces: an architecture's config with a `Choice` in place of some values.

A choice is a knob; a genome names one value per knob, in the order in which the knobs stand in the template. Beside an
architecture's own keys a template may hold `width_multiplier`, `depth_multiplier` and `channel_divisor`, which scale
the architecture after the other knobs are set. In YAML a choice is written `{choice: [ibn, fused_ibn]}`.

Where a block's `kind` is a choice, a stage lists the fields of all its kinds; those that the chosen kind does not have
are left out, and their knobs are inactive.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from accelzoo import config, draw
from accelzoo.arch import Arch, Stage
from accelzoo.blocks import Block, ConvBnAct
from accelzoo.errors import AccelzooError, ConfigError, ShapeError, suggestion
from accelzoo.heads import Head
from accelzoo.stem import Stem
from accelzoo.templates import (
    Choice,
    KeyPath,
    Picker,
    at,
    choice,
    choices,
    fill,
    path_text,
    read_choices,
    to_plain,
)

__all__ = ["Choice", "Genome", "Knob", "Space", "choice"]

Genome = tuple[int, ...]
MOST_TRIED = 1 << 18
"""Above so many settings of one part's knobs, no one looks for the one that makes a given part."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of a space and where it stands in the template."""

    path: KeyPath
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The path as text: `stages[2].kernel_size`."""
        return path_text(self.path)


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
    "norm_eps": float,
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
        self.knobs = tuple(Knob(path, leaf.values) for path, leaf in choices(template, ()))
        self._index = {knob.path: index for index, knob in enumerate(self.knobs)}

    @classmethod
    def from_config(cls, source: Path | config.Text | Mapping[str, Any], name: str | None = None) -> Space:
        """Reads a space from a YAML file, text or plain data and tries every value of every knob once.

        Raises:
            ConfigError: All faults, each with its place.
        """
        node = config.load(source)
        node.plain()  # reports what parsing found, such as duplicate keys
        template = read_choices(node, node.value, ())
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
        plain: dict[str, Any] = to_plain(self.template)
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
        filled = fill(self.template, (), lambda path, values: values[int(genome[self._index[path]])])
        return config.read(_Filled, filled).scaled()

    def fix(self, values: Mapping[str, Any]) -> Arch:
        """Returns the architecture with every knob set by name, in its normal form (`Arch.normal`).

        Args:
            values: Knob's name (`stages[2].kernel_size`) → value; inactive knobs may be left out. `values` gives them.

        Raises:
            ConfigError: All names that are unknown or missing and all values that a knob does not have.
        """
        known = {knob.name: (index, knob.values) for index, knob in enumerate(self.knobs)}
        genome = [0] * len(self.knobs)
        faults = [f"no knob is called {name!r}{suggestion(name, known)}" for name in values if name not in known]
        for name, (index, allowed) in known.items():
            if name in values and values[name] in allowed:
                genome[index] = allowed.index(values[name])
            elif name in values:
                faults.append(f"knob {name}: {values[name]!r} is none of {list(allowed)}")
        missing = {path_text(path) for path in self._active(genome)} - set(values)
        faults += [f"knob {name}: no value is given" for name in known if name in missing]
        if faults:
            raise ConfigError([f"space {self.name!r}: {fault}" for fault in faults])
        return self.decode(genome).normal()

    def values(self, genome: Sequence[int]) -> dict[str, Any]:
        """Value of every active knob by its name."""
        self._check(genome)
        active = self._active(genome)
        pairs = zip(self.knobs, genome, strict=True)
        return {knob.name: knob.values[int(index)] for knob, index in pairs if knob.path in active}

    def _active(self, genome: Sequence[int]) -> set[KeyPath]:
        """Paths of the knobs that make a difference under a genome."""
        active: set[KeyPath] = set()

        def pick(path: KeyPath, values: tuple[Any, ...]) -> Any:
            active.add(path)
            return values[int(genome[self._index[path]])]

        fill(self.template, (), pick)
        return active

    def canonical(self, genome: Sequence[int]) -> Genome:
        """Returns the genome with its inactive knobs at their first value."""
        self._check(genome)
        active = self._active(genome)
        return tuple(int(g) if k.path in active else 0 for g, k in zip(genome, self.knobs, strict=True))

    def encode(self, arch: Arch) -> Genome:
        """Returns a canonical genome that decodes to `arch`: of each scale and each part, the first that fits.

        Where stages of the template continue others and `arch` is divided otherwise, each of them takes one block of
        it and the last what remains; what the genome decodes to then has the same normal form as `arch`.

        Raises:
            AccelzooError: If `arch` is not in the space; the message names the part that no choice makes.
        """
        reasons = []
        scale_knobs = [index for index, knob in enumerate(self.knobs) if knob.path[0] in _SCALES]
        for parts in self._divisions(arch):
            for scale_genome in self._assignments(scale_knobs):
                genome = dict(scale_genome)
                for path, wanted in parts:
                    found = self._match(path, wanted, scale_genome)
                    if found is None:
                        made = "one that is left out" if wanted is None else config.canonical_json(wanted)
                        reasons.append(f"no choice makes {path_text(path)} = {made}")
                        break
                    genome |= found
                else:
                    return self.canonical([genome.get(index, 0) for index in range(len(self.knobs))])
        raise AccelzooError(f"the architecture is not in space {self.name!r}: {reasons[0]}")

    def _divisions(self, arch: Arch) -> Iterator[list[tuple[KeyPath, Any]]]:
        """Yields the ways to divide an architecture into parts that can be matched one by one, each with its path."""
        whole = [(("stages",), arch.stages)]
        template = self.template.get("stages")
        ways: list[list[tuple[Any, Any]]] = []
        if isinstance(template, list | tuple):
            continues = [isinstance(stage, Mapping) and bool(stage.get("continued")) for stage in template]
            equal = continues == [stage.continued for stage in arch.stages]
            divided: list[Sequence[Stage | None]] = [arch.stages] if equal else []
            if any(continues) and (laid_out := _laid_out(arch, continues)) not in divided:
                divided.append(laid_out)
            ways = [[(("stages", index), stage) for index, stage in enumerate(way)] for way in divided if way]
        for stages in ways or [whole]:
            head = [(("input_size",), arch.input_size), (("stem",), arch.stem)]
            yield [*head, *stages, (("head",), arch.head), (("norm_eps",), arch.norm_eps)]

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

        if math.prod(self.sizes[index] for index in inside) > MOST_TRIED:
            return None
        for part_genome in self._assignments(inside):
            genome = {**scale_genome, **part_genome}
            scales = {key: fill(self.template[key], (key,), pick) for key in _SCALES if key in self.template}
            try:
                part = self._read_part(path, pick)
            except ConfigError:
                continue  # these values do not go together, so they make nothing
            if part.repeats == 0 if wanted is None else _scaled_part(path, part, scales) == wanted:
                return part_genome
        return None

    def _read_part(self, path: KeyPath, pick: Picker) -> Any:
        key = path[0]
        if key not in self.template:
            return getattr(_PROBE, str(key))
        filled = fill(at(self.template, path), path, pick)
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
    changes: dict[str, Any] = {key: (*_PROBE.stages, part) if one_stage else part}
    scaled = getattr(replace(_PROBE, **changes).scaled(**scales), key)
    return scaled[-1] if one_stage else scaled


def _laid_out(arch: Arch, continues: Sequence[bool]) -> tuple[Stage | None, ...]:
    """Divides an architecture into stages as a template does; None stands for a stage that is left out.

    Where stages continue others, each takes one block as long as there are some, and the last all that remain.

    Args:
        arch: The architecture.
        continues: Whether each stage of the template continues the one before.

    Returns:
        The stages; empty if they cannot be divided so.
    """
    groups = iter(arch.groups())
    rest: list[Block] = []
    laid_out: list[Stage | None] = []
    for index, continued in enumerate(continues):
        if not continued:
            rest = list(next(groups, ()))
        last = index + 1 == len(continues) or not continues[index + 1]
        taken = rest if last else rest[:1]
        rest = [] if last else rest[1:]
        if any(block != taken[0].repeated() for block in taken[1:]):
            return ()
        laid_out.append(Stage(block=taken[0], repeats=len(taken), continued=continued) if taken else None)
    return tuple(laid_out) if next(groups, None) is None else ()
