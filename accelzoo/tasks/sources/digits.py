"""Digits: 1,797 grey 8×8 images of handwritten digits inside scikit-learn (UCI, Alpaydin & Kaynak 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from accelzoo.errors import DataError
from accelzoo.tasks.raw import RawData, RawSplit

NAME = "digits"
SUMMARY = "1,797 handwritten digits 8x8 inside scikit-learn; nothing to download"
OPTIONS: tuple[str, ...] = ()
_MAX_INTENSITY = 16


def detect(path: Path) -> bool:
    """Never: digits live inside scikit-learn, not at a path."""
    return False


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads all images as one split; validation and test are drawn from it."""
    if path is not None:
        raise DataError(f"digits: takes no path (got {path}); it is read from scikit-learn")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits: needs scikit-learn: `pip install scikit-learn`") from error
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / _MAX_INTENSITY)).astype(np.uint8)
    return RawData(
        train=RawSplit(images=images, labels=bunch.target.astype(np.int64)),
        class_names=tuple(str(digit) for digit in range(10)),
        mirror=False,
    )
