"""The name of a segmentation source to checked, disjoint splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from accelzoo.draw import generator
from accelzoo.errors import DataError, unknown_name
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.segmentation.ade20k import read_ade20k
from accelzoo.tasks.segmentation.camvid import read_camvid
from accelzoo.tasks.segmentation.check import check_pairs, normalization_of
from accelzoo.tasks.segmentation.data import SegmentationData, SegmentationSplit
from accelzoo.tasks.segmentation.drawn import read_drawn
from accelzoo.tasks.segmentation.folders import read_folder
from accelzoo.tasks.segmentation.pets import read_pets
from accelzoo.tasks.segmentation.raw import RawSegmentation
from accelzoo.tasks.segmentation.voc import read_voc
from accelzoo.tasks.splitting import carve

_READERS: Mapping[str, Callable[[Path], RawSegmentation]] = {
    "ade20k": read_ade20k,
    "camvid": read_camvid,
    "folder": read_folder,
    "pets": read_pets,
    "voc": read_voc,
}
_DRAWN = "shapes"
_VALIDATION_STREAM = 0x5E6
_SHOWN = 5


def load_segmentation(
    source: str,
    *,
    strict: bool = False,
    require_test: bool = False,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> SegmentationData:
    """Reads a data set for semantic segmentation, and every file of it once.

    Splits that the source has are kept. A missing validation split is drawn from train: seeded, byte-equal images on
    one side. An image that is broken, has no mask, or a mask of another size or with unknown values is left out and
    named in `skipped`.

    Args:
        source: `folder:PATH` (see `folders`), `camvid:PATH`, `pets:PATH`, `voc:PATH`, `ade20k:PATH`, or `shapes` (drawn
            figures; `shapes?count=200&size=64&seed=0`).
        strict: Refuse the set in the place of leaving images out.
        require_test: Of a source without a test split, take the validation split for it, and draw validation anew.
        validation_fraction: Share of train to draw for validation, when the source has none.
        seed: Seed of that draw.

    Raises:
        DataError: If the data are missing or, with `strict`, broken; it names files.
        UnknownNameError: If the part of `source` before the colon is unknown.
    """
    if not 0 < validation_fraction < 1:
        raise DataError(f"validation_fraction (={validation_fraction}) must lie between 0 and 1")
    raw = _read(source)
    parts, skipped, normalization = _check(source, raw)
    if strict and skipped:
        raise DataError(f"{source}: {len(skipped)} images cannot be used{_first(skipped)}")
    if require_test and "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    notes = _draw_validation(source, parts, validation_fraction, seed)
    notes += _absent_classes(parts["validation"])
    return SegmentationData(
        train=parts["train"],
        validation=parts["validation"],
        test=parts.get("test"),
        class_names=raw.class_names,
        palette=raw.palette,
        name=source,
        normalization=normalization,
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def _read(source: str) -> RawSegmentation:
    name, _, path = source.partition(":")
    if name == _DRAWN or name.startswith(f"{_DRAWN}?"):
        return read_drawn(source)
    if name not in _READERS:
        raise unknown_name("segmentation source", name, [*_READERS, _DRAWN])
    if not path:
        raise DataError(f"{source}: where is it? Write {name}:PATH")
    return _READERS[name](Path(path).expanduser())


def _check(source: str, raw: RawSegmentation) -> tuple[dict[str, SegmentationSplit], list[str], Normalization]:
    """Returns what is usable by split, what is not, and the statistics of the train split."""
    parts: dict[str, SegmentationSplit] = {}
    skipped: list[str] = []
    if "train" not in raw.splits:
        raise DataError(f"{source}: has no train split")
    levels = np.zeros((3, 256), dtype=np.int64)
    for name in ("train", "validation", "test"):
        if name not in raw.splits:
            continue
        records, bad, seen = check_pairs(raw.splits[name], raw.coding, len(raw.class_names))
        skipped += bad
        if not records:
            raise DataError(f"{source}: the {name} split has no usable image{_first(bad)}")
        if name == "train":
            levels = seen
        parts[name] = SegmentationSplit(records=tuple(records), coding=raw.coding, class_names=raw.class_names)
    return parts, skipped, normalization_of(levels)


def _draw_validation(source: str, parts: dict[str, SegmentationSplit], fraction: float, seed: int) -> list[str]:
    if "validation" in parts:
        return []
    train = parts["train"]
    groups = [record.sha256 for record in train.records]
    labels = np.zeros(len(train), dtype=np.int64)
    kept, taken = carve(labels, fraction, generator(seed, _VALIDATION_STREAM), groups)
    if not len(kept) or not len(taken):
        raise DataError(f"{source}: {len(train)} images are too few to draw a validation split from")
    parts["train"], parts["validation"] = train.take(kept), train.take(taken)
    return [f"validation: {len(taken)} images drawn from train (seed {seed}), for want of a split of its own"]


def _absent_classes(split: SegmentationSplit) -> list[str]:
    totals = split.class_pixels().sum(0).tolist()
    absent = [name for name, pixels in zip(split.class_names, totals, strict=True) if not pixels]
    if not absent:
        return []
    return [f"validation never shows {', '.join(absent)}: left out of the mean IoU"]


def _first(reasons: list[str]) -> str:
    if not reasons:
        return ""
    more = f"\nand {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return ":\n" + "\n".join(reasons[:_SHOWN]) + more
