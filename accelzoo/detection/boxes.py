"""Anchor boxes, and the numbers by which boxes are predicted relative to them.

Boxes are `(left, top, right, bottom)` in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from accelzoo.detection.geometry import Level

MOST_GROWTH = math.log(1000 / 16)
"""Largest logarithm of a side's growth; above, exponentials would overflow (the limit of torchvision's detectors)."""


def anchor_boxes(levels: Sequence[Level], image: tuple[int, int]) -> torch.Tensor:
    """Boxes around the cells' middles: by level, then by which of a cell's boxes it is, then by row, then by column.

    Args:
        levels: The levels; a cell is as large as its share of the image, so that all middles lie inside.
        image: Height and width of the input.

    Returns:
        `(boxes, 4)`.
    """
    parts = []
    for level in levels:
        y = (torch.arange(level.height, dtype=torch.float64) + 0.5) * (image[0] / level.height)
        x = (torch.arange(level.width, dtype=torch.float64) + 0.5) * (image[1] / level.width)
        middles = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(1, -1, 2)
        halves = torch.tensor(level.boxes, dtype=torch.float64)[:, None] / 2
        parts.append(torch.cat((middles - halves, middles + halves), dim=-1).reshape(-1, 4))
    return torch.cat(parts).float()


def box_strides(levels: Sequence[Level]) -> torch.Tensor:
    """Stride of the level of each box, `(boxes,)`."""
    return torch.cat([torch.full((level.box_count,), float(level.stride)) for level in levels])


def decode_deltas(deltas: torch.Tensor, anchors: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Boxes from offsets of an anchor's middle and logarithms of its growth (Girshick et al. 2014, App. C).

    Args:
        deltas: Predicted `(…, 4)`: x, y, width, height, each a multiple of its weight.
        anchors: `(…, 4)`.
        weights: What the four are divided by.
    """
    dx, dy, dw, dh = (deltas / deltas.new_tensor(weights)).unbind(-1)
    left, top, right, bottom = anchors.unbind(-1)
    width, height = right - left, bottom - top
    x, y = left + width / 2 + dx * width, top + height / 2 + dy * height
    half_width, half_height = (
        side * grown.clamp(max=MOST_GROWTH).exp() / 2 for side, grown in ((width, dw), (height, dh))
    )
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=-1)


def decode_distances(distances: torch.Tensor, anchors: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Boxes from the distances of an anchor's middle to the sides (Tian et al. 2019, eq. 1).

    Args:
        distances: `(…, 4)` to the left, top, right and bottom side in strides; below 0 counts as 0.
        anchors: `(…, 4)`.
        strides: `(…,)` pixels.
    """
    left, top, right, bottom = (distances.relu() * strides.unsqueeze(-1)).unbind(-1)
    x, y = (anchors[..., 0] + anchors[..., 2]) / 2, (anchors[..., 1] + anchors[..., 3]) / 2
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=-1)


def flat(maps: Sequence[torch.Tensor], values: int) -> torch.Tensor:
    """Joins `(batch, boxes · values, height, width)` maps of all levels to `(batch, values, all boxes)`.

    Boxes are in the order of `anchor_boxes`, in which whole rows of cells are copied at a time: bringing the values of
    one box together would take longer than all else.
    """
    return torch.cat([x.unflatten(1, (-1, values)).transpose(1, 2).flatten(2) for x in maps], dim=2)
