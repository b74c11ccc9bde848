"""A learned factor per output channel, which some blocks put before their sum."""

from __future__ import annotations

from accelzoo.layers import LayerScale


def check_layer_scale(initial: float | None) -> None:
    """Refuses an initial factor that is not positive.

    Raises:
        ValueError: If it is not.
    """
    if initial is not None and initial <= 0:
        raise ValueError(f"layer_scale (={initial}) must be positive, or null for none")


def layer_scale(channels: int, initial: float | None) -> tuple[LayerScale, ...]:
    """The factors over `channels` channels; empty if there are none."""
    return () if initial is None else (LayerScale("layer_scale", channels, initial),)
