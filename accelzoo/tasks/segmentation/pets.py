"""The Oxford-IIIT Pet set (Parkhi et al. 2012): background, pet, and the border between them."""

from __future__ import annotations

import json
from pathlib import Path

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.masks import MaskCoding
from accelzoo.tasks.segmentation.raw import Pair, RawSegmentation, listed
from accelzoo.tasks.splitting import SPLIT_NAMES

_CLASSES = {"background": (70, 70, 70), "pet": (230, 159, 0), "border": (86, 180, 233)}
_TRIMAP = {2: 0, 1: 1, 3: 2}  # as published


def read_pets(root: Path) -> RawSegmentation:
    """Reads the set as published (`annotations/trainval.txt`, `annotations/trimaps`), or by an index.json.

    index.json holds `items` with `id` and `split`; masks are then 0 background, 1 pet, 2 border.

    Raises:
        DataError: If neither is there, or the index is broken.
    """
    if (root / "index.json").is_file():
        splits, values = _indexed(root), {0: 0, 1: 1, 2: 2}
    elif (root / "annotations" / "trainval.txt").is_file():
        splits, values = _published(root), _TRIMAP
    else:
        raise DataError(f"{root}: no Pet set: neither index.json nor annotations/trainval.txt")
    coding = MaskCoding(values=values, colours={})
    return RawSegmentation(
        splits=splits, coding=coding, class_names=tuple(_CLASSES), palette=tuple(_CLASSES.values())
    )


def _indexed(root: Path) -> dict[str, list[Pair]]:
    path = root / "index.json"
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        names = [(str(item["id"]), SPLIT_NAMES[item["split"]]) for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: must hold `items` with an `id` and a `split` each ({error!r})") from error
    return {
        split: listed([name for name, of in names if of == split], root / "images", root / "masks")
        for split in sorted({split for _, split in names})
    }


def _published(root: Path) -> dict[str, list[Pair]]:
    splits = {}
    for file, split in (("trainval", "train"), ("test", "test")):
        path = root / "annotations" / f"{file}.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
            splits[split] = listed(names, root / "images", root / "annotations" / "trimaps")
    return splits
