"""What a classifier scores: top-1 with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a network scores on a split.

    Args:
        correct: Images whose highest logit is their label's.
        count: Images.
        loss: Mean cross-entropy in nats, without label smoothing.
    """

    correct: int
    count: int
    loss: float

    @property
    def top1(self) -> float:
        """Share of correct images, 0 … 1."""
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of `top1`."""
        return wilson_interval(self.correct, self.count)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, the interval included."""
        low, high = self.interval
        return {
            "top1": self.top1,
            "top1_low": low,
            "top1_high": high,
            "correct": self.correct,
            "count": self.count,
            "loss": self.loss,
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"top-1 {self.top1:.2%} (95 % {low:.2%} … {high:.2%}, n = {self.count}), loss {self.loss:.4f}"


def wilson_interval(correct: int, count: int, z: float = _Z_95) -> tuple[float, float]:
    """Returns the score interval of a share (Wilson 1927, JASA 22): honest for few images and shares near 0 or 1.

    Args:
        correct: Successes.
        count: Trials, at least 1.
        z: Normal quantile; the default gives 95 %.

    Raises:
        ValueError: If `correct` does not lie in 0 … count, or `count` is not positive.
    """
    if count < 1 or not 0 <= correct <= count:
        raise ValueError(f"correct (={correct}) must lie in 0 … count (={count}), and count must be positive")
    share, spread = correct / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return (0.0 if correct == 0 else low), (1.0 if correct == count else high)
