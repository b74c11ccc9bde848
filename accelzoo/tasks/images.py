"""Image files and arrays of any size to uint8 (channels, height, width) of one size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from accelzoo.errors import DataError

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_MODES = {1: "L", 3: "RGB"}
_DECODE_THREADS = 4

InputSize = tuple[int, int, int]


def check_input_size(input_size: Sequence[int]) -> InputSize:
    """Returns `input_size` as (channels, height, width), or raises DataError naming what is wrong."""
    size = tuple(int(value) for value in input_size)
    if len(size) != 3 or size[0] not in _MODES or min(size) < 1:
        raise DataError(
            f"input_size (={tuple(input_size)}) must be (channels, height, width) with 1 (grey) or 3 (RGB) channels"
        )
    return size


def decode_files(paths: Sequence[Path], input_size: InputSize) -> NDArray[np.uint8]:
    """Reads image files as uint8 (images, channels, height, width).

    Each image is turned upright by its EXIF tag, resized with antialiasing (bilinear, aspect ratio kept) until it just
    covers the wanted size, and cropped about its centre.

    Raises:
        DataError: If a file is missing, is no image or is cut short; it names the file.
    """
    out = np.empty((len(paths), *input_size), dtype=np.uint8)

    def read(index: int) -> None:
        out[index] = _decode(paths[index], input_size)

    with ThreadPoolExecutor(_DECODE_THREADS) as pool:
        list(pool.map(read, range(len(paths))))
    return out


def fit_arrays(images: NDArray[np.uint8], input_size: InputSize) -> NDArray[np.uint8]:
    """Resizes uint8 arrays (n, height, width) or (n, height, width, 1 or 3) to (n, channels, height, width).

    Grey becomes RGB by repetition, RGB becomes grey by luma (ITU-R 601-2); sizes change as in `decode_files`.
    """
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in _MODES or images.dtype != np.uint8:
        raise DataError(
            f"image arrays must be uint8 (n, height, width) or (n, height, width, 1 or 3), got {images.dtype} "
            f"{images.shape}"
        )
    channels, height, width = input_size
    if images.shape[1:3] == (height, width) and images.shape[3] == channels:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    out = np.empty((len(images), *input_size), dtype=np.uint8)
    squeezed = images[..., 0] if images.shape[3] == 1 else images
    for index, pixels in enumerate(squeezed):
        out[index] = _fit(Image.fromarray(np.ascontiguousarray(pixels)), input_size)
    return out


def _decode(path: Path, input_size: InputSize) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            # A palette with transparency is fine here: transparency is dropped on purpose.
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            return _fit(ImageOps.exif_transpose(image), input_size)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from error


def _fit(image: Image.Image, input_size: InputSize) -> NDArray[np.uint8]:
    channels, height, width = input_size
    if image.mode.startswith("I;16"):  # PIL clips 16-bit grey to white instead of scaling it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert(_MODES[channels])
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), method=Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)
