"""The name of a detection data set to its splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accelzoo.draw import generator
from accelzoo.errors import DataError, suggestion, unknown_name
from accelzoo.tasks.detection.coco import Classes, categories_of, read_json, read_split
from accelzoo.tasks.detection.data import DetectionData, DetectionSplit
from accelzoo.tasks.detection.faults import Faults
from accelzoo.tasks.splitting import carve

_VALIDATION_STREAM = 2
_SPLITS = ("train", "validation", "test")
_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_KINDS = {"coco": (*_SPLITS, "images"), "voc": (), "shapes": ("count", "size", "seed")}


def load_detection(
    source: str,
    *,
    classes: Sequence[str] | None = None,
    strict: bool = False,
    require_test: bool = False,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> DetectionData:
    """Reads a data set for object detection.

    A missing validation split is drawn from train (seeded; images with and without objects separately). Broken images
    and boxes are left out and named in `skipped`; boxes that reach beyond their image are clipped.

    Args:
        source: One of

            - `coco:FOLDER`, with options `?train=a.json&validation=b.json&test=c.json&images=images`; without them
              train.json, validation.json or val.json, and test.json, or COCO's own layout
              (annotations/instances_train2017.json and train2017/);
            - `voc:FOLDER`: a folder of a VOCdevkit (Annotations, JPEGImages, ImageSets/Main);
            - `shapes`: drawn figures, with options `?count=…&size=…&seed=…`.
        classes: Names of the classes to keep, in this order; images without one become negatives. None: all.
        strict: Refuse what else would be left out.
        require_test: Of a source without a test split, take the validation split for it, and draw validation anew.
        validation_fraction: Share of train that is drawn, with `seed`.
        seed: Of the draw.

    Raises:
        DataError: If the data are missing, have no image or no object to train on, or (`strict`) have a fault.
        UnknownNameError: If there is no such kind of source, or class.
    """
    if not 0 < validation_fraction < 1:
        raise DataError(f"validation_fraction (={validation_fraction}) must lie between 0 and 1")
    faults = Faults(strict=strict)
    names, splits = _splits(source, classes, faults)
    if require_test and "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    if "validation" not in splits:
        splits["train"], splits["validation"] = _carve(splits["train"], validation_fraction, seed)
    _check_objects(source, splits["train"], f" of the classes {', '.join(names)}" if classes else "", faults)
    return DetectionData(
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        class_names=names,
        name=source,
        skipped=faults.lines(),
        notes=_notes(names, splits["train"], splits["validation"]),
    )


def _check_objects(source: str, train: DetectionSplit, chosen: str, faults: Faults) -> None:
    if not train.object_count:
        raise DataError("\n".join(filter(None, (f"{source}: train has no object{chosen}", faults.summary()))))


def _splits(
    source: str, classes: Sequence[str] | None, faults: Faults
) -> tuple[tuple[str, ...], dict[str, DetectionSplit]]:
    kind, folder, options = _parse(source)
    if kind == "shapes":
        return _drawn(source, options, classes)
    assert folder is not None
    annotated = _coco(folder, options) if kind == "coco" else _voc(folder, faults)
    return _read(annotated, classes, faults)


def _parse(source: str) -> tuple[str, Path | None, dict[str, str]]:
    body, _, query = source.partition("?")
    kind, _, rest = body.partition(":")
    if kind not in _KINDS:
        raise unknown_name("kind of detection data", kind, _KINDS)
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in _KINDS[kind] or not value:
            allowed = ", ".join(_KINDS[kind]) or "none"
            near = suggestion(key, _KINDS[kind])
            raise DataError(f"{source}: option {part!r}{near}; allowed as name=value: {allowed}")
        options[key] = value
    if kind == "shapes":
        return kind, None, options
    folder = Path(rest).expanduser()
    if not rest or not folder.is_dir():
        raise DataError(f"{source}: {rest or 'nothing'} is not a folder; write {kind}:FOLDER")
    return kind, folder, options


def _coco(folder: Path, options: Mapping[str, str]) -> dict[str, tuple[dict[str, Any], Path, list[Path]]]:
    """Split → annotations, their file, and where its images may be."""
    found = {}
    for split in _SPLITS:
        file = _annotation_file(folder, split, options.get(split))
        if file is not None:
            year = file.stem.removeprefix("instances_")
            folders = [folder / name for name in (options.get("images", "images"), year, split, "")]
            found[split] = read_json(file), file, [place for place in folders if place.is_dir()]
    if "train" not in found:
        raise DataError(f"{folder}: no train.json or annotations/instances_train*.json here; name one by ?train=FILE")
    return found


def _annotation_file(folder: Path, split: str, given: str | None) -> Path | None:
    if given is not None:
        return folder / given
    for name in _NAMES[split]:
        standard = sorted((folder / "annotations").glob(f"instances_{name}*.json"))
        candidates = [folder / f"{name}.json", folder / "annotations" / f"{name}.json", *standard[-1:]]
        existing = next((path for path in candidates if path.is_file()), None)
        if existing is not None:
            return existing
    return None


def _voc(folder: Path, faults: Faults) -> dict[str, tuple[dict[str, Any], Path, list[Path]]]:
    from accelzoo.tasks.detection.voc import split_files, voc_to_coco

    files = split_files(folder)
    if "train" not in files:
        raise DataError(f"{folder}: no ImageSets/Main/train.txt or trainval.txt here")
    return {
        split: (voc_to_coco(folder, file.stem, faults), file, [folder / "JPEGImages"]) for split, file in files.items()
    }


def _read(
    annotated: Mapping[str, tuple[dict[str, Any], Path, list[Path]]], classes: Sequence[str] | None, faults: Faults
) -> tuple[tuple[str, ...], dict[str, DetectionSplit]]:
    every: dict[str, None] = {}
    for value, file, _ in annotated.values():
        every |= dict.fromkeys(categories_of(value, file).values())
    if not every:  # of VOC, a split alone may have none: its images are negatives
        files = ", ".join(str(file) for _, file, _ in annotated.values())
        raise DataError("\n".join(filter(None, (f"{files}: there are no categories", faults.summary()))))
    chosen = Classes(names=_choose(tuple(every), classes), chosen=classes is not None)
    return chosen.names, {
        split: read_split(value, file, folders, chosen, faults) for split, (value, file, folders) in annotated.items()
    }


def _choose(known: tuple[str, ...], classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is None:
        return known
    if not classes or len(set(classes)) != len(classes):
        raise DataError(f"classes (={tuple(classes)}) must be one or more different names")
    for name in classes:
        if name not in known:
            raise unknown_name("class", name, known)
    return tuple(classes)


def _drawn(
    source: str, options: Mapping[str, str], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, DetectionSplit]]:
    from accelzoo.tasks.detection.drawn import keep_classes, read_shapes
    from accelzoo.tasks.shapes import CLASS_NAMES

    names = _choose(CLASS_NAMES, classes)
    return names, {split: keep_classes(read, names) for split, read in read_shapes(source, options).items()}


def _carve(split: DetectionSplit, fraction: float, seed: int) -> tuple[DetectionSplit, DetectionSplit]:
    has_objects = np.array([int((~crowd).any()) for crowd in split.crowd], dtype=np.int64)
    kept, taken = carve(has_objects, fraction, generator(seed, _VALIDATION_STREAM))
    if not len(kept) or not len(taken):
        raise DataError(f"{len(split)} images are too few to draw a validation split from")
    return split.take(kept), split.take(taken)


def _notes(names: tuple[str, ...], train: DetectionSplit, validation: DetectionSplit) -> tuple[str, ...]:
    notes = []
    for label, split in (("train", train), ("validation", validation)):
        counts = split.class_counts(len(names))
        missing = [name for name, count in zip(names, counts, strict=True) if not count]
        if missing:
            notes.append(f"no object in {label}: {', '.join(missing)}")
    return tuple(notes)
