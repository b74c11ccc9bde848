"""Image files to uint8 RGB pixels in the orientation they were annotated in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from accelzoo.errors import DataError
from accelzoo.tasks.detection.data import ImageRecord, Pixels

_THREADS = 4
_BROKEN = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height

DECODED_BYTES = 1 << 29
"""Files of up to this many bytes together are decoded when a data set is read; of larger sets only headers are read."""


def decode(record: ImageRecord) -> Pixels:
    """Returns an image as uint8 (height, width, 3).

    An image is turned by its EXIF tag only where the annotations give the size of the turned image.

    Raises:
        DataError: If the file is missing, is no image, is cut short or has another size than annotated.
    """
    if record.pixels is not None:
        return record.pixels
    assert record.path is not None
    where = f"{record.path}: image {record.id!r}"
    try:
        with warnings.catch_warnings(), Image.open(record.path) as image:
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            pixels = np.asarray(_rgb(_upright(image, (record.width, record.height))))
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such file") from error
    except _BROKEN as error:
        raise DataError(f"{where}: not a readable image ({error})") from error
    if pixels.shape != (record.height, record.width, 3):
        raise DataError(
            f"{where}: the file is {pixels.shape[1]}×{pixels.shape[0]} pixels, annotated are "
            f"{record.width}×{record.height}"
        )
    return pixels


def size_of(path: Path) -> tuple[int, int]:
    """Returns (width, height) of an image file, without decoding it.

    Raises:
        OSError, ValueError, SyntaxError: Where PIL cannot open the file.
    """
    with Image.open(path) as image:
        return image.size


def broken(records: Sequence[ImageRecord]) -> dict[int, str]:
    """Finds the images that cannot be used.

    Files that are no more than `DECODED_BYTES` together are decoded, so that one cut short is found as well; of more,
    only the headers are read.

    Returns:
        Index of the record → what is wrong with it.
    """
    paths = [record.path for record in records if record.path is not None]
    whole = sum(path.stat().st_size for path in paths if path.is_file()) <= DECODED_BYTES

    def fault(record: ImageRecord) -> str | None:
        try:
            decode(record) if whole else _check_header(record)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return {index: text for index, text in enumerate(pool.map(fault, records)) if text is not None}


def _check_header(record: ImageRecord) -> None:
    if record.path is None:
        return
    wanted = (record.width, record.height)
    try:
        with Image.open(record.path) as image:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
            fits = image.size == wanted or (turned and image.size[::-1] == wanted)
    except _BROKEN as error:
        raise DataError(f"{record.path}: image {record.id!r}: not a readable image ({error})") from error
    if not fits:
        raise DataError(f"{record.path}: image {record.id!r}: the file is not {wanted[0]}×{wanted[1]} pixels")


def _upright(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    turned = ImageOps.exif_transpose(image)
    return turned if turned.size == size else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # PIL clips 16-bit grey to white instead of scaling it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
