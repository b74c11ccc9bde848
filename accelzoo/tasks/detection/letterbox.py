"""Where an image lies on a network's canvas, and its boxes there and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accelzoo.tasks.detection.data import Pixels

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the canvas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """An image scaled and moved onto a canvas.

    The image covers whole pixels of the canvas, so the two scales can differ by the rounding of one pixel.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        left: Canvas column of the image's left side; negative where the image reaches beyond the canvas.
        top: Canvas row of the image's upper side.
        scaled_width: Columns that the image takes on the canvas.
        scaled_height: Rows that the image takes on the canvas.
        canvas: (height, width) of the canvas.
        flip: Whether the image is mirrored left to right, before it is moved.
    """

    width: int
    height: int
    left: int
    top: int
    scaled_width: int
    scaled_height: int
    canvas: tuple[int, int]
    flip: bool = False

    @classmethod
    def of(cls, width: int, height: int, input_size: tuple[int, ...]) -> Letterbox:
        """Returns the largest placement with aspect ratio kept that shows the whole image, centred.

        Args:
            width: Of the image, in pixels.
            height: Of the image, in pixels.
            input_size: (channels, height, width) or (height, width) of the canvas.
        """
        rows, columns = input_size[-2:]
        scaled_width, scaled_height = scaled_size(width, height, fitting_scale(width, height, (rows, columns)))
        return cls(
            width=width,
            height=height,
            left=(columns - scaled_width) // 2,
            top=(rows - scaled_height) // 2,
            scaled_width=scaled_width,
            scaled_height=scaled_height,
            canvas=(rows, columns),
        )

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas pixels per image pixel: across, down."""
        return self.scaled_width / self.width, self.scaled_height / self.height

    def to_canvas(self, boxes: NDArray[np.floating]) -> NDArray[np.float32]:
        """Moves boxes (n, 4), left, top, right, bottom, from image pixels to canvas pixels; nothing is clipped."""
        across, down = self.scale
        left, right = boxes[:, 0], boxes[:, 2]
        if self.flip:
            left, right = self.width - right, self.width - left
        columns = [left * across + self.left, boxes[:, 1] * down + self.top]
        columns += [right * across + self.left, boxes[:, 3] * down + self.top]
        return np.stack(columns, axis=1).astype(np.float32)

    def to_image(self, boxes: NDArray[np.floating]) -> NDArray[np.float32]:
        """Moves boxes (n, 4) from canvas pixels back to image pixels, inverse of `to_canvas`; nothing is clipped."""
        across, down = self.scale
        left, right = ((boxes[:, side] - self.left) / across for side in (0, 2))
        top, bottom = ((boxes[:, side] - self.top) / down for side in (1, 3))
        if self.flip:
            left, right = self.width - right, self.width - left
        return np.stack([left, top, right, bottom], axis=1).astype(np.float32)

    def window(self, area: Area | None = None) -> Area:
        """Returns the part of the canvas (or of an area of it) that the image covers."""
        left, top, right, bottom = area or (0, 0, self.canvas[1], self.canvas[0])
        return (
            max(left, self.left),
            max(top, self.top),
            min(right, self.left + self.scaled_width),
            min(bottom, self.top + self.scaled_height),
        )

    def cut(self, pixels: Pixels, area: Area | None = None) -> Pixels:
        """Returns the pixels that belong into `window(area)`: one antialiased bilinear resize of that part alone.

        Args:
            pixels: uint8 (height, width, 3): the image, or a smaller copy of it.
            area: The part of the canvas that the image may cover; None: all of it.

        Returns:
            uint8 (rows, columns, 3); empty where the image lies outside.
        """
        left, top, right, bottom = self.window(area)
        if right <= left or bottom <= top:
            return np.zeros((0, 0, 3), dtype=np.uint8)
        across, down = pixels.shape[1] / self.scaled_width, pixels.shape[0] / self.scaled_height
        begin, end = left - self.left, right - self.left
        if self.flip:
            begin, end = self.scaled_width - end, self.scaled_width - begin
        box = (begin * across, (top - self.top) * down, end * across, (bottom - self.top) * down)
        limited = (*box[:2], min(box[2], pixels.shape[1]), min(box[3], pixels.shape[0]))
        size = (right - left, bottom - top)
        shown = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=limited))
        return shown[:, ::-1] if self.flip else shown

    def render(self, pixels: Pixels, fill: tuple[int, int, int]) -> Pixels:
        """Returns the canvas, uint8 (height, width, 3), with the image on it and the colour `fill` around it."""
        canvas = blank(self.canvas, fill)
        left, top, right, bottom = self.window()
        if right > left and bottom > top:
            canvas[top:bottom, left:right] = self.cut(pixels)
        return canvas


def blank(canvas: tuple[int, int], fill: tuple[int, int, int]) -> Pixels:
    """Returns uint8 (height, width, 3) of one colour."""
    pixels = np.empty((*canvas, 3), dtype=np.uint8)
    pixels[:] = fill
    return pixels


def fitting_scale(width: int, height: int, canvas: tuple[int, int]) -> float:
    """Returns the scale at which an image just fits into a canvas (height, width)."""
    return min(canvas[1] / width, canvas[0] / height)


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """Returns (width, height) at a scale, in whole pixels, at least 1."""
    return max(1, round(width * scale)), max(1, round(height * scale))
