"""Batches of training images: order and augmentation are functions of (seed, epoch), so any step can be made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accelzoo.draw import generator
from accelzoo.tasks.augment import Augment
from accelzoo.tasks.data import Split
from accelzoo.tasks.transforms import Draws, draw, erase_boxes, gather

_ORDER_STREAM, _AUGMENT_STREAM = 1, 2
_FREE_SHARE = 0.5  # of the GPU's free memory that the images may take


@dataclass(frozen=True, slots=True, eq=False)
class _Epoch:
    number: int
    order: Tensor
    draws: Draws


class Batches:
    """Serves normalised, augmented batches of a split that lies in memory, on the device when it fits there.

    Args:
        split: The training images.
        augment: Fully resolved.
        batch_size: Images per step over all processes.
        seed: Of order and augmentation.
        device: Where batches are wanted.
        shard: This process's number and the number of processes; a process gets every n-th image of each batch.
    """

    def __init__(
        self,
        split: Split,
        augment: Augment,
        batch_size: int,
        seed: int,
        device: torch.device,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._size = split.input_size
        self._augment = augment
        self._seed = seed
        self._device = device
        self._shard = shard
        self._count = len(split)
        self.batch_size = min(batch_size, self._count)
        self.steps_per_epoch = self._count // self.batch_size
        pixels = torch.from_numpy(split.images).permute(0, 2, 3, 1).reshape(-1, self._size[0])
        labels = torch.from_numpy(split.labels)
        # A set too large for the device stays here; its batches are gathered here and sent over one by one.
        self._home = device if _fits(pixels, device) else torch.device("cpu")
        self._pixels, self._labels = pixels.to(self._home), labels.to(self._home)
        std = torch.tensor(split.normalization.std, device=device)
        self._scale = (1 / (255 * std)).view(1, -1, 1, 1)
        self._offset = (torch.tensor(split.normalization.mean, device=device) / std).view(1, -1, 1, 1)
        self._epoch: _Epoch | None = None

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the batch of a step.

        Returns:
            Images, float32 (batch, channels, height, width) in channels-last memory, and labels, int64 (batch,).
        """
        epoch = self._plan(step // self.steps_per_epoch)
        start = step % self.steps_per_epoch * self.batch_size
        rank, world = self._shard
        rows = (start + rank, start + self.batch_size, world)
        indices, draws = epoch.order[slice(*rows)], epoch.draws.rows(*rows)
        pixels = gather(self._pixels, self._size, indices, draws).to(self._device, non_blocking=True)
        labels = self._labels[indices].to(self._device, non_blocking=True)
        images = pixels.float().mul_(self._scale).sub_(self._offset)
        if draws.boxes is not None:
            images = erase_boxes(images, draws.boxes.to(self._device))
        return images, labels

    def _plan(self, number: int) -> _Epoch:
        if self._epoch is None or self._epoch.number != number:
            words = generator(self._seed, _ORDER_STREAM, number).bit_generator.random_raw(self._count)
            order = torch.from_numpy(np.argsort(words, kind="stable"))
            random = torch.Generator().manual_seed(derive_seed(self._seed, _AUGMENT_STREAM, number))
            draws = draw(self._augment, self._count, self._size[1], self._size[2], random)
            self._epoch = _Epoch(number, order.to(self._home), draws.to(self._home))
        return self._epoch


def derive_seed(*entropy: int) -> int:
    """Mixes integers into one seed of 63 bits for a torch generator."""
    return int(np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _fits(pixels: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return pixels.numel() * pixels.element_size() < _FREE_SHARE * free_bytes
