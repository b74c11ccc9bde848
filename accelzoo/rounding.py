"""Channel and depth rounding rules shared by blocks, scaling and spaces."""

from __future__ import annotations

import math


def make_divisible(value: float, divisor: int = 8) -> int:
    """Rounds a channel count to the nearest multiple of `divisor`, never down by more than 10 %.

    Source: the channel rule of MobileNetV1–V3 and EfficientNet (Sandler et al. 2018, reference code).
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def scale_depth(repeats: int, depth_multiplier: float) -> int:
    """Number of repeats after depth scaling: rounded up, at least one (Tan & Le 2019, §3.3)."""
    return max(1, math.ceil(repeats * depth_multiplier))
