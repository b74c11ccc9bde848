"""Which random changes training images and their masks get; the changes themselves are in `transforms`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationAugment:
    """Which random changes training images and their masks get.

    Args:
        flip: Probability of mirroring left to right.
        scale: Bounds of the random scale, drawn log-uniformly; 1 is the image as it just fits the input. A larger
            image is cropped at random, a smaller one is placed at random on padding that counts for nothing.
        photometric: Strength of changes to brightness, contrast and saturation, each drawn from 1 ± 0.8 · strength;
            0 turns them off.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    photometric: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip (={self.flip}) must lie in 0 … 1")
        low, high = self.scale
        if not 0 < low <= high < float("inf"):
            raise ValueError(f"scale (={self.scale}) must be two positive bounds, the lower one first")
        if not 0 <= self.photometric <= 1:
            raise ValueError(f"photometric (={self.photometric}) must lie in 0 … 1")

    @classmethod
    def none(cls) -> SegmentationAugment:
        """Returns no change at all: images as they just fit the input."""
        return cls(flip=0.0, scale=(1.0, 1.0), photometric=0.0)
