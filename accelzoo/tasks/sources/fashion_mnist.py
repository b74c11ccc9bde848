"""Fashion-MNIST: 60,000 + 10,000 grey 28×28 pictures of clothes in IDX files (Xiao et al. 2017, MIT licence)."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.tasks.places import first_existing, tried
from accelzoo.tasks.raw import RawData, RawSplit

NAME = "fashion_mnist"
SUMMARY = "Fashion-MNIST IDX files (.gz or not); MNIST and other sets of that form by path"
OPTIONS: tuple[str, ...] = ()
CLASS_NAMES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_PLACES = (Path("/usr/share/datasets/fashion-mnist"), Path("data/fashion-mnist"), Path("data/FashionMNIST/raw"))
_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_UNSIGNED_BYTE = 8


def detect(path: Path) -> bool:
    """Says whether the folder holds IDX image files."""
    return path.is_dir() and _find(path, _STEMS["train"][0]) is not None


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads train and test as published; validation is drawn from train."""
    folder = path or first_existing(_PLACES, "fashion-mnist")
    if folder is None:
        raise DataError(
            f"fashion_mnist: not found ({tried(_PLACES, 'fashion-mnist')}). Install it with "
            "`apt-get install dataset-fashion-mnist` (Debian, Ubuntu), or name the folder that holds "
            "train-images-idx3-ubyte[.gz] and its three companions: fashion_mnist:/folder"
        )
    splits = {name: _read_split(folder, *stems) for name, stems in _STEMS.items()}
    # Other sets come in the same four files (MNIST, KMNIST); only the original's folder name tells its classes.
    fashion = "fashion" in str(folder.resolve()).lower()
    count = 1 + max(int(split.labels.max(initial=0)) for split in splits.values())
    names = CLASS_NAMES if fashion and count == len(CLASS_NAMES) else tuple(str(label) for label in range(count))
    return RawData(train=splits["train"], test=splits["test"], class_names=names, mirror=fashion)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads one IDX file of unsigned bytes, gzipped or not, as an array of the shape its header gives.

    Raises:
        DataError: If the file is no such IDX file or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    dimensions = content[3]
    offset = 4 + 4 * dimensions
    if len(content) < offset:
        raise DataError(f"{path}: cut short in its header")
    shape = struct.unpack(f">{dimensions}I", content[4:offset])
    values = np.frombuffer(content, dtype=np.uint8, offset=offset)
    if values.size != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: header says {shape}, but {values.size} bytes follow")
    return values.reshape(shape).copy()


def _read_split(folder: Path, images_stem: str, labels_stem: str) -> RawSplit:
    found = {stem: _find(folder, stem) for stem in (images_stem, labels_stem)}
    missing = [stem for stem, path in found.items() if path is None]
    if missing:
        raise DataError(f"{folder}: has no {' or '.join(missing)} (with or without .gz)")
    images, labels = (read_idx(path) for path in found.values() if path is not None)
    return RawSplit(images=images, labels=labels.astype(np.int64))


def _find(folder: Path, stem: str) -> Path | None:
    # torchvision and other mirrors write a dot before idx
    names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)
