"""Small data sets written to a folder, in every form that a source reads."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CIFAR_CLASSES = 10


def pixels(count: int, *shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_png(path: Path, image: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_class_folders(root: Path, classes: tuple[str, ...] = ("cat", "dog"), per_class: int = 12) -> Path:
    images = pixels(len(classes) * per_class, 20, 24, 3, seed=len(root.name))
    for index, image in enumerate(images):
        write_png(root / classes[index % len(classes)] / f"{index:03d}.png", image)
    return root


def write_csv(folder: Path, rows: list[str], header: str = "file,label,split") -> Path:
    """Writes the index and one picture for each distinct first field."""
    names = sorted({row.split(",")[0] for row in rows})
    for name, image in zip(names, pixels(len(names), 10, 14), strict=True):
        write_png(folder / name, image)
    index = folder / "index.csv"
    index.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return index


def write_npz(path: Path, train: int = 40, test: int = 20, classes: int = 10) -> Path:
    np.savez(
        path,
        x_train=pixels(train, 8, 8, 3, seed=1),
        y_train=np.arange(train, dtype=np.uint8) % classes,
        x_test=pixels(test, 8, 8, 3, seed=2),
        y_test=np.arange(test, dtype=np.uint8) % classes,
    )
    return path


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_idx_folder(folder: Path, suffix: str = "", train: int = 40, test: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count, seed in (("train", train, 3), ("t10k", test, 4)):
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", pixels(count, 9, 9, seed=seed))
        write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", np.arange(count, dtype=np.uint8) % 10)
    return folder


def write_cifar_python(folder: Path, per_batch: int = 10, protocol: int = 2) -> Path:
    """The Python version, with the bytes keys that Python 2 left in the published files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate((*(f"data_batch_{part}" for part in range(1, 6)), "test_batch")):
        batch = {
            b"batch_label": name.encode(),
            b"labels": [index % CIFAR_CLASSES for index in range(per_batch)],
            b"data": pixels(per_batch, 3072, seed=number),
            b"filenames": [f"{index}.png".encode() for index in range(per_batch)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return folder


def write_cifar_binary(folder: Path, per_batch: int = 10) -> Path:
    """The same images and labels in the binary version."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate((*(f"data_batch_{part}" for part in range(1, 6)), "test_batch")):
        labels = (np.arange(per_batch, dtype=np.uint8) % CIFAR_CLASSES)[:, np.newaxis]
        records = np.concatenate([labels, pixels(per_batch, 3072, seed=number)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def grouped_rows() -> list[str]:
    """48 pictures of two classes in 16 scenes of three, without a split."""
    return [f"{index}.png,{index // 3 % 2},{index // 3}" for index in range(48)]
