"""The built-in drawn figures with their masks."""

from __future__ import annotations

from urllib.parse import parse_qsl

from accelzoo.errors import DataError, suggestion
from accelzoo.tasks.segmentation.masks import MaskCoding
from accelzoo.tasks.segmentation.raw import Pair, RawSegmentation
from accelzoo.tasks.shapes import CLASS_NAMES, draw_shapes

_OPTIONS = ("count", "size", "seed")
_PALETTE = ((90, 90, 90), (230, 159, 0), (86, 180, 233), (0, 158, 115))  # colour-blind-safe (Okabe & Ito 2008)


def read_drawn(source: str) -> RawSegmentation:
    """Draws the data set that `shapes?count=200&size=64&seed=0` names: ground, disc, square and triangle.

    Raises:
        DataError: If an option is unknown or no whole number.
    """
    options: dict[str, int] = {}
    for name, value in parse_qsl(source.partition("?")[2], keep_blank_values=True):
        if name not in _OPTIONS:
            raise DataError(f"{source}: no option {name!r}{suggestion(name, _OPTIONS)}; allowed: {', '.join(_OPTIONS)}")
        try:
            options[name] = int(value)
        except ValueError as error:
            raise DataError(f"{source}: {name} (={value!r}) must be a whole number") from error
    splits = {
        split: [
            Pair(id=f"{split}/{index}", image=drawn.pixels, mask=drawn.mask) for index, drawn in enumerate(images)
        ]
        for split, images in draw_shapes(**options).items()
    }
    names = ("ground", *CLASS_NAMES)
    return RawSegmentation(
        splits=splits, coding=MaskCoding.plain(len(names), None), class_names=names, palette=_PALETTE
    )
