"""Pasting objects of one image onto another, each with the ground in its box (Dwibedi et al. 2017, without masks)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelzoo.draw import below, permutation
from accelzoo.tasks.detection.data import Boxes, Flags, Pixels
from accelzoo.tasks.detection.letterbox import Area

MOST = 3
"""Objects that are pasted at most."""


class Pasted(NamedTuple):
    """What was pasted, and what it hides."""

    boxes: Boxes  # (pasted, 4) on the canvas
    chosen: NDArray[np.int64]  # (pasted,) which of the source's boxes they are
    hidden: Flags  # (objects,) which objects of the canvas are covered for the greater part


def paste(
    pixels: Pixels, boxes: Boxes, source: Pixels, objects: Boxes, min_visible: float, rng: np.random.Generator
) -> Pasted:
    """Copies up to `MOST` objects from `source` to random places of `pixels`, in place.

    An object keeps its size. One that would cover another pasted one is left out.

    Args:
        pixels: uint8 (height, width, 3), the canvas; changed.
        boxes: float32 (n, 4), what is on it.
        source: uint8 (height, width, 3), of the same size.
        objects: float32 (m, 4), what can be taken from it.
        min_visible: Share of an object of the canvas that must stay in sight.
        rng: Source of choice and places.
    """
    height, width = pixels.shape[:2]
    covered = np.zeros((height, width), dtype=np.bool_)
    places: list[Area] = []
    chosen: list[int] = []
    for index in permutation(rng, len(objects))[:MOST]:
        left, top, right, bottom = _pixels_of(objects[index])
        x, y = below(rng, width - (right - left) + 1), below(rng, height - (bottom - top) + 1)
        place = x, y, x + right - left, y + bottom - top
        if covered[place[1] : place[3], place[0] : place[2]].any():
            continue
        covered[place[1] : place[3], place[0] : place[2]] = True
        pixels[place[1] : place[3], place[0] : place[2]] = source[top:bottom, left:right]
        places.append(place)
        chosen.append(index)
    hidden = np.array([_share(covered, box) > 1 - min_visible for box in boxes], dtype=np.bool_)
    return Pasted(np.array(places, np.float32).reshape(-1, 4), np.array(chosen, np.int64), hidden)


def _pixels_of(box: NDArray[np.float32]) -> Area:
    """The whole pixels that a box touches."""
    left, top, right, bottom = box.tolist()
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _share(covered: Flags, box: NDArray[np.float32]) -> float:
    left, top, right, bottom = _pixels_of(box)
    part = covered[top:bottom, left:right]
    return float(part.mean()) if part.size else 0.0
