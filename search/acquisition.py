"""How much a candidate is worth training, given what a surrogate predicts of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from accelzoo.search.surrogate import Prediction

Array = npt.NDArray[np.float64]
Acquisition: TypeAlias = Callable[[Prediction, float, float], Array]


def upper_confidence_bound(prediction: Prediction, best: float, exploration: float) -> Array:
    """Returns mean + exploration · deviation, `(n,)` (Srinivas et al., ICML 2010, equation 6).

    Args:
        prediction: Of n candidates.
        best: Not used: the bound does not depend on it.
        exploration: Standard deviations; more of them try more of what is unknown.
    """
    return prediction.mean + exploration * prediction.std


def expected_improvement(prediction: Prediction, best: float, exploration: float) -> Array:
    """Returns E[max(0, value − best − exploration · deviation)], `(n,)` (Jones, Schonlau and Welch 1998, equation 15).

    Args:
        prediction: Of n candidates.
        best: The best value so far.
        exploration: Standard deviations by which the best must be exceeded.
    """
    std = np.maximum(prediction.std, 1e-100)
    gain = prediction.mean - best - exploration * prediction.std
    ahead = np.clip(gain / std, -1e3, 1e3)  # beyond, both functions have reached their limits
    density = np.exp(-0.5 * ahead**2) / math.sqrt(2 * math.pi)
    return gain * _normal_cdf(ahead) + std * density


ACQUISITIONS: Mapping[str, Acquisition] = {"ucb": upper_confidence_bound, "ei": expected_improvement}
"""Name → acquisition."""


def first_best(scores: Array) -> int:
    """Returns the first row whose score is the largest, but for a billionth of their range.

    So candidates that are equal in exact arithmetic are told apart by their order, not by a machine's rounding.
    """
    top = float(scores.max())
    return int(np.argmax(scores >= top - 1e-9 * (top - float(scores.min()))))


def _normal_cdf(values: Array) -> Array:
    # numpy has no error function; a few thousand calls of the C library's cost less than a millisecond.
    return np.array([0.5 * math.erfc(-value) for value in (values / math.sqrt(2)).tolist()])
