"""Decoded images and masks, kept in memory up to a limit, no larger than training needs them."""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from accelzoo.tasks.segmentation.data import SegmentationSplit

_LIMIT_BYTES = 1 << 30

Sample = tuple[Tensor, Tensor]
"""An image, uint8 (3, height, width), and its labels, uint8 (1, height, width)."""


class Samples:
    """Serves images with their masks, decoded when first asked for and remembered while there is room.

    Args:
        split: What to serve.
        longest: Longer side, in pixels, that images and masks are shrunk to.
        limit_bytes: What may be remembered; images beyond it are decoded each time.
    """

    def __init__(self, split: SegmentationSplit, longest: int, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._split, self._longest, self._left_bytes = split, longest, limit_bytes
        self._known: dict[int, Sample] = {}
        self._lock = Lock()

    def get(self, index: int) -> Sample:
        """Returns an image, uint8 (3, height, width), and its labels, uint8 (1, height, width); do not change them."""
        known = self._known.get(index)
        if known is not None:
            return known
        sample = self._decode(index)
        size_bytes = sum(part.numel() for part in sample)
        with self._lock:
            if index not in self._known and size_bytes <= self._left_bytes:
                self._known[index] = sample
                self._left_bytes -= size_bytes
        return sample

    def _decode(self, index: int) -> Sample:
        image, mask = self._split.image(index), self._split.mask(index)
        height, width = mask.shape
        if max(height, width) > self._longest:
            scale = self._longest / max(height, width)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = torch.tensor(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)))
            labels = torch.tensor(np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)))
        else:
            picture, labels = torch.tensor(image), torch.tensor(mask)
        return picture.permute(2, 0, 1), labels[None]
