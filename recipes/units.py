"""The unit in which latencies of a table or a picture read best."""

from __future__ import annotations


def latency_unit(longest_s: float) -> tuple[float, str]:
    """Returns the unit in which the longest latency reads best, in seconds, and its name."""
    return next(((scale, name) for scale, name in ((1.0, "s"), (1e-3, "ms")) if longest_s >= scale), (1e-6, "µs"))
