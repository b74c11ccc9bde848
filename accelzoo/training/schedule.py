"""The learning rate by step: linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017, without restarts)."""

from __future__ import annotations

import math


def learning_rate(step: int, total_steps: int, peak: float, warmup_fraction: float) -> float:
    """Returns the learning rate of a step.

    Args:
        step: 0 … total_steps − 1.
        total_steps: Steps of the whole training.
        peak: Learning rate at the end of the warm-up.
        warmup_fraction: Share of the steps that rise to the peak; the first of them is already above zero.
    """
    warmup = round(warmup_fraction * total_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))
