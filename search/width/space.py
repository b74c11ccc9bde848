"""The space of a network's widths: one position for every group of channels that must be equal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ShapeError, suggestion
from accelzoo.hwmodel.ir import Graph
from accelzoo.knobs import Knob
from accelzoo.rounding import make_divisible
from accelzoo.search.genomes import random_genome
from accelzoo.search.space import Genome
from accelzoo.search.width._fields import (
    WidthField,
    entering_channels,
    one_block_stages,
    projects_at_full_size,
    width_fields,
    with_widths,
)
from accelzoo.search.width._ties import channel_ties
from accelzoo.search.width.factors import Factor, Footprint, find_factors, footprint

RATIOS = tuple(tenths / 10 for tenths in range(2, 16))
"""Widths relative to the network's own: 0.2, 0.3 … 1.5, the range of AOWS (Berman et al. 2020, experiments)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthGroup:
    """Channel counts that must be equal, and the values that they may take.

    Attributes:
        name: The first of its fields: `stem`, `blocks.1.0`, `blocks.1.0 expanded`, `head`.
        fields: The architecture's fields that count its channels.
        base: Channels of the original network.
        widths: What it may be, ascending; `base` is among them.
    """

    name: str
    fields: tuple[WidthField, ...]
    base: int
    widths: tuple[int, ...]


class WidthSpace:
    """Every network that has the operators of one architecture, at other widths; a `SearchSpace`.

    Make one with `from_arch`. Decoded architectures have one block to a stage (`Arch.normal()` writes them shorter).

    Args:
        arch: The original network, one block to a stage.
        groups: Groups of tied channels in the order of the network.
        factors: Runs of operators with the groups that their shapes depend on.
    """

    def __init__(self, arch: Arch, groups: tuple[WidthGroup, ...], factors: tuple[Factor, ...]) -> None:
        self.arch = arch
        self.groups = groups
        self.factors = factors
        self.knobs = tuple([Knob(group.fields[0].path, group.widths) for group in groups])

    @classmethod
    def from_arch(
        cls, arch: Arch, ratios: Sequence[float] = RATIOS, divisor: int = 8, *, fixed: Sequence[str] = ()
    ) -> WidthSpace:
        """Finds the groups of tied channels of an architecture and the factor graph that its operators make.

        Channels are tied by residual sums, depthwise convolutions, squeeze-excite gates and concatenations, as the
        operators say. What follows from other widths (a gate's inner width, a bottleneck's) stays with its rule. The
        expanded channels of an inverted bottleneck are a group of their own, so is the head's hidden layer.

        Args:
            arch: Any architecture.
            ratios: Widths relative to the original, rounded to multiples of `divisor`. The original is always among
                them. Widths that make no network (group sizes that do not divide them), or with which an operator of
                the original would vanish, are left out.
            divisor: What widths are multiples of.
            fixed: Names of groups that keep their width.

        Raises:
            ConfigError: All faults: bad ratios, a bad divisor, unknown names, nothing left to choose.
        """
        ratios = [ratio.item() if isinstance(ratio, np.generic) else ratio for ratio in ratios]
        divisor = divisor.item() if isinstance(divisor, np.generic) else divisor
        _check_asked(ratios, divisor, fixed)
        arch = one_block_stages(arch)
        graph = arch.lower()
        tied = _tied(arch, graph)
        opened = _opened(tied, fixed)
        grids = [_grid(base, ratios, divisor) for _, base in opened]
        _without_lost_projections(arch, [fields for fields, _ in opened], grids)
        base_print = footprint(graph)
        networks = [
            dict(_networks(arch, fields, [width for width in grid if width != base], base_print))
            for (fields, base), grid in zip(opened, grids, strict=True)
        ]
        _without_misfits(networks, base_print)
        groups, touched = [], []
        for (fields, base), prints in zip(opened, networks, strict=True):
            if prints:
                widths = tuple(sorted([base, *prints]))
                groups.append(WidthGroup(name=fields[0].label, fields=fields, base=base, widths=widths))
                touched.append(base_print.changed(prints.values()))
        if not groups:
            raise ConfigError([f"no width of {len(tied)} groups can change: the ratios leave only the original widths"])
        return cls(arch, tuple(groups), find_factors(graph, touched))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of widths of each group."""
        return tuple([len(group.widths) for group in self.groups])

    def size(self) -> int:
        """Number of networks."""
        return math.prod(self.sizes)

    @property
    def widths(self) -> tuple[tuple[int, ...], ...]:
        """The widths of each group."""
        return tuple([group.widths for group in self.groups])

    @cached_property
    def base(self) -> Genome:
        """The genome of the original network."""
        return tuple([group.widths.index(group.base) for group in self.groups])

    def widths_of(self, genome: Genome) -> tuple[int, ...]:
        """Returns the channels of each group.

        Raises:
            ShapeError: If the genome has the wrong length or a choice is out of range.
        """
        checked = self.canonical(genome)
        return tuple([group.widths[choice] for group, choice in zip(self.groups, checked, strict=True)])

    def genome_of(self, widths: Sequence[int] | Mapping[str, int]) -> Genome:
        """Returns the genome of channel counts, one per group or by the group's name (others at the original).

        Raises:
            ConfigError: All faults: unknown names, widths that a group may not take.
        """
        asked = self._by_group(widths)
        faults = [
            f"{group.name}: {width} channels are none of {list(group.widths)}"
            for group, width in zip(self.groups, asked, strict=True)
            if width not in group.widths
        ]
        if faults:
            raise ConfigError(faults)
        return tuple([group.widths.index(width) for group, width in zip(self.groups, asked, strict=True)])

    def decode(self, genome: Genome) -> Arch:
        """Returns the architecture of a genome, one block to a stage.

        Raises:
            ShapeError: If the genome has the wrong length or a choice is out of range.
        """
        return self.at(self.widths_of(genome))

    def at(self, widths: Sequence[int] | Mapping[str, int]) -> Arch:
        """Returns the network at any widths, those outside the space included; arguments as for `genome_of`.

        Raises:
            ConfigError: If a name is unknown or the number of widths is wrong.
            ShapeError: If the widths make no such network.
        """
        chosen: dict[WidthField, int] = {}
        for group, width in zip(self.groups, self._by_group(widths), strict=True):
            chosen |= dict.fromkeys(group.fields, width)
        try:
            return with_widths(self.arch, chosen)
        except ValueError as error:
            raise ShapeError(f"widths {list(chosen.values())}: {error}") from None

    def canonical(self, genome: Genome) -> Genome:
        """Returns the genome, checked: different ones decode to different architectures.

        Raises:
            ShapeError: If the genome has the wrong length or a choice is out of range.
        """
        sizes = self.sizes
        if len(genome) != len(sizes):
            raise ShapeError(f"a genome of {self!r} has {len(sizes)} positions, got {len(genome)}")
        for choice, group in zip(genome, self.groups, strict=True):
            if not 0 <= choice < len(group.widths):
                raise ShapeError(f"{group.name}: choice {choice} is not in 0 … {len(group.widths) - 1}")
        return tuple([int(choice) for choice in genome])

    def sample_genome(self, rng: np.random.Generator) -> Genome:
        """Draws a genome, every position uniform and independent."""
        return random_genome(self.sizes, rng)

    def to_config(self) -> dict[str, object]:
        """Plain data that gives genomes their meaning."""
        groups = [{"fields": [list(x.path) for x in g.fields], "widths": list(g.widths)} for g in self.groups]
        return {"kind": "widths", "arch": config.to_config(self.arch, defaults=False), "groups": groups}

    def digest(self) -> str:
        """`sha256:…` over the original network and the groups with their widths."""
        return config.digest(self.to_config())

    def __repr__(self) -> str:
        return f"WidthSpace({len(self.groups)} groups, {len(self.factors)} factors, {self.size():.3g} networks)"

    def _by_group(self, widths: Sequence[int] | Mapping[str, int]) -> list[int]:
        names = [group.name for group in self.groups]
        if isinstance(widths, Mapping):
            faults = [f"no group is called {x!r}{suggestion(x, names)}" for x in widths if x not in names]
            asked = [int(widths.get(group.name, group.base)) for group in self.groups]
        else:
            faults = [] if len(widths) == len(names) else [f"{len(widths)} widths for {len(names)} groups"]
            asked = [int(width) for width in widths]
        if faults:
            raise ConfigError(faults)
        return asked


def _check_asked(ratios: Sequence[float], divisor: int, fixed: Sequence[str]) -> None:
    faults = [f"ratios: {ratio!r} must be a positive finite number" for ratio in ratios if not _is_ratio(ratio)]
    faults += [] if len(ratios) else ["ratios: at least one is needed"]
    if isinstance(divisor, bool) or not isinstance(divisor, int) or divisor < 1:
        faults.append(f"divisor (={divisor!r}) must be a positive whole number")
    if isinstance(fixed, str):
        faults.append(f"fixed (={fixed!r}) must be a list of groups' names")
    if faults:
        raise ConfigError(faults)


def _opened(
    tied: Sequence[tuple[tuple[WidthField, ...], int]], fixed: Sequence[str]
) -> list[tuple[tuple[WidthField, ...], int]]:
    """Returns the groups that are not fixed."""
    names = [fields[0].label for fields, _ in tied]
    known = f"; groups: {', '.join(names)}"
    faults = [f"fixed: no group is called {x!r}{suggestion(x, names)}{known}" for x in fixed if x not in names]
    if faults:
        raise ConfigError(faults)
    return [pair for pair in tied if pair[0][0].label not in fixed]


def _is_ratio(ratio: object) -> bool:
    return isinstance(ratio, int | float) and not isinstance(ratio, bool) and math.isfinite(ratio) and ratio > 0


def _grid(base: int, ratios: Sequence[float], divisor: int) -> list[int]:
    return sorted({base, *[make_divisible(base * ratio, divisor) for ratio in ratios]})


def _tied(arch: Arch, graph: Graph) -> list[tuple[tuple[WidthField, ...], int]]:
    """Returns fields whose channels are tied, and their value, without those that something else decides."""
    ties = channel_ties(graph)
    found: dict[int, list[tuple[WidthField, int]]] = {}
    for field, channels, tensor in width_fields(arch, graph):
        tied = ties.class_of(tensor)
        if tied is not None and tied not in ties.bound:
            found.setdefault(tied, []).append((field, channels))
    return [(tuple([field for field, _ in pairs]), pairs[0][1]) for pairs in found.values()]


def _without_lost_projections(
    arch: Arch, groups: Sequence[Sequence[WidthField]], grids: Sequence[list[int]]
) -> None:
    """Removes widths from grids with which a shortcut's projection would have equal channels on both sides."""
    entering = entering_channels(arch)
    for index, stage in enumerate(arch.stages):
        if not projects_at_full_size(stage.block, entering[index]):
            continue
        sides = [(index - 1, entering[index]), (index, stage.block.out_channels)]  # stage −1 is the stem
        places = [
            next((n for n, fields in enumerate(groups) if (at, "out_channels") in {x[:2] for x in fields}), None)
            for at, _ in sides
        ]
        for own, (_, other) in zip(places[::-1], sides, strict=True):
            if own is not None:
                grids[own][:] = [width for width in grids[own] if width != other]
        if places[0] is not None and places[1] is not None:
            taken = set(grids[places[0]])
            grids[places[1]][:] = [width for width in grids[places[1]] if width not in taken]


def _networks(
    arch: Arch, fields: Sequence[WidthField], widths: Sequence[int], original: Footprint
) -> Iterator[tuple[int, Footprint]]:
    """Yields the widths at which the original's operators all stay, and what they then look like."""
    for width in widths:
        try:
            found = footprint(with_widths(arch, dict.fromkeys(fields, width)).lower())
        except (ShapeError, ValueError):
            continue
        if found.names == original.names:
            yield width, found


def _without_misfits(networks: Sequence[dict[int, Footprint]], original: Footprint) -> None:
    """Removes widths that set a number of groups by which a convolution's input at another width is not divisible."""
    grouped = {
        index
        for found in (original, *[x for prints in networks for x in prints.values()])
        for index, op in enumerate(found.ops)
        if op.kind == "conv2d" and op.groups > 1
    }
    for index in sorted(grouped):
        own = original.ops[index]
        entering = [{x.ops[index].in_shape[0] for x in prints.values()} - {own.in_shape[0]} for prints in networks]
        for place, prints in enumerate(networks):
            inputs = {own.in_shape[0]}.union(*[found for at, found in enumerate(entering) if at != place])
            for width in [w for w, x in prints.items() if x.ops[index].groups != own.groups]:
                if any(channels % prints[width].ops[index].groups for channels in inputs):
                    del prints[width]


__all__ = ["RATIOS", "WidthGroup", "WidthSpace"]

