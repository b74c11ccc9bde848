"""A sheet of validation images with what networks find in them, a row per network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import AccelzooError
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.data import DetectionData
from accelzoo.tasks.segmentation.data import SegmentationData

if TYPE_CHECKING:
    from PIL.Image import Image

Network = Callable[..., Any]
"""A built network, or a stand-in with the same outputs and the same `arch` (a quantised one)."""
Colour = tuple[int, int, int]

HEIGHT = 224  # pixels of every image on the sheet
GAP, TEXT = 8, 15  # pixels
INK, PAPER = (51, 51, 51), (255, 255, 255)


class _Sheet(NamedTuple):
    """What is laid out: rows of pictures by title, and the lines below them."""

    rows: dict[str, list[Image]]
    legend: Sequence[tuple[str, Colour]]
    caption: str


def draw_predictions(
    models: Mapping[str, Network],
    data: DetectionData | SegmentationData,
    normalization: Normalization,
    path: Path,
    count: int = 4,
) -> None:
    """Draws the sheet, over one that is there already.

    Images are evenly spaced over the validation split, whatever is found in them; of a detection split those without
    an object are passed over.

    Args:
        models: Title of a row → network, from above.
        data: Its validation images are shown.
        normalization: What the networks were trained with.
        path: The file to write; its ending names the format.
        count: How many images at most.

    Raises:
        ValueError: If there are no networks, or `count` is below 1.
        DataError: If an image cannot be read, or there is none.
        AccelzooError: If the file cannot be written.
    """
    if not models or count < 1:
        raise ValueError(f"models (={list(models)}) and count (={count}) must be at least 1")
    if isinstance(data, DetectionData):
        sheet = _detections(models, data, normalization, count)
    else:
        sheet = _segmentations(models, data, normalization, count)
    picture = _lay_out(sheet)
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise AccelzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def evenly_spaced(total: int, count: int) -> list[int]:
    """Returns `count` numbers of 0 … total − 1, equally far apart; all if there are fewer."""
    count = min(total, count)
    return [(2 * place + 1) * total // (2 * count) for place in range(count)]


def _detections(models: Mapping[str, Network], data: DetectionData, normalization: Normalization, count: int) -> _Sheet:
    from accelzoo.tasks.detection.draw import draw_detections
    from accelzoo.tasks.detection.evaluate import detect
    from accelzoo.tasks.detection.pictures import decode

    split = data.validation
    with_objects = [index for index, crowd in enumerate(split.crowd) if not crowd.all()]
    shown = split.take([with_objects[place] for place in evenly_spaced(len(with_objects), count)])
    if not len(shown):
        raise AccelzooError(f"{data.name}: no validation image has an object: there is nothing to draw")
    images = [decode(record) for record in shown.images]
    rows: dict[str, list[Image]] = {}
    for title, model in models.items():
        rows[title] = []
        for index, found in enumerate(detect(model, images, normalization)):
            scale = HEIGHT / images[index].shape[0]
            scaled = found._replace(boxes=found.boxes * np.float32(scale))
            truth = shown.boxes[index][~shown.crowd[index]] * scale
            small = _resized(images[index])
            rows[title].append(draw_detections(small, scaled, data.class_names, truth=truth))
    return _Sheet(rows=rows, legend=(), caption="dashed: annotated objects")


def _segmentations(
    models: Mapping[str, Network], data: SegmentationData, normalization: Normalization, count: int
) -> _Sheet:
    from accelzoo.tasks.segmentation.evaluate import segment
    from accelzoo.tasks.segmentation.masks import IGNORE

    split = data.validation
    shown = split.take(evenly_spaced(len(split), count))
    if not len(shown):
        raise AccelzooError(f"{data.name}: there is no validation image to draw")
    images = [shown.image(index) for index in range(len(shown))]
    labels = {"annotated": [shown.mask(index) for index in range(len(shown))]}
    for title, model in models.items():
        arch: Any = model.arch  # type: ignore[attr-defined]
        labels[title] = segment(model, images, arch.input_size[1:], normalization)
    present = sorted({int(label) for maps in labels.values() for each in maps for label in np.unique(each)} - {IGNORE})
    rows = {
        title: [_painted(image, each, data.palette) for image, each in zip(images, maps, strict=True)]
        for title, maps in labels.items()
    }
    legend = [(data.class_names[label], data.palette[label]) for label in present]
    return _Sheet(rows=rows, legend=legend, caption="")


def _resized(image: NDArray[np.uint8]) -> Image:
    """The image at the sheet's height, its aspect ratio kept."""
    from PIL import Image

    height, width = image.shape[:2]
    return Image.fromarray(image).resize((max(1, round(width * HEIGHT / height)), HEIGHT), Image.Resampling.LANCZOS)


def _painted(image: NDArray[np.uint8], labels: NDArray[np.uint8], palette: Sequence[Colour]) -> Image:
    """The image at the sheet's height with the classes' colours laid over it; pixels without a class stay bare."""
    from PIL import Image

    from accelzoo.tasks.segmentation.overlay import coloured

    small = _resized(image)
    shown = np.asarray(Image.fromarray(labels).resize(small.size, Image.Resampling.NEAREST))
    return Image.fromarray(coloured(np.asarray(small), shown, palette))


def _lay_out(sheet: _Sheet) -> Image:
    """Puts rows with their titles below each other; columns are as wide as their widest picture."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TEXT)
    widths = [max(image.width for image in column) for column in zip(*sheet.rows.values(), strict=True)]
    total = GAP + sum(width + GAP for width in widths)
    line = TEXT + GAP
    places = _legend_places([name for name, _ in sheet.legend], total, font.getlength)
    lines = places[-1][1] + 1 if places else int(bool(sheet.caption))
    below = len(sheet.rows) * (line + HEIGHT + GAP)
    picture = Image.new("RGB", (total, below + lines * line + (GAP if lines else 0)), PAPER)
    pen = ImageDraw.Draw(picture)
    for row, (title, images) in enumerate(sheet.rows.items()):
        top, left = row * (line + HEIGHT + GAP), GAP
        pen.text((GAP, top + line / 2), title, fill=INK, font=font, anchor="lm")
        for image, width in zip(images, widths, strict=True):
            picture.paste(image, (left, top + line))
            left += width + GAP
    if sheet.caption:
        pen.text((GAP, below + line / 2), sheet.caption, fill=INK, font=font, anchor="lm")
    for (name, colour), (start, row) in zip(sheet.legend, places, strict=True):
        top = below + row * line
        pen.rectangle((start, top + GAP // 2, start + TEXT, top + GAP // 2 + TEXT), fill=colour, outline=INK)
        pen.text((start + TEXT + 5, top + line / 2), name, fill=INK, font=font, anchor="lm")
    return picture


def _legend_places(names: Sequence[str], total: int, length: Callable[[str], float]) -> list[tuple[int, int]]:
    """Returns left side and line of each entry: entries flow on as words do."""
    places, left, row = [], GAP, 0
    for name in names:
        width = TEXT + 5 + round(length(name)) + 2 * GAP
        if left > GAP and left + width > total:
            left, row = GAP, row + 1
        places.append((left, row))
        left += width
    return places
