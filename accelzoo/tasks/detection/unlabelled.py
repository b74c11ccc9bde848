"""Images without annotations, as a user has them (files, PIL images, arrays), to pixels."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from accelzoo.errors import DataError
from accelzoo.tasks.detection.data import Pixels

Picture = Pixels | Image.Image | str | PathLike[str]
"""uint8 (height, width, 3), a PIL image, or a file."""


def read_picture(picture: Picture) -> Pixels:
    """Returns uint8 (height, width, 3), RGB; files and PIL images are turned upright by their EXIF tag.

    Raises:
        DataError: If a file is missing, is no image or is cut short, or an array has another shape or type.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise DataError(f"a picture must be uint8 (height, width, 3), got {picture.dtype} {picture.shape}")
        return picture
    if isinstance(picture, Image.Image):
        return _upright(picture)
    path = Path(picture)
    try:
        with Image.open(path) as image:
            return _upright(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from error


def _upright(image: Image.Image) -> Pixels:
    with warnings.catch_warnings():
        # Transparency is dropped on purpose.
        warnings.filterwarnings("ignore", message="Palette images with Transparency")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
