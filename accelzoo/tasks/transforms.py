"""Random crop, horizontal flip and erasing of whole batches: one gather per batch, drawn from an explicit generator."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from accelzoo.tasks.augment import Augment

_ERASE_AREA = (0.02, 0.33)
_ERASE_ASPECT = (0.3, 3.3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """The random part of augmentation, one row per image.

    Args:
        shifts: int64 (images, 2), rows and columns to move by.
        flips: bool (images,).
        boxes: int64 (images, 4), top, bottom, left, right to erase (empty box: nothing); None: erasing is off.
        padding: As in `Augment`.
    """

    shifts: Tensor
    flips: Tensor
    boxes: Tensor | None
    padding: Literal["reflect", "zero"]

    def rows(self, start: int, stop: int, step: int = 1) -> Draws:
        """Returns the draws of images start … stop − 1, every `step`-th."""
        part = slice(start, stop, step)
        boxes = None if self.boxes is None else self.boxes[part]
        return replace(self, shifts=self.shifts[part], flips=self.flips[part], boxes=boxes)

    def to(self, device: torch.device) -> Draws:
        """Returns the same on `device`."""
        boxes = None if self.boxes is None else self.boxes.to(device)
        return replace(self, shifts=self.shifts.to(device), flips=self.flips.to(device), boxes=boxes)


def draw(augment: Augment, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draws the changes for `count` images from `generator` (on the CPU, so equal for every device).

    Args:
        augment: Fully resolved (see `Augment.resolved`).
        count: Number of images.
        height: Of each image, in pixels.
        width: Of each image, in pixels.
        generator: A CPU generator.
    """
    reach = augment.crop_padding or 0
    shifts = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < (0.5 if augment.flip else 0.0)
    boxes = _draw_boxes(augment.erase, count, height, width, generator) if augment.erase > 0 else None
    return Draws(shifts=shifts, flips=flips, boxes=boxes, padding=augment.padding)


def gather(pixels: Tensor, size: tuple[int, int, int], indices: Tensor, draws: Draws) -> Tensor:
    """Picks images out of a set and shifts and flips them, in one gather.

    Args:
        pixels: (images · height · width, channels), any dtype: the set in channels-last order.
        size: (channels, height, width) of one image.
        indices: int64 (batch,), which images.
        draws: One row per image of the batch.

    Returns:
        (batch, channels, height, width) in channels-last memory, dtype of `pixels`.
    """
    channels, height, width = size
    device = pixels.device
    rows = torch.arange(height, device=device) + draws.shifts[:, :1]
    columns = torch.arange(width, device=device) + draws.shifts[:, 1:]
    columns = torch.where(draws.flips[:, None], columns.flip(1), columns)
    row_sources, column_sources = _reflect(rows, height), _reflect(columns, width)
    sources = (indices[:, None, None] * height + row_sources[:, :, None]) * width + column_sources[:, None, :]
    picked = pixels.index_select(0, sources.view(-1)).view(len(indices), height, width, channels)
    if draws.padding == "zero":
        inside = (rows == row_sources)[:, :, None] & (columns == column_sources)[:, None, :]
        picked *= inside[..., None]
    return picked.permute(0, 3, 1, 2)


def erase_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Sets each image's box to zero, in place; on normalised images zero is the mean colour.

    Args:
        images: Float (batch, channels, height, width).
        boxes: int64 (batch, 4), top, bottom, left, right.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= boxes[:, 0:1]) & (rows < boxes[:, 1:2])
    in_columns = (columns >= boxes[:, 2:3]) & (columns < boxes[:, 3:4])
    return images.masked_fill_((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0)


def _reflect(positions: Tensor, size: int) -> Tensor:
    positions = positions.abs()
    return torch.where(positions >= size, 2 * size - 2 - positions, positions)


def _draw_boxes(probability: float, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    uniform = torch.rand((5, count), generator=generator, dtype=torch.float64)
    area = (_ERASE_AREA[0] + (_ERASE_AREA[1] - _ERASE_AREA[0]) * uniform[1]) * height * width
    low, high = (math.log(bound) for bound in _ERASE_ASPECT)
    aspect = torch.exp(low + (high - low) * uniform[2])
    box_height = (area * aspect).sqrt().round().clamp(1, height)
    box_width = (area / aspect).sqrt().round().clamp(1, width)
    top = (uniform[3] * (height - box_height + 1)).floor()
    left = (uniform[4] * (width - box_width + 1)).floor()
    boxes = torch.stack([top, top + box_height, left, left + box_width], dim=1).long()
    return boxes * (uniform[0] < probability)[:, None]
