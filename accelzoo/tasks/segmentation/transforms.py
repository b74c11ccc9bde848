"""Random scale, crop, flip and colour of an image with its mask, drawn from an explicit generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from accelzoo.tasks.segmentation.augment import SegmentationAugment
from accelzoo.tasks.segmentation.masks import IGNORE
from accelzoo.tasks.segmentation.placing import Placement
from accelzoo.tasks.segmentation.samples import Sample

_PHOTOMETRIC_REACH = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDraw:
    """The random part of one image's augmentation.

    Args:
        flip: Whether to mirror it.
        scale: 1 is the image as it just fits the input.
        row: Where it lies vertically among the places it can have, 0 … 1.
        column: The same horizontally.
        brightness: Factor.
        contrast: Factor.
        saturation: Factor.
    """

    flip: bool
    scale: float
    row: float
    column: float
    brightness: float
    contrast: float
    saturation: float


def draw_sample(augment: SegmentationAugment, generator: torch.Generator) -> SampleDraw:
    """Draws the changes for one image from `generator`."""
    uniform = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
    low, high = (math.log(bound) for bound in augment.scale)
    reach = _PHOTOMETRIC_REACH * augment.photometric
    brightness, contrast, saturation = (1 + reach * (2 * value - 1) for value in uniform[4:])
    return SampleDraw(
        flip=uniform[0] < augment.flip,
        scale=math.exp(low + (high - low) * uniform[1]),
        row=uniform[2],
        column=uniform[3],
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
    )


def apply(
    sample: Sample, draw: SampleDraw, canvas: tuple[int, int], fill: Tensor, *, stretch: bool = False
) -> Sample:
    """Changes one image and its mask alike and puts them on a canvas.

    Args:
        sample: Image, uint8 (3, height, width), and labels, uint8 (1, height, width).
        draw: What to do.
        canvas: (height, width) of the result.
        fill: uint8 (3,), colour of the padding, whose labels are `IGNORE`.
        stretch: Whether scale 1 fills the canvas by changing the aspect ratio.
    """
    image, mask = sample
    fitted = Placement.of(image.shape[1], image.shape[2], canvas, stretch=stretch)
    rows = _span(image.shape[1], max(1, round(fitted.height * draw.scale)), canvas[0], draw.row)
    columns = _span(image.shape[2], max(1, round(fitted.width * draw.scale)), canvas[1], draw.column)
    box = (rows.source, columns.source, rows.source_size, columns.source_size)
    size = [rows.size, columns.size]
    image = _recolour(F.resized_crop(image, *box, size, InterpolationMode.BILINEAR, antialias=True), draw)
    mask = F.resized_crop(mask, *box, size, InterpolationMode.NEAREST_EXACT)
    if draw.flip:
        image, mask = F.horizontal_flip(image), F.horizontal_flip(mask)
    pixels = fill[:, None, None].expand(3, *canvas).contiguous()
    labels = torch.full((1, *canvas), IGNORE, dtype=torch.uint8)
    place = (slice(None), slice(rows.place, rows.place + rows.size), slice(columns.place, columns.place + columns.size))
    pixels[place], labels[place] = image, mask
    return pixels, labels


@dataclass(frozen=True, slots=True)
class _Span:
    """Along one side: which pixels of the source become which of the canvas."""

    source: int
    source_size: int
    place: int
    size: int


def _span(length: int, scaled: int, canvas: int, position: float) -> _Span:
    if scaled <= canvas:
        return _Span(0, length, round((canvas - scaled) * position), scaled)
    source_size = max(1, round(canvas * length / scaled))
    return _Span(round((length - source_size) * position), source_size, 0, canvas)


def _recolour(image: Tensor, draw: SampleDraw) -> Tensor:
    if draw.brightness != 1:
        image = F.adjust_brightness(image, draw.brightness)
    if draw.contrast != 1:
        image = F.adjust_contrast(image, draw.contrast)
    if draw.saturation != 1:
        image = F.adjust_saturation(image, draw.saturation)
    return image
