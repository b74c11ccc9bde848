"""CamVid (Brostow et al. 2009) with its usual 11 classes, in folders or in the layout of SegNet's authors."""

from __future__ import annotations

from pathlib import Path

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.folders import read_folder
from accelzoo.tasks.segmentation.masks import IGNORE, MaskCoding
from accelzoo.tasks.segmentation.raw import RawSegmentation, pair_up
from accelzoo.tasks.splitting import SPLIT_NAMES

_CLASSES = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
_VOID = 11


def read_camvid(root: Path) -> RawSegmentation:
    """Reads CamVid: a folder with classes.json, or `train`, `trainannot`, `val`, … with 11 for void.

    Raises:
        DataError: If neither layout is there.
    """
    if (root / "classes.json").is_file():
        return read_folder(root)
    splits = {}
    for name in ("train", "val", "test"):
        if (root / name).is_dir() and (root / f"{name}annot").is_dir():
            splits[SPLIT_NAMES[name]] = pair_up(root / name, root / f"{name}annot", f"{name}/")
    if "train" not in splits:
        raise DataError(f"{root}: no CamVid: neither a classes.json nor train/ with trainannot/")
    coding = MaskCoding.plain(len(_CLASSES), _VOID)
    coding = MaskCoding(values={**coding.values, IGNORE: IGNORE}, colours={})
    return RawSegmentation(
        splits=splits, coding=coding, class_names=tuple(_CLASSES), palette=tuple(_CLASSES.values())
    )
