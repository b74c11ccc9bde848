"""Channel and depth rounding rules shared by blocks, scaling and spaces."""

from __future__ import annotations

import math


def make_divisible(value: float, divisor: int = 8, round_limit: float = 0.9) -> int:
    """Rounds a channel count to the nearest multiple of `divisor`, never down to less than `round_limit` of the value.

    Source: the channel rule of MobileNetV1–V3 and EfficientNet (Sandler et al. 2018, reference code). A limit of 0
    rounds half up, as MobileDets' reference code does; FBNetV3's limit is 0.95.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < round_limit * value else rounded


def scale_depth(repeats: int, depth_multiplier: float) -> int:
    """Number of repeats after depth scaling: rounded up, at least one (Tan & Le 2019, §3.3)."""
    return max(1, math.ceil(repeats * depth_multiplier))
