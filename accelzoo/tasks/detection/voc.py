"""Pascal VOC annotations (Everingham et al. 2010, and the development kit's notes) as COCO's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from accelzoo.errors import DataError
from accelzoo.tasks.detection.faults import Faults

_LISTS = {"train": ("train", "trainval"), "validation": ("val",), "test": ("test",)}


def split_files(folder: Path) -> dict[str, Path]:
    """Returns split → its list of images among ImageSets/Main/{train,val,test}.txt, of those that exist."""
    lists = folder / "ImageSets" / "Main"
    found = {}
    for split, names in _LISTS.items():
        existing = [lists / f"{name}.txt" for name in names if (lists / f"{name}.txt").is_file()]
        if existing:
            found[split] = existing[0]
    return found


def voc_to_coco(folder: Path | str, split: str, faults: Faults | None = None) -> dict[str, Any]:
    """Reads a split of a VOCdevkit folder as COCO annotations.

    VOC counts pixels from 1 and includes the last one: `xmin … xmax` becomes `xmin − 1, width xmax − xmin + 1`. Objects
    marked `difficult` become `iscrowd`: like these, they are neither rewarded nor punished. Classes are numbered from 1
    by the alphabet.

    Args:
        folder: It has Annotations, JPEGImages and ImageSets/Main.
        split: Name of a list in ImageSets/Main, such as `train`.
        faults: Takes what is left out; None: refuse it.

    Returns:
        `images` (`id` is the name of the image), `annotations` and `categories`.

    Raises:
        DataError: If the list is missing or empty, or an annotation is broken; it names file and object.
    """
    home, noted = Path(folder), faults or Faults(strict=True)
    file = home / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a readable list of images ({error})") from error
    names = [words[0] for words in lines if words]
    if not names:
        raise DataError(f"{file}: the list is empty")
    images: list[dict[str, Any]] = []
    objects: list[tuple[str, str, list[float], bool]] = []
    for name, times in Counter(names).items():
        if times > 1:
            noted.leave_out(f"{file}: image {name!r} is listed {times} times; it is read once")
        path = home / "Annotations" / f"{name}.xml"
        try:
            root = ElementTree.parse(path).getroot()
        except (OSError, ElementTree.ParseError) as error:
            noted.leave_out(f"{path}: image {name!r}: not a readable annotation ({error}); left out")
            continue
        images.append({"id": name, "file_name": root.findtext("filename") or f"{name}.jpg", **_size(root)})
        objects += _objects(root, name, path, noted)
    classes = sorted({label for _, label, _, _ in objects})
    numbers = {label: number for number, label in enumerate(classes, start=1)}
    return {
        "images": images,
        "annotations": [
            {"id": number, "image_id": name, "category_id": numbers[label], "bbox": box, "iscrowd": int(crowd)}
            for number, (name, label, box, crowd) in enumerate(objects, start=1)
        ],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
    }


def _size(root: ElementTree.Element) -> dict[str, int]:
    """Width and height, or nothing where the annotation has none: the file then tells."""
    try:
        size = {side: int(root.findtext(f"size/{side}") or 0) for side in ("width", "height")}
    except ValueError:
        return {}
    return size if min(size.values()) > 0 else {}


def _objects(
    root: ElementTree.Element, name: str, path: Path, faults: Faults
) -> list[tuple[str, str, list[float], bool]]:
    found = []
    for number, entry in enumerate(root.iter("object"), start=1):
        label = (entry.findtext("name") or "").strip()
        try:
            left, top, right, bottom = (
                float(entry.findtext(f"bndbox/{side}") or "nothing") for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError:
            faults.leave_out(f"{path}: object {number} ({label or 'unnamed'}) has no four numbers in bndbox; left out")
            continue
        if not label:
            faults.leave_out(f"{path}: object {number} has no name; left out")
            continue
        crowd = (entry.findtext("difficult") or "0").strip() == "1"
        found.append((name, label, [left - 1, top - 1, right - left + 1, bottom - top + 1], crowd))
    return found
