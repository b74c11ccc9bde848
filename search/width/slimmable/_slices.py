"""Which part of every tensor of the largest network a smaller one has, without building the smaller one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from timm.layers import BatchNormAct2d
from torch import nn

from accelzoo.errors import ConfigError
from accelzoo.search.space import Genome
from accelzoo.search.width.slimmable._channels import ChannelTable, inputs_of
from accelzoo.search.width.slimmable._sites import shapes_of

Size = int | ChannelTable
Shape = tuple[int, ...]


class Slices:
    """Shapes of a network's tensors as functions of the widths, by look-up.

    Args:
        network: The largest network.
        sites: Normalisation → the operator that says how many channels it has (see `mask_sites`).
        tables: See `channel_tables`.
    """

    def __init__(self, network: nn.Module, sites: Mapping[str, str], tables: Mapping[str, ChannelTable]) -> None:
        self._sizes: dict[str, tuple[Size, ...]] = dict(shapes_of(network).items())
        self._grouped: list[tuple[nn.Conv2d, int, Size]] = []
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                shape = module.weight.shape
                out = tables.get(name, int(shape[0]))
                grouped = isinstance(module, nn.Conv2d) and module.groups > 1
                into = int(shape[1]) if grouped else tables.get(inputs_of(name), int(shape[1]))
                self._set(name, weight=(out, into, *shape[2:]), bias=(out,))
                if isinstance(module, nn.Conv2d) and grouped:
                    self._grouped.append((module, module.out_channels // module.groups, out))
            elif isinstance(module, BatchNormAct2d):
                channels = tables.get(sites[name], module.num_features)
                self._set(name, **dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (channels,)))

    def _set(self, module: str, **sizes: tuple[Size, ...]) -> None:
        for tensor, size in sizes.items():
            if f"{module}.{tensor}" in self._sizes:
                self._sizes[f"{module}.{tensor}"] = size

    def shapes(self, genome: Genome) -> dict[str, Shape]:
        """Returns the shape of every tensor of a network."""
        row = np.array([genome], np.int64)
        return {name: tuple([_size(size, row) for size in sizes]) for name, sizes in self._sizes.items()}

    def check(self, genome: Genome, network: nn.Module) -> None:
        """Compares with the network as it is built.

        Raises:
            ConfigError: All tensors that have another shape there.
        """
        said, built = self.shapes(genome), shapes_of(network)
        if faults := [f"{name}: of {built[name]}, not {said[name]}" for name in said if said[name] != built[name]]:
            raise ConfigError(faults)

    @contextmanager
    def grouped(self, genome: Genome) -> Iterator[None]:
        """Lets the largest network's depthwise and grouped convolutions take the tensors of a network meanwhile."""
        row, before = np.array([genome], np.int64), [module.groups for module, _, _ in self._grouped]
        try:
            for module, out_of_each, out in self._grouped:
                module.groups = _size(out, row) // out_of_each
            yield
        finally:
            for (module, _, _), groups in zip(self._grouped, before, strict=True):
                module.groups = groups


def _size(size: Size, row: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
    return size if isinstance(size, int) else int(size.of(row)[0])
