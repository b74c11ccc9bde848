"""Which random changes training images of a detector get; the changes themselves are made in `compose`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionAugment:
    """Which random changes training images of a detector get.

    Args:
        flip: Probability of mirroring left to right.
        scale: Smallest and largest size of an image relative to the one that just fits (Ghiasi et al. 2021, §3: scale
            jitter). A larger image is cropped, a smaller one lies on the mean colour, both at a random place.
        photometric: Strength of changes of contrast and saturation (factors 1 ± strength), brightness (half as
            strong) and hue (± a tenth of the strength, in turns); 0 turns them off.
        mosaic: Probability that four images share a canvas (Bochkovskiy et al. 2020, §3.3).
        copy_paste: Probability of pasting objects of another image, each with the ground in its box (Dwibedi et al.
            2017, without masks).
        min_visible: Share of an object's area that must remain visible. An object with less becomes a region that is
            ignored: a hand is no fair example of a person, and no background either.

    Raises:
        ValueError: If a value is out of its range.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 1.5)
    photometric: float = 0.5
    mosaic: float = 0.5
    copy_paste: float = 0.0
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        for name in ("flip", "mosaic", "copy_paste", "min_visible"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must lie in 0 … 1")
        if not 0 <= self.photometric < 1:
            raise ValueError(f"photometric (={self.photometric}) must lie in 0 … 1, 1 excluded")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(f"scale (={self.scale}) must be two positive numbers, the smaller first")
        object.__setattr__(self, "scale", (float(self.scale[0]), float(self.scale[1])))

    @classmethod
    def none(cls) -> DetectionAugment:
        """Returns no change at all: every image letterboxed."""
        return cls(flip=0.0, scale=(1.0, 1.0), photometric=0.0, mosaic=0.0)
