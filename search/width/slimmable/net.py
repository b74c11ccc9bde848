"""One network that holds all networks of a width space: a narrower one is its first channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from accelzoo.build import build_classifier
from accelzoo.errors import ShapeError
from accelzoo.search.space import Genome
from accelzoo.search.width.slimmable._channels import (
    ChannelTable,
    channel_tables,
    checked_genomes,
    largest_genome,
    smallest_genome,
)
from accelzoo.search.width.slimmable._sites import check_slices, mask_sites, skeleton, sliced
from accelzoo.search.width.slimmable._slices import Shape, Slices
from accelzoo.search.width.space import WidthSpace


class _Masks:
    """Channel masks of the images that are running through a network; callable as the hook of a module."""

    def __init__(self) -> None:
        self.current: list[Tensor] | None = None

    def hook(self, index: int) -> _Mask:
        return _Mask(self, index)


class _Mask:
    """Keeps the channels of each image's network: `(batch, channels, height, width)` · mask."""

    def __init__(self, masks: _Masks, index: int) -> None:
        self._masks, self._index = masks, index

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        current = self._masks.current
        return output if current is None else output * current[self._index].to(output.dtype)


class _Parts(torch.autograd.Function):
    """The first elements of each dimension of many tensors, in memory of their own.

    As one operation it takes half of the time of a slice per dimension and tensor, forwards and backwards.
    """

    @staticmethod
    def forward(ctx: Any, shapes: Sequence[Shape], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.shapes, ctx.wholes = shapes, [tensor.shape for tensor in tensors]
        return tuple(
            [
                sliced(tensor, shape).clone(memory_format=torch.contiguous_format)
                for tensor, shape in zip(tensors, shapes, strict=True)
            ]
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None]
        for gradient, shape, whole in zip(gradients, ctx.shapes, ctx.wholes, strict=True):
            grown = gradient.new_zeros(whole)
            sliced(grown, shape).copy_(gradient)
            found.append(grown)
        return tuple(found)


class SlimmableNet(nn.Module):
    """The largest network of a width space, which computes any of them, another one for every image if wanted.

    A network is its first channels everywhere (Yu et al. 2019, slimmable networks, §3). `forward` computes the largest
    and masks, behind every normalisation with its activation, the channels that an image's network does not have, as
    in AOWS (Berman et al. 2020). Groups tied by residual sums, depthwise convolutions and gates are masked alike, so a
    masked network computes what the sliced one does. In training, the statistics of a channel are taken over all
    images of a batch; those kept for evaluation fit no network until `recalibrate` measures them for one.

    Args:
        space: The widths.
        generator: Draws the weights; torch's default generator when None.

    Attributes:
        space: The widths.
        network: The largest network.
        largest: Its genome.
        smallest: The genome of the smallest network.

    Raises:
        TypeError: If the architecture does not classify.
        ConfigError: If smaller networks of the space are no parts of the largest: channels in groups of another size,
            shuffled channels, attention.
    """

    def __init__(self, space: WidthSpace, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.space = space
        self.largest, self.smallest = largest_genome(space), smallest_genome(space)
        arch = space.decode(self.largest)
        self.network = build_classifier(arch, generator)
        self.num_classes = self.network.num_classes
        genomes = list(checked_genomes(space))
        for genome in genomes:
            check_slices(self.network, space.decode(genome))
        self._masks = _Masks()
        self._groups: list[tuple[int, ...]] = []
        self._ranges: list[int] = []
        sites, tables = mask_sites(self.network, arch.lower()), channel_tables(space)
        self._add_hooks(sites, tables)
        self._slices = Slices(self.network, sites, tables)
        for genome in genomes:
            self._slices.check(genome, skeleton(space.decode(genome)))

    def _add_hooks(self, sites: Mapping[str, str], tables: Mapping[str, ChannelTable]) -> None:
        modules = dict(self.network.named_modules())
        known: dict[tuple[tuple[int, ...], bytes], int] = {}
        for name, op in sites.items():
            if op not in tables:
                continue
            table = tables[op]
            key = (table.groups, table.channels.tobytes())
            if key not in known:
                known[key] = len(known)
                self._groups.append(table.groups)
                self._ranges.append(int(table.channels.max()))
                self.register_buffer(f"_channels{known[key]}", torch.from_numpy(table.channels), persistent=False)
            modules[name].register_forward_hook(self._masks.hook(known[key]))

    def forward(self, images: Tensor, genomes: Tensor | None = None) -> Tensor:
        """Classifies every image by a network of its own.

        Args:
            images: `(batch, channels, height, width)`.
            genomes: Choices, int64 `(batch, groups)`; None: all by the largest network.

        Returns:
            Logits `(batch, classes)`.

        Raises:
            ShapeError: If there are not as many genomes as images, or they do not fit the space.
        """
        if genomes is None:
            logits: Tensor = self.network(images)
            return logits
        self._masks.current = self._masks_of(self._checked(genomes, len(images)).to(images.device))
        try:
            logits = self.network(images)
        finally:
            self._masks.current = None
        return logits

    def forward_sliced(self, images: Tensor, genome: Genome) -> Tensor:
        """Classifies all images by one network, and computes no more than it has.

        Gradients, and in training the running statistics, go to the part of the largest network that it is.

        Args:
            images: `(batch, channels, height, width)`.
            genome: The network.

        Returns:
            Logits `(batch, classes)`.

        Raises:
            ShapeError: If the genome does not fit the space.
        """
        own = self.space.canonical(genome)
        shapes, whole = self._slices.shapes(own), dict(self.network.named_parameters())
        learnt = {name: tensor for name, tensor in whole.items() if tensor.requires_grad}
        rest = {**{name: whole[name] for name in whole.keys() - learnt.keys()}, **dict(self.network.named_buffers())}
        parts = {name: sliced(tensor, shapes[name]) for name, tensor in rest.items()}
        if learnt:
            found = _Parts.apply([shapes[name] for name in learnt], *learnt.values())
            parts |= dict(zip(learnt, found, strict=True))
        with self._slices.grouped(own):
            logits: Tensor = functional_call(self.network, parts, (images,))
        return logits

    def _masks_of(self, genomes: Tensor) -> list[Tensor]:
        masks = []
        for index, (groups, channels) in enumerate(zip(self._groups, self._ranges, strict=True)):
            table: Tensor = getattr(self, f"_channels{index}")
            kept = table[tuple([genomes[:, group] for group in groups])]
            numbers = torch.arange(channels, device=genomes.device)
            masks.append((numbers < kept[:, None])[:, :, None, None].float())
        return masks

    def _checked(self, genomes: Tensor, images: int) -> Tensor:
        sizes = torch.tensor(self.space.sizes, device=genomes.device)
        if genomes.shape != (images, len(sizes)) or genomes.dtype != torch.int64:
            raise ShapeError(
                f"genomes of shape {tuple(genomes.shape)} and type {genomes.dtype} must be int64 of shape "
                f"({images}, {len(sizes)}): one per image"
            )
        outside = ((genomes < 0) | (genomes >= sizes)).any(1)
        if genomes.device.type == "cpu" and bool(outside.any()):  # on a GPU, looking would make it wait
            last = [size - 1 for size in self.space.sizes]
            raise ShapeError(f"genome {genomes[outside][0].tolist()} must choose from 0 … {last}")
        return genomes
