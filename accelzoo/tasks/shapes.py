"""Drawn figures on textured grounds, with boxes and masks: data for smoke runs and tests that need no download."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from accelzoo.draw import below, generator, uniform
from accelzoo.errors import DataError

CLASS_NAMES = ("disc", "square", "triangle")
SPLITS = ("train", "validation", "test")

_FIGURES = (1, 4)  # least and most per image
_SIDES = (0.15, 0.45)  # least and most, as a share of the image's side
_EMPTY = 0.1  # share of images without a figure
_TRIES = 20
_LEAST_CONTRAST = 60  # levels of the brightest-changing channel between figure and ground
_SAMPLES_PER_PIXEL = 4  # a figure is drawn this many times as large and shrunk, for smooth edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnImage:
    """One image with figures that do not touch.

    Args:
        pixels: uint8 (size, size, 3), RGB.
        mask: uint8 (size, size): 0 ground, 1 + label of the figure elsewhere.
        boxes: float32 (figures, 4), left, top, right, bottom in pixels: tight around the mask.
        labels: int64 (figures,), index into `CLASS_NAMES`.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_shapes(*, count: int = 96, size: int = 96, seed: int = 0) -> dict[str, tuple[DrawnImage, ...]]:
    """Draws discs, squares and triangles of random colour, size and turn: the same for the same arguments.

    Args:
        count: Training images; validation and test have a quarter of that each, at least 1.
        size: Side of an image in pixels.
        seed: Which images are drawn.

    Returns:
        Images by split: `train`, `validation` and `test`.

    Raises:
        DataError: If `count` is not positive, `size` is below 32 or `seed` is negative.
    """
    if count < 1 or size < 32 or seed < 0:
        raise DataError(f"shapes need count (={count}) ≥ 1, size (={size}) ≥ 32 and seed (={seed}) ≥ 0")
    counts = (count, max(1, count // 4), max(1, count // 4))
    return {
        split: tuple(draw_image(size, generator(seed, number, index)) for index in range(images))
        for number, (split, images) in enumerate(zip(SPLITS, counts, strict=True))
    }


def draw_image(size: int, rng: np.random.Generator) -> DrawnImage:
    """Draws one image.

    Args:
        size: Its side in pixels, at least 32.
        rng: Source of all that is random.
    """
    ground = _colour(rng)
    pixels = _texture(size, ground, rng)
    mask = np.zeros((size, size), dtype=np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    wanted = 0 if uniform(rng) < _EMPTY else _FIGURES[0] + below(rng, _FIGURES[1] - _FIGURES[0] + 1)
    for _ in range(wanted):
        label = below(rng, len(CLASS_NAMES))
        shown = _place(mask, label, rng)
        if shown is not None:
            share, box = shown
            colour = _contrasting(ground, rng)
            pixels = pixels * (1 - share[..., None]) + colour * share[..., None]
            mask[share >= 0.5] = 1 + label
            boxes.append(box)
            labels.append(label)
    return DrawnImage(
        pixels=np.clip(np.rint(pixels), 0, 255).astype(np.uint8),
        mask=mask,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
    )


def _place(
    mask: NDArray[np.uint8], label: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[int, int, int, int]] | None:
    """A figure at a free place: how far it covers each pixel, and its box; None where no place was found."""
    size = len(mask)
    for _ in range(_TRIES):
        low, high = _SIDES
        radius = size * (low + (high - low) * uniform(rng)) / 2
        x, y = (radius + (size - 2 * radius) * uniform(rng) for _ in range(2))
        share = _coverage(size, label, (x, y), radius, 2 * math.pi * uniform(rng))
        rows, columns = (np.flatnonzero((share >= 0.5).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        around = mask[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2]
        if not around.any():
            return share, (left, top, right, bottom)
    return None


def _coverage(
    size: int, label: int, centre: tuple[float, float], radius: float, turn: float
) -> NDArray[np.float64]:
    large = size * _SAMPLES_PER_PIXEL
    canvas = Image.new("L", (large, large))
    painter = ImageDraw.Draw(canvas)
    x, y, reach = (value * _SAMPLES_PER_PIXEL for value in (*centre, radius))
    if CLASS_NAMES[label] == "disc":
        painter.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    else:
        corners = 4 if CLASS_NAMES[label] == "square" else 3
        angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
        painter.polygon([(x + reach * math.cos(angle), y + reach * math.sin(angle)) for angle in angles], fill=255)
    return np.asarray(canvas.reduce(_SAMPLES_PER_PIXEL), dtype=np.float64) / 255


def _texture(size: int, colour: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A ground of one colour under waves of random direction and fine grain, float (size, size, 3)."""
    rows, columns = np.mgrid[:size, :size] / size
    pixels = np.broadcast_to(colour, (size, size, 3)).astype(np.float64)
    for _ in range(3):
        across, down, phase = (uniform(rng) * 2 - 1 for _ in range(3))
        wave = np.sin(2 * math.pi * (12 * across * columns + 12 * down * rows + phase))
        pixels += wave[..., None] * np.array([12 * uniform(rng) for _ in range(3)])
    words = rng.bit_generator.random_raw(size * size)
    grain = (words >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5
    grained: NDArray[np.float64] = pixels + 20 * grain.reshape(size, size, 1)
    return grained


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([40 + 175 * uniform(rng) for _ in range(3)])


def _contrasting(ground: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    colour = _colour(rng)
    while np.abs(colour - ground).max() < _LEAST_CONTRAST:
        colour = _colour(rng)
    return colour
