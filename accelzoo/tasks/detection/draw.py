"""Detections drawn over their image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from accelzoo.errors import DataError
from accelzoo.tasks.detection.metrics import Detections
from accelzoo.tasks.detection.unlabelled import Picture, read_picture

Colour = tuple[int, int, int]
Area = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
"""Told apart with any colour vision (Wong 2011, Nature Methods 8, 441); classes beyond start over."""
_DARK, _LIGHT = (20, 20, 20), (255, 255, 255)
_DARK_TEXT_FROM = 110  # luma above which dark letters are the more legible
_LEAST_FONT_SIZE = 11
_DASH = 4  # in line widths


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A box, and its label on a ground of the same colour."""

    box: Area
    colour: Colour
    text: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    label: Area
    start: tuple[float, float]  # of the text

    def write(self, pen: ImageDraw.ImageDraw) -> None:
        luma = 0.299 * self.colour[0] + 0.587 * self.colour[1] + 0.114 * self.colour[2]
        pen.rectangle(self.label, fill=self.colour)
        pen.text(self.start, self.text, fill=_DARK if luma > _DARK_TEXT_FROM else _LIGHT, font=self.font)


def draw_detections(
    image: Picture,
    detections: Detections,
    class_names: Sequence[str],
    path: str | PathLike[str] | None = None,
    *,
    truth: NDArray[np.floating[Any]] | None = None,
) -> Image.Image:
    """Draws boxes with their class and score over an image.

    Labels stay within the image and do not cover that of a better detection; with one class they hold the score alone.
    Objects are dashed in white. A box whose sides are exchanged is drawn the right way round.

    Args:
        image: A file, a PIL image or uint8 (height, width, 3).
        detections: What was found, boxes in pixels of the image.
        class_names: One per label.
        path: Where to write the picture as well; its ending names the format.
        truth: Boxes (objects, 4) as left, top, right, bottom to draw as dashed lines.

    Returns:
        The picture, RGB, of the image's size.

    Raises:
        DataError: If the image cannot be read, the picture not written, a label has no name, or a box is not finite.
    """
    count, labels = len(class_names), sorted(set(detections.labels.tolist()))
    if labels and not 0 <= labels[0] <= labels[-1] < count:
        raise DataError(f"labels (={labels}) must lie in 0 … {count - 1}: there are {count} class names")
    for what, boxes in (("detection", detections.boxes), ("object", () if truth is None else truth)):
        for index, box in enumerate(boxes):
            if not np.isfinite(box).all():
                raise DataError(f"{what} {index}: the box (={box.tolist()}) must be four finite numbers")
    drawn = Image.fromarray(read_picture(image))
    pen = ImageDraw.Draw(drawn)
    line = max(2, round(min(drawn.size) / 160))
    for box in () if truth is None else truth:
        _dashed(pen, _within(box, drawn.size), line)
    marks = _marks(pen, drawn.size, detections, class_names)
    for mark in reversed(marks):  # so that the better lies on top
        _outline(pen, mark.box, mark.colour, line)
    for mark in reversed(marks):
        mark.write(pen)
    if path is not None:
        _write(drawn, path)
    return drawn


def _marks(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], detections: Detections, class_names: Sequence[str]
) -> list[_Mark]:
    """Boxes and labels of detections, the best first, each label at the first place that none before it has."""
    font = ImageFont.load_default(max(_LEAST_FONT_SIZE, round(min(size) / 28)))
    marks: list[_Mark] = []
    for index in np.argsort(-detections.scores, kind="stable"):
        label, box = int(detections.labels[index]), _within(detections.boxes[index], size)
        score = f"{detections.scores[index]:.0%}"
        text = score if len(class_names) == 1 else f"{class_names[label]} {score}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        pad = max(2, round((bottom - top) / 4))
        places = list(label_places(box, right - left + 2 * pad, bottom - top + 2 * pad, size))
        free = [place for place in places if not any(_overlap(place, mark.label) for mark in marks)]
        chosen = (free or places)[0]
        start = chosen[0] + pad - left, chosen[1] + pad - top
        colour = COLOURS[label % len(COLOURS)]
        marks.append(_Mark(box=box, colour=colour, text=text, font=font, label=chosen, start=start))
    return marks


def _within(box: NDArray[np.floating[Any]], size: tuple[int, int]) -> Area:
    """A box cut to the image's pixels, left of right and top above bottom."""
    left, right = sorted(min(max(float(side), 0.0), size[0] - 1.0) for side in (box[0], box[2]))
    top, bottom = sorted(min(max(float(side), 0.0), size[1] - 1.0) for side in (box[1], box[3]))
    return left, top, right, bottom


def _outline(pen: ImageDraw.ImageDraw, box: Area, colour: Colour, line: int) -> None:
    """A coloured frame between dark ones, so that it shows on any ground."""
    left, top, right, bottom = box
    edge = max(1, line // 3)
    pen.rectangle((left - edge, top - edge, right + edge, bottom + edge), outline=_DARK, width=line + 2 * edge)
    pen.rectangle(box, outline=colour, width=line)


def _dashed(pen: ImageDraw.ImageDraw, box: Area, line: int) -> None:
    left, top, right, bottom = box
    for y in (top, bottom):
        for start, end in _dashes(left, right, line):
            pen.line((start, y, end, y), fill=_DARK, width=line + 2)
            pen.line((start, y, end, y), fill=_LIGHT, width=line)
    for x in (left, right):
        for start, end in _dashes(top, bottom, line):
            pen.line((x, start, x, end), fill=_DARK, width=line + 2)
            pen.line((x, start, x, end), fill=_LIGHT, width=line)


def _dashes(start: float, end: float, line: int) -> Iterator[tuple[float, float]]:
    """Ends of dashes along a side, with gaps as long."""
    step = _DASH * line
    for at in np.arange(start, end, 2 * step):
        yield float(at), float(min(at + step, end))


def label_places(box: Area, width: float, height: float, size: tuple[int, int]) -> Iterator[Area]:
    """Areas for a label: above the box, in its corners, below it; each moved so that it lies within the image."""
    left, top, right, bottom = box
    corners = [(left, top - height)] if top >= height else []
    corners += [(left, top), (right - width, top), (left, bottom - height), (right - width, bottom), (left, bottom)]
    for x, y in corners:
        x, y = max(0.0, min(x, size[0] - 1 - width)), max(0.0, min(y, size[1] - 1 - height))
        yield x, y, x + width, y + height


def _overlap(first: Area, second: Area) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _write(picture: Image.Image, path: str | PathLike[str]) -> None:
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot write the picture ({error})") from error
