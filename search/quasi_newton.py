"""Minimising a smooth function of a few parameters, with numpy alone and the same steps on every run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_LONGEST_STEP = 2.0
_SHORTEST_SHARE = 1e-3
_SUFFICIENT = 1e-4


def minimise(
    function: Callable[[Array], tuple[float, Array]], start: Array, *, steps: int = 40, tolerance: float = 1e-3
) -> Array:
    """Returns a local minimum by BFGS with backtracking (Nocedal and Wright, "Numerical Optimization", §6.1, §3.1).

    Args:
        function: Parameters `(p,)` → value and gradient `(p,)`.
        start: `(p,)`.
        steps: The most steps; no coordinate moves by more than 2 in one of them.
        tolerance: It ends when a step gains less.
    """
    point, inverse = start, np.eye(len(start))
    value, gradient = function(point)
    for _ in range(steps):
        direction = -inverse @ gradient
        if gradient @ direction >= 0:
            inverse, direction = np.eye(len(start)), -gradient
        direction = direction * min(1.0, _LONGEST_STEP / max(float(np.abs(direction).max()), 1e-300))
        share, slope = 1.0, float(gradient @ direction)
        moved = point + direction
        found, new_gradient = function(moved)
        while not found <= value + _SUFFICIENT * share * slope and share > _SHORTEST_SHARE:
            share *= 0.4
            moved = point + share * direction
            found, new_gradient = function(moved)
        if not found < value:
            return point
        inverse = _updated(inverse, moved - point, new_gradient - gradient)
        gained, point, value, gradient = value - found, moved, found, new_gradient
        if gained < tolerance:
            return point
    return point


def _updated(inverse: Array, step: Array, change: Array) -> Array:
    """Returns the BFGS update of the inverse Hessian; unchanged where the curvature is not positive."""
    curvature = float(step @ change)
    if curvature <= 1e-10:
        return inverse
    towards = inverse @ change
    both = np.outer(towards, step)
    return inverse + (1 + change @ towards / curvature) * np.outer(step, step) / curvature - (both + both.T) / curvature
