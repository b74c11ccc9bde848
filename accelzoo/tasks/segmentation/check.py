"""Reads every image and mask once: what is broken is named, and what the masks hold is counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.segmentation.data import SegmentationRecord
from accelzoo.tasks.segmentation.masks import IGNORE, MaskCoding, read_mask
from accelzoo.tasks.segmentation.pictures import decode_picture, read_bytes
from accelzoo.tasks.segmentation.raw import Pair

_THREADS = 4
_SIXTEENTH = 4  # every fourth row and column: statistics need no more

Checked = tuple[SegmentationRecord, NDArray[np.int64]]


def check_pairs(
    pairs: Sequence[Pair], coding: MaskCoding, classes: int
) -> tuple[list[SegmentationRecord], list[str], NDArray[np.int64]]:
    """Reads each pair.

    Args:
        pairs: Images with masks.
        coding: What mask files hold.
        classes: How many there are.

    Returns:
        Records of the good pairs, in order; one located reason for each bad pair; and how often each level occurs in a
        sixteenth of the good images' pixels, int64 (3, 256).
    """

    def read(pair: Pair) -> Checked | str:
        try:
            return _check(pair, coding, classes)
        except DataError as error:
            return f"{pair.id}: {error}"

    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(read, pairs))
    good = [result for result in results if not isinstance(result, str)]
    levels = np.zeros((3, 256), dtype=np.int64)
    for _, seen in good:
        levels += seen
    return [record for record, _ in good], [result for result in results if isinstance(result, str)], levels


def normalization_of(levels: NDArray[np.int64]) -> Normalization:
    """Returns mean and standard deviation per channel, on a 0 … 1 scale, of level counts (3, 256)."""
    scale = np.arange(256, dtype=np.float64) / 255
    share = levels / levels.sum(1, keepdims=True)
    mean = share @ scale
    std = [max(float(row @ (scale - centre) ** 2) ** 0.5, 1 / 255) for row, centre in zip(share, mean, strict=True)]
    return Normalization(mean=tuple(round(float(value), 6) for value in mean), std=tuple(round(v, 6) for v in std))


def _check(pair: Pair, coding: MaskCoding, classes: int) -> Checked:
    if pair.mask is None:
        raise DataError(f"{pair.image if isinstance(pair.image, Path) else 'array'}: has no mask")
    if isinstance(pair.image, Path):
        content = read_bytes(pair.image)
        image, where = decode_picture(content, pair.image), str(pair.image)
    else:
        image, content, where = pair.image, pair.image.tobytes(), "array"
    mask = read_mask(pair.mask, coding) if isinstance(pair.mask, Path) else pair.mask
    if mask.shape != image.shape[:2]:
        shapes = f"{mask.shape[1]} × {mask.shape[0]} pixels, the image {image.shape[1]} × {image.shape[0]}"
        raise DataError(f"{pair.mask if isinstance(pair.mask, Path) else where}: the mask has {shapes}")
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    if not counts[:classes].any():
        raise DataError(f"{where}: nothing is labelled, the whole mask is ignored")
    hasher = hashlib.sha256(repr(image.shape).encode())
    hasher.update(content)
    hasher.update(mask.tobytes())
    record = SegmentationRecord(
        id=pair.id,
        image=pair.image,
        mask=pair.mask,
        height=mask.shape[0],
        width=mask.shape[1],
        pixels=counts[:classes].astype(np.int64),
        sha256=hasher.hexdigest(),
    )
    sample = image[::_SIXTEENTH, ::_SIXTEENTH]
    levels = np.stack([np.bincount(sample[..., channel].ravel(), minlength=256) for channel in range(3)])
    return record, levels.astype(np.int64)
