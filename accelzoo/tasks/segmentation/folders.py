"""Segmentation sets in folders: images/ and masks/ with a classes.json, in one or in folders per split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.masks import IGNORE, MAX_CLASSES, Colour, MaskCoding, voc_palette
from accelzoo.tasks.segmentation.raw import Pair, RawSegmentation, pair_up
from accelzoo.tasks.splitting import SPLIT_NAMES

_FORM = '{"classes": ["name", …], "ignore_index": 255, "palette": [[red, green, blue], …], "ignore_color": [r, g, b]}'


def read_folder(root: Path) -> RawSegmentation:
    """Reads `images/` and `masks/`, or `train|val|test/{images,masks}`, as classes.json says.

    classes.json holds `classes` and, as wanted, `ignore_index` (a mask value; default 255), `palette` (a colour per
    class: needed for masks in RGB) and `ignore_color`. A mask has the name of its image, with any suffix.

    Raises:
        DataError: If folders or classes.json are missing or broken; it names the file.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    class_names, palette, coding = _read_classes(root / "classes.json")
    splits = read_split_folders(root, ("images", "masks"))
    if not splits:
        raise DataError(f"{root}: has neither images/ and masks/ nor train/images and train/masks")
    return RawSegmentation(splits=splits, coding=coding, class_names=class_names, palette=palette)


def read_split_folders(root: Path, inner: tuple[str, str]) -> dict[str, list[Pair]]:
    """Returns the pairs of each split folder that exists, or of `root` itself as `train`; empty if there is neither."""
    images, masks = inner
    if (root / images).is_dir():
        return {"train": pair_up(root / images, root / masks)}
    splits: dict[str, list[Pair]] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None or not (folder / images).is_dir():
            continue
        if split in splits:
            raise DataError(f"{folder}: a second folder for the {split} split")
        splits[split] = pair_up(folder / images, folder / masks, f"{folder.name}/")
    return splits


def _read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Colour, ...], MaskCoding]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; it names the classes: {_FORM}") from error
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}); wanted: {_FORM}") from error
    names = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: `classes` must be a list of names; wanted: {_FORM}")
    if len(names) > MAX_CLASSES or len(set(names)) != len(names):
        raise DataError(f"{path}: {len(names)} classes; they must be different, and {MAX_CLASSES} at most")
    ignore = content.get("ignore_index", IGNORE)
    if ignore is not None and (not isinstance(ignore, int) or ignore < len(names)):
        raise DataError(f"{path}: ignore_index (={ignore!r}) must be a mask value that is no class, or null")
    palette = _palette(path, content.get("palette"), len(names))
    coding = MaskCoding.plain(len(names), ignore, palette)
    if "ignore_color" in content:
        colours = {**coding.colours, _colour(path, content["ignore_color"]): IGNORE}
        coding = MaskCoding(values=coding.values, colours=colours)
    return tuple(names), palette or voc_palette(len(names) + 1)[1:], coding


def _palette(path: Path, given: Any, classes: int) -> tuple[Colour, ...]:
    if given is None:
        return ()
    if isinstance(given, list) and len(given) == 3 * classes and all(isinstance(value, int) for value in given):
        given = [given[start : start + 3] for start in range(0, len(given), 3)]
    if not isinstance(given, list) or len(given) != classes:
        raise DataError(f"{path}: `palette` must have one [red, green, blue] for each of the {classes} classes")
    palette = tuple(_colour(path, colour) for colour in given)
    if len(set(palette)) != len(palette):
        raise DataError(f"{path}: two classes have one colour in `palette`")
    return palette


def _colour(path: Path, given: Any) -> Colour:
    fits = isinstance(given, list) and len(given) == 3
    if not fits or not all(isinstance(value, int) and 0 <= value <= 255 for value in given):
        raise DataError(f"{path}: {given!r} is no colour [red, green, blue] of 0 … 255")
    return given[0], given[1], given[2]
