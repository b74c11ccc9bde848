"""Which random changes training images get; the changes themselves are in `transforms`, which needs torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

_PADDING_SHARE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """Which random changes training images get.

    Args:
        flip: Mirror half of the images left to right; None: where the data set says that this keeps the label.
        crop_padding: Pixels by which an image may shift in each direction; None: an eighth of its shorter side (4 at
            32 pixels); 0: no shift.
        padding: What fills the border of a shifted image: its own reflection, or zero (black).
        erase: Probability of a rectangle of mean colour (random erasing, Zhong et al. 2020, algorithm 1; area 2–33 %,
            aspect 0.3–3.3).
    """

    flip: bool | None = None
    crop_padding: int | None = None
    padding: Literal["reflect", "zero"] = "reflect"
    erase: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_padding is not None and self.crop_padding < 0:
            raise ValueError(f"crop_padding (={self.crop_padding}) must not be negative")
        if not 0 <= self.erase <= 1:
            raise ValueError(f"erase (={self.erase}) must lie in 0 … 1")
        if self.padding not in ("reflect", "zero"):
            raise ValueError(f"padding (={self.padding!r}) must be 'reflect' or 'zero'")

    def resolved(self, height: int, width: int, *, mirror: bool) -> Augment:
        """Returns the same with every None filled in for images of one size.

        Raises:
            ValueError: If `crop_padding` is not below the shorter side.
        """
        shorter = min(height, width)
        padding = shorter // _PADDING_SHARE if self.crop_padding is None else self.crop_padding
        if padding >= shorter:
            raise ValueError(f"crop_padding (={padding}) must be below the image's shorter side (={shorter})")
        return replace(self, crop_padding=padding, flip=mirror if self.flip is None else self.flip)
