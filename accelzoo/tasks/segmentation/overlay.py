"""Pictures of what a segmentation network says: photograph, truth and prediction side by side, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from accelzoo.errors import DataError
from accelzoo.tasks.segmentation.masks import IGNORE, Colour

_OPACITY = 0.6
_GAP, _SWATCH, _TEXT = 8, 12, 13  # pixels
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def draw_segmentation(
    image: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    class_names: Sequence[str],
    palette: Sequence[Colour],
    *,
    truth: NDArray[np.uint8] | None = None,
    path: Path | str | None = None,
) -> Image.Image:
    """Draws the classes of pixels over an image, their outlines in full colour, and names those that occur below.

    Args:
        image: uint8 (height, width, 3).
        predicted: uint8 (height, width), classes.
        class_names: One name per class.
        palette: One colour per class.
        truth: uint8 (height, width), classes, `IGNORE` (255) left bare; drawn between image and prediction.
        path: Where to write the picture; None: nowhere.

    Raises:
        DataError: If a map of classes has another size than the image, or a class without a name or colour, or the
            picture cannot be written.
    """
    maps = {"prediction": predicted} if truth is None else {"truth": truth, "prediction": predicted}
    for name, labels in maps.items():
        if labels.shape != image.shape[:2]:
            raise DataError(f"{name} is {labels.shape}, the image {image.shape[:2]} (height, width)")
        top = labels[labels != IGNORE].max(initial=0)
        if top >= min(len(class_names), len(palette)):
            raise DataError(f"{name} has class {top}, there are {len(class_names)} names and {len(palette)} colours")
    panels = {"image": image, **{name: coloured(image, labels, palette) for name, labels in maps.items()}}
    shown = sorted({int(label) for labels in maps.values() for label in np.unique(labels)} - {IGNORE})
    picture = _lay_out(panels, [(class_names[label], palette[label]) for label in shown])
    if path is not None:
        try:
            picture.save(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot write the picture ({error})") from error
    return picture


def coloured(image: NDArray[np.uint8], labels: NDArray[np.uint8], palette: Sequence[Colour]) -> NDArray[np.uint8]:
    """Returns an image under the colours of its classes, with their outlines in full colour.

    Args:
        image: uint8 (height, width, 3).
        labels: uint8 (height, width), classes; `IGNORE` (255) is left bare.
        palette: One colour per class.
    """
    table = np.zeros((256, 3), dtype=np.float64)
    table[: len(palette)] = palette
    labelled = (labels != IGNORE)[..., None]
    colours = table[labels]
    edges = _edges(labels)[..., None] & labelled
    mixed = np.where(labelled, (1 - _OPACITY) * image + _OPACITY * colours, image)
    return np.where(edges, colours, mixed).round().astype(np.uint8)


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    edges = np.zeros(labels.shape, dtype=bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edges[:, 1:] |= across
    edges[1:] |= down
    return edges


def _lay_out(panels: dict[str, NDArray[np.uint8]], legend: Sequence[tuple[str, Colour]]) -> Image.Image:
    font = ImageFont.load_default(_TEXT)
    height, width = next(iter(panels.values())).shape[:2]
    total = len(panels) * (width + _GAP) + _GAP
    places, lines = _legend_places([name for name, _ in legend], total, font)
    line, title = _TEXT + _GAP, _TEXT + _GAP
    picture = Image.new("RGB", (total, title + height + 2 * _GAP + lines * line), _PAPER)
    pen = ImageDraw.Draw(picture)
    for number, (name, pixels) in enumerate(panels.items()):
        left = _GAP + number * (width + _GAP)
        pen.text((left, _GAP // 2), name, fill=_INK, font=font)
        picture.paste(Image.fromarray(pixels), (left, title))
    for (name, colour), (left, row) in zip(legend, places, strict=True):
        top = title + height + _GAP + row * line
        pen.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=tuple(colour), outline=_INK)
        pen.text((left + _SWATCH + 4, top + _SWATCH / 2), name, fill=_INK, font=font, anchor="lm")
    return picture


def _legend_places(
    names: Sequence[str], total: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> tuple[list[tuple[int, int]], int]:
    """Returns left side and line of each entry, and the number of lines: entries flow on as words do."""
    places, left, row = [], _GAP, 0
    for name in names:
        width = _SWATCH + 4 + round(font.getlength(name)) + 2 * _GAP
        if left > _GAP and left + width > total:
            left, row = _GAP, row + 1
        places.append((left, row))
        left += width
    return places, row + 1 if names else 0
