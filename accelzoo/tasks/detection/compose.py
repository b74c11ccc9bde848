"""Training examples of a detector: images cropped, scaled, mirrored and recoloured onto a canvas, with their boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional as F

from accelzoo.draw import below, uniform
from accelzoo.tasks.detection.augment import DetectionAugment
from accelzoo.tasks.detection.data import Boxes, DetectionSplit, Flags, Labels, Pixels
from accelzoo.tasks.detection.letterbox import Area, Letterbox, blank, fitting_scale, scaled_size
from accelzoo.tasks.detection.mosaic import quadrants
from accelzoo.tasks.detection.paste import paste
from accelzoo.tasks.detection.store import ImageStore

LEAST_SIDE = 2.0
"""Pixels of the canvas; an object with a shorter side is ignored, as nobody could see it."""
_BRIGHTNESS_SHARE, _HUE_SHARE = 0.5, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A canvas with objects.

    Args:
        pixels: uint8 (height, width, 3).
        boxes: float32 (objects, 4), left, top, right, bottom in canvas pixels.
        labels: int64 (objects,).
        ignored: bool (objects,): regions where a network is taught nothing.
    """

    pixels: Pixels
    boxes: Boxes
    labels: Labels
    ignored: Flags


class Composer:
    """Makes training examples of the images of a split.

    Args:
        split: Images and boxes.
        store: Their pixels.
        augment: Which changes to make.
        canvas: (height, width) in pixels.
        fill: Colour where no image lies.
    """

    def __init__(
        self,
        split: DetectionSplit,
        store: ImageStore,
        augment: DetectionAugment,
        canvas: tuple[int, int],
        fill: tuple[int, int, int],
    ) -> None:
        self._split, self._store, self._augment = split, store, augment
        self._canvas, self._fill = canvas, fill

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Returns an example that shows image `index`, and others where augmentation says so.

        Args:
            index: Of the image, in the split.
            rng: Source of all that is random; one of its own for each example.
        """
        augment, (height, width) = self._augment, self._canvas
        areas: tuple[Area, ...] = ((0, 0, width, height),)
        if uniform(rng) < augment.mosaic:
            areas = quadrants(self._canvas, rng)
        pixels = blank(self._canvas, self._fill)
        others = [below(rng, len(self._split)) for _ in areas[1:]]
        parts = [self._show(pixels, each, area, rng) for each, area in zip([index, *others], areas, strict=True)]
        example = Example(pixels, *(np.concatenate(column) for column in zip(*parts, strict=True)))
        if uniform(rng) < augment.copy_paste:
            return self._pasted(example, rng)
        return example

    def _show(self, canvas: Pixels, index: int, area: Area, rng: np.random.Generator) -> tuple[Boxes, Labels, Flags]:
        """Draws an image into an area of the canvas and returns its boxes there, their labels and what is ignored."""
        placed = self._placed(index, area, rng)
        left, top, right, bottom = shown = placed.window(area)
        pixels = placed.cut(self._store.pixels(index), area)
        canvas[top:bottom, left:right] = recolour(pixels, self._augment.photometric, rng)
        split = self._split
        boxes, kept, ignored = visible_part(
            placed.to_canvas(split.boxes[index]), shown, split.crowd[index], self._augment.min_visible
        )
        return boxes, split.labels[index][kept], ignored

    def _placed(self, index: int, area: Area, rng: np.random.Generator) -> Letterbox:
        record, (smallest, largest) = self._split.images[index], self._augment.scale
        flip = uniform(rng) < self._augment.flip
        fitting = fitting_scale(record.width, record.height, self._canvas)
        width, height = scaled_size(
            record.width, record.height, fitting * smallest * (largest / smallest) ** uniform(rng)
        )
        spare = area[2] - area[0] - width, area[3] - area[1] - height
        if smallest == largest == 1.0:  # nothing is jittered: the placement that evaluation uses
            offsets = spare[0] // 2, spare[1] // 2
        else:
            offsets = _between(rng, spare[0]), _between(rng, spare[1])
        return Letterbox(
            width=record.width,
            height=record.height,
            left=area[0] + offsets[0],
            top=area[1] + offsets[1],
            scaled_width=width,
            scaled_height=height,
            canvas=self._canvas,
            flip=flip,
        )

    def _pasted(self, example: Example, rng: np.random.Generator) -> Example:
        index = below(rng, len(self._split))
        canvas = blank(self._canvas, self._fill)
        boxes, labels, ignored = self._show(canvas, index, (0, 0, self._canvas[1], self._canvas[0]), rng)
        keep = ~ignored
        taken = paste(example.pixels, example.boxes, canvas, boxes[keep], self._augment.min_visible, rng)
        return Example(
            example.pixels,
            np.concatenate([example.boxes, taken.boxes]),
            np.concatenate([example.labels, labels[keep][taken.chosen]]),
            np.concatenate([example.ignored | taken.hidden, np.zeros(len(taken.boxes), dtype=np.bool_)]),
        )


def visible_part(boxes: Boxes, window: Area, crowd: Flags, min_visible: float) -> tuple[Boxes, Flags, Flags]:
    """Cuts boxes to the part of the canvas that is shown.

    Args:
        boxes: float32 (n, 4) on the canvas, uncut.
        window: The part shown.
        crowd: bool (n,), which are regions to ignore already.
        min_visible: Share of the area below which an object becomes one.

    Returns:
        The boxes left, (m, 4); which of the n these are, bool (n,); which of the m are to be ignored, bool (m,).
    """
    low, high = np.array(window[:2] * 2, np.float32), np.array(window[2:] * 2, np.float32)
    cut = np.clip(boxes, low, high)
    sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    kept: Flags = np.logical_and.reduce(sides > 0, axis=1)
    share = sides.prod(axis=1) / np.maximum(before.prod(axis=1), 1e-9)
    small = sides.min(axis=1, initial=np.inf) < LEAST_SIDE
    ignored: Flags = np.logical_or.reduce([crowd, share < min_visible, small])
    return cut[kept], kept, ignored[kept]


def recolour(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Changes brightness, contrast, saturation and hue at random, as torchvision's ColorJitter does.

    Args:
        pixels: uint8 (height, width, 3).
        strength: Of contrast and saturation: factors are drawn from 1 ± strength. That of brightness deviates by half
            as much, as it cuts off what becomes too bright; the hue turns by up to a tenth of it. 0: nothing.
        rng: Source of the four draws.
    """
    if not strength:
        return pixels
    shares = (_BRIGHTNESS_SHARE, 1.0, 1.0)
    brightness, contrast, saturation = (1 + strength * share * (2 * uniform(rng) - 1) for share in shares)
    turn = _HUE_SHARE * strength * (2 * uniform(rng) - 1)
    if not pixels.size:
        return pixels
    image = F.adjust_brightness(Image.fromarray(np.ascontiguousarray(pixels)), brightness)
    image = F.adjust_saturation(F.adjust_contrast(image, contrast), saturation)
    return np.asarray(image.convert("RGB", _hue_matrix(turn)))


def _hue_matrix(turn: float) -> tuple[float, ...]:
    """A rotation of colours about the grey axis: for small turns what `adjust_hue` does, in a tenth of the time."""
    angle = 2 * math.pi * turn
    same, along, across = math.cos(angle), (1 - math.cos(angle)) / 3, math.sin(angle) / math.sqrt(3)
    first, second, third = same + along, along - across, along + across
    return first, second, third, 0, third, first, second, 0, second, third, first, 0


def _between(rng: np.random.Generator, bound: int) -> int:
    """A whole number between 0 and a bound of either sign, both included."""
    return min(0, bound) + below(rng, abs(bound) + 1)
