"""Photographs to uint8 RGB arrays."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from accelzoo.errors import DataError


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Reads an image file, turned upright by its EXIF tag, as uint8 (height, width, 3).

    Raises:
        DataError: If the file is missing, is no image or is cut short; it names the file.
    """
    return decode_picture(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Returns a file's content.

    Raises:
        DataError: If it cannot be read; it names the file.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except OSError as error:
        raise DataError(f"{path}: not readable ({error})") from error


def decode_picture(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Decodes the content of an image file as `read_picture` does; `path` is for messages."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            # A palette with transparency is fine here: transparency is dropped on purpose.
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            upright: Image.Image = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # PIL clips 16-bit grey to white instead of scaling it
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.array(upright.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from error
