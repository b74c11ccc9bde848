"""What a reader of a layout hands over: pairs of files by split, and what the masks' values mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.tasks.images import EXTENSIONS
from accelzoo.tasks.segmentation.masks import Colour, MaskCoding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """An image and its mask, unchecked.

    Args:
        id: Name within the data set.
        image: A file, or uint8 (height, width, 3).
        mask: A file, labels uint8 (height, width), or None: no mask was found.
    """

    id: str
    image: Path | NDArray[np.uint8]
    mask: Path | NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawSegmentation:
    """A data set as its layout has it.

    Args:
        splits: `train` and, where the layout has them, `validation` and `test`.
        coding: What mask files hold.
        class_names: One name per label.
        palette: One colour per label.
    """

    splits: Mapping[str, Sequence[Pair]]
    coding: MaskCoding
    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]


def image_files(folder: Path) -> list[Path]:
    """Returns the image files of a folder and those below it, sorted by name.

    Raises:
        DataError: If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())


def pair_up(images: Path, masks: Path, prefix: str = "") -> list[Pair]:
    """Pairs the images of a folder with the masks of another by their names without suffix, sub-folders included.

    Raises:
        DataError: If a folder is missing, or two files of one have the same name.
    """
    by_name = _by_name(image_files(masks), masks)
    found = _by_name(image_files(images), images)
    return [Pair(id=prefix + name, image=path, mask=by_name.get(name)) for name, path in found.items()]


def listed(names: Iterable[str], images: Path, masks: Path) -> list[Pair]:
    """Makes the pairs `images/NAME.jpg`, `masks/NAME.png` of a list of names; a file that is missing is found later."""
    pairs = []
    for name in names:
        mask = masks / f"{name}.png"
        pairs.append(Pair(id=name, image=images / f"{name}.jpg", mask=mask if mask.is_file() else None))
    return pairs


def _by_name(paths: Iterable[Path], folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise DataError(f"{path}: {named[name].name} beside it has the same name; keep one of them")
        named[name] = path
    return named
