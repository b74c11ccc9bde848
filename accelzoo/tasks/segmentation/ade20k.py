"""ADE20K as its scene parsing benchmark has it (Zhou et al. 2017): 150 classes, 0 is what counts for nothing."""

from __future__ import annotations

from pathlib import Path

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.masks import IGNORE, MaskCoding, voc_palette
from accelzoo.tasks.segmentation.raw import RawSegmentation, pair_up
from accelzoo.tasks.splitting import SPLIT_NAMES

_CLASSES = 150


def read_ade20k(root: Path) -> RawSegmentation:
    """Reads `images/{training,validation}` and `annotations/{training,validation}` of ADEChallengeData2016.

    Class names come from objectInfo150.txt when it is there (its last column), else they are `class_1` … `class_150`.

    Raises:
        DataError: If a folder is missing or objectInfo150.txt does not name 150 classes.
    """
    splits = {}
    for folder in ("training", "validation"):
        if folder == "training" or (root / "images" / folder).is_dir():
            splits[SPLIT_NAMES[folder]] = pair_up(
                root / "images" / folder, root / "annotations" / folder, f"{folder}/"
            )
    values = {0: IGNORE, **{label + 1: label for label in range(_CLASSES)}}
    return RawSegmentation(
        splits=splits,
        coding=MaskCoding(values=values, colours={}),
        class_names=_names(root / "objectInfo150.txt"),
        palette=voc_palette(_CLASSES + 1)[1:],
    )


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return tuple(f"class_{number}" for number in range(1, _CLASSES + 1))
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    if len(rows) != _CLASSES:
        raise DataError(f"{path}: {len(rows)} classes, {_CLASSES} are wanted")
    return tuple(row[-1].split(",")[0].strip() for row in rows)
