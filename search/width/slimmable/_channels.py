"""How many channels every tensor of a network has, as tables over the widths of its groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.space import Genome
from accelzoo.search.width.space import WidthSpace

Indices = npt.NDArray[np.int64]
_CHECKED_GENOMES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelTable:
    """The channels of an operator's output, or of its input.

    Attributes:
        groups: The groups that decide, ascending.
        channels: Of every combination of their widths, int64 `(choices of the groups…,)`.
    """

    groups: tuple[int, ...]
    channels: Indices

    def of(self, genomes: Indices) -> Indices:
        """Returns the channels in networks `(n, groups of the space)`: int64 `(n,)`."""
        found: Indices = self.channels[tuple([genomes[:, group] for group in self.groups])]
        return found


def largest_genome(space: WidthSpace) -> Genome:
    """Returns the genome of the network that has every group at its largest width."""
    return tuple([size - 1 for size in space.sizes])


def smallest_genome(space: WidthSpace) -> Genome:
    """Returns the genome of the network that has every group at its smallest width."""
    return (0,) * len(space.sizes)


def checked_genomes(space: WidthSpace) -> Iterator[Genome]:
    """Yields the networks on which what holds for a whole space is tried: the smallest, and some at random."""
    yield smallest_genome(space)
    rng = draw.generator(0)
    for _ in range(_CHECKED_GENOMES):
        yield space.sample_genome(rng)


def channel_tables(space: WidthSpace) -> dict[str, ChannelTable]:
    """Finds what decides the channels of every operator, rules such as a gate's inner width included.

    Args:
        space: The widths.

    Returns:
        Operator → the table of its output, and `inputs_of` it → that of its input, for those whose channels are not the
        same in all networks.

    Raises:
        ConfigError: If some channels follow from widths in a way that changing one group at a time does not show.
    """
    largest = largest_genome(space)
    base = _channels(space, largest)
    deciding: dict[str, set[int]] = {}
    for group, size in enumerate(space.sizes):
        for choice in range(size - 1):
            for name, channels in _channels(space, _with(largest, {group: choice})).items():
                if channels != base[name]:
                    deciding.setdefault(name, set()).add(group)
    tables: dict[str, ChannelTable] = {}
    by_groups: dict[tuple[int, ...], list[str]] = {}
    for name, groups in deciding.items():
        by_groups.setdefault(tuple(sorted(groups)), []).append(name)
    for scope, names in by_groups.items():
        shape = [space.sizes[group] for group in scope]
        found = [
            _channels(space, _with(largest, dict(zip(scope, choices, strict=True)))) for choices in np.ndindex(*shape)
        ]
        for name in names:
            values = np.array([channels[name] for channels in found], np.int64).reshape(shape)
            tables[name] = ChannelTable(groups=scope, channels=values)
    _check(space, tables, base)
    return tables


def inputs_of(name: str) -> str:
    """Returns what the table of an operator's input is called."""
    return f"{name} <-"


def _channels(space: WidthSpace, genome: Genome) -> dict[str, int]:
    ops = space.decode(genome).lower().ops
    return {op.name: op.out_shape[0] for op in ops} | {inputs_of(op.name): op.in_shape[0] for op in ops}


def _with(genome: Genome, changes: Mapping[int, int]) -> Genome:
    return tuple([changes.get(group, choice) for group, choice in enumerate(genome)])


def _check(space: WidthSpace, tables: Mapping[str, ChannelTable], base: Mapping[str, int]) -> None:
    for genome in checked_genomes(space):
        matrix = np.array([genome], np.int64)
        for name, channels in _channels(space, genome).items():
            said = int(tables[name].of(matrix)[0]) if name in tables else base[name]
            if said != channels:
                raise ConfigError([f"{name}: widths together decide its channels ({channels}, alone {said})"])
