"""Bilinear resizing as two products with small matrices: on a GPU, unlike `interpolate`, the gradient is repeatable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bilinear_matrix(source: int, size: int) -> Tensor:
    """Returns the matrix, float32 (size, source), that brings a line of `source` values to `size`.

    Centres of end pixels stay half a pixel from the border, as in `interpolate(mode="bilinear")`.
    """
    return F.interpolate(torch.eye(source)[None], size, mode="linear")[0].T


def resize_maps(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Returns `rows` · map · `columns`ᵀ for each map.

    Args:
        maps: Float (…, height, width).
        rows: (new height, height).
        columns: (new width, width).
    """
    return rows.to(maps) @ (maps @ columns.to(maps).T)
