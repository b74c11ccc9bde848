"""The drawn figures of `accelzoo.tasks.shapes` as a data set for detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from accelzoo.errors import DataError
from accelzoo.tasks.detection.data import DetectionSplit, ImageRecord
from accelzoo.tasks.shapes import CLASS_NAMES, DrawnImage, draw_shapes


def read_shapes(source: str, options: Mapping[str, str]) -> dict[str, DetectionSplit]:
    """Returns the splits that `shapes?count=…&size=…&seed=…` names, labelled by `CLASS_NAMES`.

    Raises:
        DataError: If an option is not a whole number, or out of its range.
    """
    try:
        numbers = {name: int(value) for name, value in options.items()}
    except ValueError as error:
        raise DataError(f"{source}: count, size and seed must be whole numbers") from error
    return {split: _split(drawn) for split, drawn in draw_shapes(**numbers).items()}


def keep_classes(split: DetectionSplit, names: Sequence[str]) -> DetectionSplit:
    """Returns a split with the objects of the named shapes alone, labelled by their place among the names."""
    places = np.array([names.index(name) if name in names else -1 for name in CLASS_NAMES], dtype=np.int64)
    kept = [places[labels] >= 0 for labels in split.labels]
    return DetectionSplit(
        images=split.images,
        boxes=tuple(boxes[keep] for boxes, keep in zip(split.boxes, kept, strict=True)),
        labels=tuple(places[labels[keep]] for labels, keep in zip(split.labels, kept, strict=True)),
        crowd=tuple(crowd[keep] for crowd, keep in zip(split.crowd, kept, strict=True)),
    )


def _split(drawn: Sequence[DrawnImage]) -> DetectionSplit:
    return DetectionSplit(
        images=tuple(
            ImageRecord(id=index, width=len(each.pixels), height=len(each.pixels), pixels=each.pixels)
            for index, each in enumerate(drawn)
        ),
        boxes=tuple(each.boxes for each in drawn),
        labels=tuple(each.labels for each in drawn),
        crowd=tuple(np.zeros(len(each.labels), dtype=np.bool_) for each in drawn),
    )
