"""An .npz file of arrays x_train, y_train, x_test, y_test, and optionally x_val, y_val and class_names."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.tasks.raw import RawData, RawSplit

NAME = "npz"
SUMMARY = "an .npz of x_train, y_train [, x_val, y_val] [, x_test, y_test] [, class_names]"
OPTIONS: tuple[str, ...] = ()
_KEYS = {"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")}


def detect(path: Path) -> bool:
    """Says whether `path` ends in .npz."""
    return path.suffix == ".npz" and path.is_file()


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads the splits that the file has; pickled arrays are refused."""
    if path is None:
        raise DataError("npz: needs a path: npz:/folder/data.npz")
    arrays = _load(path)
    if not {"x_train", "y_train"} <= arrays.keys():
        raise DataError(f"{path}: needs arrays x_train and y_train; it has {', '.join(sorted(arrays)) or 'none'}")
    splits: dict[str, RawSplit | None] = {}
    for name, (images, labels) in _KEYS.items():
        splits[name] = _split(path, arrays, images, labels) if images in arrays or labels in arrays else None
    present = [split for split in splits.values() if split is not None]
    count = 1 + max(int(split.labels.max(initial=0)) for split in present)
    names = tuple(str(name) for name in arrays.get("class_names", np.arange(count)))
    train = splits["train"]
    if train is None:  # cannot be: checked above
        raise DataError(f"{path}: needs a train split")
    return RawData(train=train, validation=splits["validation"], test=splits["test"], class_names=names)


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        # opened here because numpy leaves the file open when it is no archive
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable .npz file of plain arrays ({error})") from error


def _split(path: Path, arrays: dict[str, NDArray[np.generic]], images: str, labels: str) -> RawSplit:
    missing = [key for key in (images, labels) if key not in arrays]
    if missing:
        raise DataError(f"{path}: has {images if labels in missing else labels} but no {missing[0]}")
    pixels, classes = arrays[images], arrays[labels]
    if pixels.dtype != np.uint8:
        raise DataError(f"{path}: {images} must be uint8, got {pixels.dtype}")
    if not np.issubdtype(classes.dtype, np.integer):
        raise DataError(f"{path}: {labels} must be integers, got {classes.dtype}")
    return RawSplit(images=pixels.view(np.uint8), labels=classes.reshape(-1).astype(np.int64))
