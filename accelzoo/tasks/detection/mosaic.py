"""Mosaics: four images on one canvas (Bochkovskiy et al. 2020, YOLOv4, §3.3)."""

from __future__ import annotations

import numpy as np

from accelzoo.draw import uniform
from accelzoo.tasks.detection.letterbox import Area

_MIDDLE = (0.3, 0.7)  # where the four meet, as a share of the canvas


def quadrants(canvas: tuple[int, int], rng: np.random.Generator) -> tuple[Area, Area, Area, Area]:
    """Returns four areas that tile a canvas (height, width) around a random point of its middle.

    Objects keep the sizes that they have outside of mosaics: images are cropped to their areas, not shrunk into them.
    """
    height, width = canvas
    low, high = _MIDDLE
    x = round(width * (low + (high - low) * uniform(rng)))
    y = round(height * (low + (high - low) * uniform(rng)))
    return (0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)
