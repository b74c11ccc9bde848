"""A folder of class folders of images: root/<class>/*.jpg, or root/<split>/<class>/*.jpg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from accelzoo.errors import DataError
from accelzoo.tasks.images import EXTENSIONS
from accelzoo.tasks.raw import RawData, RawSplit
from accelzoo.tasks.splitting import SPLIT_NAMES

NAME = "folder"
SUMMARY = "class folders of image files, directly or below train/, val/ and test/"
OPTIONS: tuple[str, ...] = ()


def detect(path: Path) -> bool:
    """Says whether `path` is a folder with at least one folder in it."""
    return path.is_dir() and bool(_folders(path))


def read(path: Path | None, options: Mapping[str, str]) -> RawData:
    """Reads class folders in sorted order; splits that have no folder are drawn from train."""
    if path is None or not path.is_dir():
        raise DataError(f"folder: {path or 'needs a path'}: no such folder; give one that holds one folder per class")
    roots: dict[str, Path] = {}
    for folder in _folders(path):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split in roots:
            raise DataError(f"{path}: both {roots[split].name}/ and {folder.name}/ would be the {split} split")
        if split is not None:
            roots[split] = folder
    if roots and "train" not in roots:
        raise DataError(f"{path}: has {', '.join(folder.name + '/' for folder in roots.values())} but no train/")
    roots = roots or {"train": path}
    class_names = tuple(folder.name for folder in _folders(roots["train"]))
    if len(class_names) < 2:
        raise DataError(f"{roots['train']}: needs a folder per class, at least two; it has {len(class_names)}")
    splits = {name: _read_split(root, class_names) for name, root in roots.items()}
    return RawData(
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        class_names=class_names,
    )


def _read_split(root: Path, class_names: tuple[str, ...]) -> RawSplit:
    present = {folder.name for folder in _folders(root)}
    unknown = sorted(present - set(class_names))
    if unknown:
        raise DataError(f"{root}: classes that train has not: {', '.join(unknown)}; train has {', '.join(class_names)}")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        files = _images(root / name) if name in present else []
        paths += files
        labels += [label] * len(files)
    if not paths:
        raise DataError(f"{root}: no image files ({', '.join(sorted(EXTENSIONS))}) in its class folders")
    return RawSplit(images=paths, labels=np.asarray(labels, dtype=np.int64))


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.rglob("*")
        if entry.suffix.lower() in EXTENSIONS and not entry.name.startswith(".") and entry.is_file()
    )
