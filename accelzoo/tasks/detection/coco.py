"""COCO annotations to a split: ids checked, boxes clipped, labels contiguous (Lin et al. 2014, and its data format)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelzoo.errors import DataError
from accelzoo.tasks.detection.data import DetectionSplit, ImageRecord
from accelzoo.tasks.detection.faults import Faults
from accelzoo.tasks.detection.pictures import broken, size_of

LEAST_SIDE = 1e-3
"""Pixels; a box with a shorter side within its image is none."""
_CLIP_TOLERANCE = 1.0  # pixels by which boxes of rounded coordinates may reach beyond an image without a word


@dataclass(frozen=True, slots=True)
class _Box:
    corners: tuple[float, float, float, float]
    label: int
    crowd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Which categories become which labels.

    Args:
        names: One per label.
        chosen: Whether the user chose them: then annotations of other categories vanish, which else is a fault.
    """

    names: tuple[str, ...]
    chosen: bool = False

    def labels(self, categories: Mapping[int, str]) -> dict[int, int | None]:
        """Returns category id → label, None for a category that was not chosen; others are missing."""
        places = {name: label for label, name in enumerate(self.names)}
        found = {key: places.get(name) for key, name in categories.items()}
        return {key: label for key, label in found.items() if label is not None or self.chosen}


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file of COCO annotations.

    Raises:
        DataError: If it is missing, is no JSON, or lacks the lists `images`, `annotations` or `categories`.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such annotation file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(value, dict) or not isinstance(value.get(key), list):
            raise DataError(f"{path}: COCO annotations need a list {key!r}")
        if not all(isinstance(entry, dict) for entry in value[key]):
            raise DataError(f"{path}: every entry of {key!r} must be an object")
    return value


def categories_of(value: Mapping[str, Any], file: Path) -> dict[int, str]:
    """Returns category id → name, ordered by id; gaps between ids are usual.

    Raises:
        DataError: If there is none, but there are annotations; or an id or a name occurs twice.
    """
    found: dict[int, str] = {}
    for entry in value["categories"]:
        key, name = entry.get("id"), entry.get("name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            raise DataError(f"{file}: category {entry} needs an integer 'id' and a 'name'")
        if key in found or name in found.values():
            raise DataError(f"{file}: category {key} ({name!r}) occurs twice")
        found[key] = name
    if not found and value["annotations"]:
        raise DataError(f"{file}: there are no categories")
    return dict(sorted(found.items()))


def read_split(
    value: Mapping[str, Any], file: Path, folders: Sequence[Path], classes: Classes, faults: Faults
) -> DetectionSplit:
    """Turns COCO annotations into a split, images in the order of the file.

    Args:
        value: What `read_json` or `voc_to_coco` returns.
        file: Where it is from, for messages.
        folders: Where image files are looked for, the first that has one wins.
        classes: Which categories count.
        faults: Takes what is left out.

    Raises:
        DataError: If no image is left; with `faults.strict`, at the first fault.
    """
    records = _records(value, file, folders, faults)
    if not records:
        raise DataError("\n".join(filter(None, (f"{file}: no image is left", faults.summary()))))
    found = _boxes(value, file, records, classes.labels(categories_of(value, file)), faults)
    images = tuple(records.values())
    per_image = [found.get(key, []) for key in records]
    return DetectionSplit(
        images=images,
        boxes=tuple(np.array([box.corners for box in boxes], np.float32).reshape(-1, 4) for boxes in per_image),
        labels=tuple(np.array([box.label for box in boxes], np.int64) for boxes in per_image),
        crowd=tuple(np.array([box.crowd for box in boxes], np.bool_) for boxes in per_image),
    )


def _records(
    value: Mapping[str, Any], file: Path, folders: Sequence[Path], faults: Faults
) -> dict[int | str, ImageRecord]:
    records: dict[int | str, ImageRecord] = {}
    for entry in value["images"]:
        key = entry.get("id")
        if not isinstance(key, int | str) or not isinstance(entry.get("file_name"), str):
            faults.leave_out(f"{file}: image {entry} needs an 'id' and a 'file_name'; left out")
        elif key in records:
            faults.leave_out(f"{file}: image id {key!r} occurs twice; {entry['file_name']} is left out")
        else:
            record = _record(entry, file, folders, faults)
            if record is not None:
                records[key] = record
    keys = list(records)
    for index, text in broken(list(records.values())).items():
        faults.leave_out(f"{text}; left out")
        del records[keys[index]]
    return records


def _record(entry: Mapping[str, Any], file: Path, folders: Sequence[Path], faults: Faults) -> ImageRecord | None:
    name = entry["file_name"]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        looked = ", ".join(str(folder) for folder in folders)
        faults.leave_out(f"{file}: image {entry['id']!r}: no file {name} in {looked}; left out")
        return None
    size = entry.get("width"), entry.get("height")
    if not all(isinstance(side, int) and side > 0 for side in size):
        try:
            size = size_of(path)
        except (OSError, ValueError, SyntaxError) as error:
            faults.leave_out(f"{path}: image {entry['id']!r}: not a readable image ({error}); left out")
            return None
    width, height = size
    assert isinstance(width, int)
    assert isinstance(height, int)
    return ImageRecord(id=entry["id"], width=width, height=height, path=path)


def _boxes(
    value: Mapping[str, Any],
    file: Path,
    records: Mapping[int | str, ImageRecord],
    labels: Mapping[int, int | None],
    faults: Faults,
) -> dict[int | str, list[_Box]]:
    named = {entry["id"] for entry in value["images"] if _can_name(entry.get("id"))}
    found: dict[int | str, list[_Box]] = {}
    seen: dict[Any, _Box] = {}
    clipped = 0
    for entry in value["annotations"]:
        where = f"{file}: annotation {entry.get('id')!r}"
        key, category = entry.get("image_id"), entry.get("category_id")
        if not (entry.get("id") is None or _can_name(entry["id"])):
            faults.leave_out(f"{where}: its id is neither a number nor a text; left out")
        elif not _can_name(key) or key not in named:
            faults.leave_out(f"{where}: image id {key!r} is unknown; left out")
        elif not _can_name(category) or category not in labels:
            faults.leave_out(f"{where}: category id {category!r} is unknown; left out")
        elif key in records and (label := labels[category]) is not None:
            corners, cut = _corners(entry, records[key], where, faults)
            if corners is None:
                continue
            box = _Box(corners, label, bool(entry.get("iscrowd", 0)))
            if _repeats(entry.get("id"), box, seen, where, faults):
                continue
            clipped += cut
            found.setdefault(key, []).append(box)
    if clipped:
        faults.change(f"{file}: {clipped} boxes reached beyond their image and were clipped to it")
    return found


def _can_name(key: object) -> bool:
    """Whether a value of JSON can be an id; a list or an object cannot."""
    return isinstance(key, int | float | str)


def _repeats(key: object, box: _Box, seen: dict[Any, _Box], where: str, faults: Faults) -> bool:
    """Whether an annotation is there already; another box under a known id is kept, but said."""
    if key is None or key not in seen:
        seen[key] = box
        return False
    if seen[key] == box:
        faults.leave_out(f"{where} occurs twice; the second is left out")
        return True
    faults.leave_out(f"{where}: two boxes have this id; both are kept")
    return False


def _corners(
    entry: Mapping[str, Any], record: ImageRecord, where: str, faults: Faults
) -> tuple[tuple[float, float, float, float] | None, bool]:
    """Left, top, right, bottom within the image, and whether the box was cut by more than rounding."""
    given = entry.get("bbox")
    numbers = isinstance(given, list) and len(given) == 4 and all(isinstance(side, int | float) for side in given)
    if not numbers or not all(abs(side) <= sys.float_info.max for side in given or ()):  # JSON's integers may be larger
        faults.leave_out(f"{where}: bbox (={given}) must be four finite numbers; left out")
        return None, False
    assert given is not None
    left, top, width, height = (float(side) for side in given)
    if width <= 0 or height <= 0:
        faults.leave_out(f"{where}: bbox (={given}) has no area; left out")
        return None, False
    sides = max(left, 0.0), max(top, 0.0), min(left + width, record.width), min(top + height, record.height)
    if sides[2] - sides[0] < LEAST_SIDE or sides[3] - sides[1] < LEAST_SIDE:
        faults.leave_out(f"{where}: bbox (={given}) lies outside of its image {record.id!r}; left out")
        return None, False
    before = left, top, left + width, top + height
    cut = max(abs(first - second) for first, second in zip(before, sides, strict=True)) > _CLIP_TOLERANCE
    return sides, cut
