"""Where an image lies on a network's input: resized with its aspect ratio kept, centred, the rest padding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The rectangle of a network's input that an image fills, in whole pixels.

    Args:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of(cls, height: int, width: int, canvas: tuple[int, int], *, stretch: bool = False) -> Placement:
        """Places an image of `height` × `width` pixels on a canvas (height, width).

        Args:
            height: Of the image.
            width: Of the image.
            canvas: (height, width) of the network's input.
            stretch: Fill the canvas, whatever becomes of the aspect ratio.
        """
        if stretch:
            return cls(top=0, left=0, height=canvas[0], width=canvas[1])
        scale = min(canvas[0] / height, canvas[1] / width)
        rows = min(canvas[0], max(1, round(height * scale)))
        columns = min(canvas[1], max(1, round(width * scale)))
        return cls(top=(canvas[0] - rows) // 2, left=(canvas[1] - columns) // 2, height=rows, width=columns)
