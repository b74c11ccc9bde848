"""CIFAR-10: 50,000 + 10,000 photographs 32×32 in 10 classes (Krizhevsky 2009, "Learning Multiple Layers of Features").

Reads an .npz, the binary version (cifar-10-batches-bin) or the Python version (cifar-10-batches-py, what torchvision
downloads). The Python version's files are pickles: they are read by an unpickler that can build numpy arrays and plain
containers and refuses every other name, so a tampered file cannot run code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accelzoo.errors import DataError
from accelzoo.tasks.places import first_existing, tried
from accelzoo.tasks.raw import RawData, RawSplit
from accelzoo.tasks.sources import npz

NAME = "cifar10"
SUMMARY = "CIFAR-10: an .npz, cifar-10-batches-py (torchvision's) or cifar-10-batches-bin"
OPTIONS: tuple[str, ...] = ()
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_NAMES = ("cifar10.npz", "cifar-10-batches-py", "cifar-10-batches-bin")
_PLACES = tuple(Path("data") / name for name in _NAMES)
_SIDE = 32
_RECORD_BYTES = 1 + 3 * _SIDE * _SIDE
_TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_FILE = "test_batch"
# What numpy names in a pickled array: the type, and its two builders, taken from an array's own recipe.
_SAFE_GLOBALS: dict[tuple[str, str], Any] = {("numpy", "dtype"): np.dtype, ("numpy", "ndarray"): np.ndarray}
for _package in ("numpy.core", "numpy._core"):  # before and since numpy 2
    _SAFE_GLOBALS[f"{_package}.multiarray", "_reconstruct"] = np.zeros(0).__reduce__()[0]
    _SAFE_GLOBALS[f"{_package}.numeric", "_frombuffer"] = np.zeros(0).__reduce_ex__(5)[0]


def detect(path: Path) -> bool:
    """Says whether the folder holds CIFAR-10's batch files."""
    return path.is_dir() and any((path / f"{_TEST_FILE}{suffix}").is_file() for suffix in ("", ".bin"))


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads train and test as published; validation is drawn from train."""
    place = path or first_existing(_PLACES, *_NAMES)
    if place is None:
        raise DataError(
            f"cifar10: not found ({tried(_PLACES, *_NAMES)}). Get it with torchvision: "
            "`python -c \"import torchvision; torchvision.datasets.CIFAR10('data', download=True)\"`, or name an .npz "
            "or a folder: cifar10:/data/cifar10.npz"
        )
    if not place.exists():
        raise DataError(f"{place}: no such file or folder")
    if place.suffix == ".npz":
        data = npz.read(place, {})
        return replace(data, class_names=CLASS_NAMES) if len(data.class_names) == len(CLASS_NAMES) else data
    nested = place / "cifar-10-batches-py"
    folder = nested if nested.is_dir() else place
    train = [_read_batch(folder, name) for name in _TRAIN_FILES]
    return RawData(
        train=RawSplit(
            images=np.concatenate([np.asarray(batch.images) for batch in train]),
            labels=np.concatenate([batch.labels for batch in train]),
        ),
        test=_read_batch(folder, _TEST_FILE),
        class_names=CLASS_NAMES,
    )


def _read_batch(folder: Path, name: str) -> RawSplit:
    binary, pickled = folder / f"{name}.bin", folder / name
    if binary.is_file():
        return _read_binary(binary)
    if pickled.is_file():
        return _read_pickle(pickled)
    raise DataError(f"{folder}: has neither {name} nor {name}.bin; CIFAR-10 needs data_batch_1 … 5 and test_batch")


def _read_binary(path: Path) -> RawSplit:
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if content.size == 0 or content.size % _RECORD_BYTES:
        raise DataError(f"{path}: {content.size} bytes is not a whole number of {_RECORD_BYTES}-byte records")
    records = content.reshape(-1, _RECORD_BYTES)
    return _split(records[:, 1:], records[:, 0].astype(np.int64))


def _read_pickle(path: Path) -> RawSplit:
    try:
        batch: Any = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.asarray(batch[b"labels"], dtype=np.int64)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path}: not a CIFAR-10 batch ({error!r})") from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (
        len(labels), _RECORD_BYTES - 1,
    ):  # fmt: skip
        raise DataError(f"{path}: `data` must be uint8 (n, {_RECORD_BYTES - 1})")
    return _split(pixels, labels)


def _split(rows: np.ndarray[Any, np.dtype[np.uint8]], labels: np.ndarray[Any, np.dtype[np.int64]]) -> RawSplit:
    images = rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return RawSplit(images=images, labels=labels)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 writes bytes from Python 3
            return _encode_latin1
        try:
            return _SAFE_GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"refused to load {module}.{name} from a data file") from None


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"refused the text encoding {encoding!r}")
    return text.encode("latin1")
