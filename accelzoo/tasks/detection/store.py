"""Decoded images kept in memory, as many as fit, none larger than a network can use."""

from __future__ import annotations

import math
from threading import Lock

import numpy as np
from PIL import Image

from accelzoo.draw import generator, sample
from accelzoo.tasks.data import Normalization, measure_normalization
from accelzoo.tasks.detection.data import DetectionSplit, ImageRecord, Pixels
from accelzoo.tasks.detection.letterbox import Letterbox, scaled_size
from accelzoo.tasks.detection.pictures import decode

MEMORY_BYTES = 1 << 30
"""Bytes of decoded images that a store keeps unless told otherwise."""
_SAMPLE = 256  # images that statistics are measured on
_SAMPLE_SIDE = 128  # pixels
_SAMPLE_STREAM = 0x57A75


class ImageStore:
    """Serves the images of a split as uint8 arrays; may be used by several threads.

    An image is decoded when it is first asked for, and kept while there is room. Whether it was kept does not change
    its pixels.

    Args:
        split: The images.
        longest: Images are shrunk (antialiased) until their longer side has at most this many pixels.
        memory_bytes: Most bytes to keep.
    """

    def __init__(self, split: DetectionSplit, longest: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self._records = split.images
        self._longest = longest
        self._left = memory_bytes
        self._kept: dict[int, Pixels] = {}
        self._lock = Lock()

    @property
    def kept(self) -> int:
        """Number of images in memory."""
        return len(self._kept)

    def pixels(self, index: int) -> Pixels:
        """Returns an image as uint8 (height, width, 3), read-only.

        Raises:
            DataError: If its file cannot be read.
        """
        known = self._kept.get(index)
        if known is not None:
            return known
        pixels = self._prepared(self._records[index])
        pixels.flags.writeable = False
        with self._lock:
            if index not in self._kept and pixels.nbytes <= self._left:
                self._kept[index] = pixels
                self._left -= pixels.nbytes
        return pixels

    def _prepared(self, record: ImageRecord) -> Pixels:
        return shrunk(decode(record), self._longest)


class PlacedStore(ImageStore):
    """Serves the images of a split resized as `Letterbox.of` places them: rendering them there only copies pixels.

    Args:
        split: The images.
        input_size: (channels, height, width) of the network.
        memory_bytes: Most bytes to keep.
    """

    def __init__(self, split: DetectionSplit, input_size: tuple[int, ...], memory_bytes: int = MEMORY_BYTES) -> None:
        super().__init__(split, max(input_size[-2:]), memory_bytes)
        self._input_size = input_size

    def _prepared(self, record: ImageRecord) -> Pixels:
        return Letterbox.of(record.width, record.height, self._input_size).cut(decode(record))


def shrunk(pixels: Pixels, longest: int) -> Pixels:
    """Returns uint8 (height, width, 3) shrunk until the longer side has at most `longest` pixels."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels.view()
    size = scaled_size(width, height, longest / max(height, width))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def longest_side(input_size: tuple[int, ...], largest_scale: float) -> int:
    """Returns the pixels that the longer side of an image needs, so that it is never enlarged needlessly.

    Args:
        input_size: (channels, height, width) of the network.
        largest_scale: Size of an image relative to the one that just fits.
    """
    return math.ceil(max(input_size[-2:]) * max(1.0, largest_scale))


def measure(split: DetectionSplit) -> Normalization:
    """Returns mean and standard deviation per channel, measured on up to 256 images of a split (the same each time).

    Images count by their area, scaled down to 128 pixels.
    """
    chosen = sorted(sample(generator(_SAMPLE_STREAM), range(len(split)), min(_SAMPLE, len(split))))
    parts = [shrunk(decode(split.images[index]), _SAMPLE_SIDE).reshape(-1, 3) for index in chosen]
    return measure_normalization(np.concatenate(parts)[..., np.newaxis])
