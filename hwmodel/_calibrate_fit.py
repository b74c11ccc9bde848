"""The numbers behind a calibration: Gaussian regression of logarithms of sums, and its expected variances.

With `g` the logarithms of the terms, a network of counts `c` takes `Σ c·exp(g)`. At a point `g` its logarithm is linear
with the gradient `J = c·exp(g) / Σ c·exp(g)`: each term's share of the network. Every step is the closed form of a
ridge regression towards the prior in the metric of the kernel `K`: with the residual `e` and the noise `σ²`, `g`
moves to `mean + K Jᵀ (J K Jᵀ + σ²)⁻¹ e`. The steps converge to the most probable `g` (Laplace's approximation;
Rasmussen & Williams 2006, §3.4). Latencies are positive by construction, and errors relative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo.hwmodel._calibrate_terms import VARIANCES, Array, Terms

NOISE_VARIANCE = 1e-4  # expected: measurements repeat, and sums of operators explain them, within 1 %
LEAST_NOISE_VARIANCE = 1e-5
PRIOR_SHARES = (1.0, 0.5)
OVERHEAD_SHARE = 0.02  # of the median latency, expected as a network's fixed overhead
_SPREAD = 1.5  # standard deviation of the logarithm of a variance around what is expected of it
_ROUNDS = 3  # of fitting terms, then variances
_STEPS = 15
_MOST_ROWS = 300  # networks that variances are fitted to; terms are fitted to all
_LARGEST_STEP = 8.0  # in logarithms of latencies


@dataclass(frozen=True, eq=False)
class Solution:
    """The most probable terms.

    Attributes:
        prior_share: Of the prior in what is expected of a term; see `log_expected`.
        offset: Natural logarithm of the median of measured / expected.
        log_mean: (terms + 1,) logarithm of what is expected, `offset` included; last the network's overhead.
        weights: (terms + 1,) such that `log_terms = log_mean + kernel @ weights`.
        log_terms: (terms + 1,) logarithm of the latencies.
        variances: Of each component of the kernel.
        noise_variance: Of the logarithm of a measurement.
    """

    prior_share: float
    offset: float
    log_mean: Array
    weights: Array
    log_terms: Array
    variances: dict[str, float]
    noise_variance: float


def shares(counts: Array, log_terms: Array) -> Array:
    """(networks, terms) each term's share of a network's latency: the gradient of its logarithm."""
    parts = counts * np.exp(log_terms)
    result: Array = parts / parts.sum(axis=1, keepdims=True)
    return result


def solve(counts: Array, latency_s: Array, terms: Terms) -> Solution:
    """Fits terms and the variances of their kernel to measurements.

    The share of the prior in what is expected is the one of `PRIOR_SHARES` with the largest marginal likelihood.

    Args:
        counts: (networks, terms + 1) how often each network runs each term; the last column is the fixed overhead's 1.
        latency_s: (networks,) seconds.
        terms: What the columns are.
    """
    problem = _Problem(counts, np.log(latency_s), terms)
    fits = []
    for share in PRIOR_SHARES:
        # From a blurred problem to the sharp one: the first has no far-off minima.
        start = problem.solution(share, dict(VARIANCES), 100 * NOISE_VARIANCE)
        sharp = problem.solution(share, dict(VARIANCES), NOISE_VARIANCE, start)
        fits.append(problem.with_likely_variances(sharp))
    _, best = max(fits, key=lambda fit: fit[0])
    for _ in range(_ROUNDS - 1):
        _, best = problem.with_likely_variances(best)
    return best


def solve_again(counts: Array, latency_s: Array, terms: Terms, fitted: Solution) -> Solution:
    """Fits terms to other measurements under the variances of an earlier fit; arguments as for `solve`."""
    problem = _Problem(counts, np.log(latency_s), terms)
    start = problem.solution(fitted.prior_share, fitted.variances, 100 * NOISE_VARIANCE)
    return problem.solution(fitted.prior_share, fitted.variances, fitted.noise_variance, start)


class _Problem:
    """Measurements to fit, with what does not depend on the variances."""

    def __init__(self, counts: Array, log_latency: Array, terms: Terms) -> None:
        self.counts, self.log_latency, self.terms = counts, log_latency, terms

    def solution(
        self, prior_share: float, variances: dict[str, float], noise_variance: float, start: Solution | None = None
    ) -> Solution:
        """Finds the most probable terms under given variances."""
        expected = self.terms.log_expected(prior_share)
        offset = float(np.median(self.log_latency - np.log(self.counts[:, :-1] @ np.exp(expected))))
        overhead = math.log(OVERHEAD_SHARE) + float(np.median(self.log_latency))
        mean = np.append(expected + offset, overhead)
        kernel = self.terms.kernel(variances)
        # Another kernel turns the same weights into other terms: start from the terms, not from the weights.
        weights = np.zeros_like(mean) if start is None else _weights_of(start.log_terms - mean, kernel)
        weights = _most_probable(self.counts, self.log_latency, mean, kernel, noise_variance, weights)
        return Solution(prior_share, offset, mean, weights, mean + kernel @ weights, variances, noise_variance)

    def with_likely_variances(self, solution: Solution) -> tuple[float, Solution]:
        """Returns the logarithm of the marginal likelihood at the likeliest variances, and the solution under them."""
        gradient = shares(self.counts, solution.log_terms)
        rows = np.linspace(0, len(gradient) - 1, min(len(gradient), _MOST_ROWS)).round().astype(int)
        residual = self.log_latency - np.log(self.counts @ np.exp(solution.log_terms))
        residual += gradient @ (solution.log_terms - solution.log_mean)
        evidence, variances, noise = _likely_variances(gradient[rows], residual[rows], self.terms, solution)
        return evidence, self.solution(solution.prior_share, variances, noise, solution)


def _weights_of(deviation: Array, kernel: Array) -> Array:
    return np.asarray(np.linalg.solve(kernel + _jitter(kernel), deviation), dtype=np.float64)


def _root(kernel: Array) -> Array:
    return np.asarray(np.linalg.cholesky(kernel + _jitter(kernel)), dtype=np.float64)


def _jitter(kernel: Array) -> Array:
    result: Array = 1e-9 * float(np.trace(kernel)) / len(kernel) * np.eye(len(kernel))
    return result


def _most_probable(counts: Array, target: Array, mean: Array, kernel: Array, noise: float, weights: Array) -> Array:
    """Gauss–Newton steps, each the closed form of the problem made linear, halved until they improve."""

    def loss(log_terms: Array, weights: Array) -> float:
        residual = target - np.log(counts @ np.exp(log_terms))
        return float(residual @ residual / noise + (log_terms - mean) @ weights) / 2

    log_terms = mean + kernel @ weights
    least = loss(log_terms, weights)
    root: Array | None = None if len(target) <= len(mean) else _root(kernel)
    for _ in range(_STEPS):
        gradient = shares(counts, log_terms)
        residual = target - np.log(counts @ np.exp(log_terms)) + gradient @ (log_terms - mean)
        if root is None:
            solved: Any = np.linalg.solve(gradient @ kernel @ gradient.T + noise * np.eye(len(target)), residual)
        else:  # more networks than terms: the same by the smaller matrix (Woodbury)
            narrow = gradient @ root
            inner = narrow.T @ narrow + noise * np.eye(len(mean))
            solved = (residual - narrow @ np.linalg.solve(inner, narrow.T @ residual)) / noise
        weight_step = gradient.T @ solved - weights
        step = kernel @ weight_step
        length = min(1.0, _LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        while (found := loss(log_terms + length * step, weights + length * weight_step)) >= least and length > 1e-3:
            length /= 2
        if found >= least:
            break
        weights, gain, least = weights + length * weight_step, least - found, found
        log_terms = mean + kernel @ weights
        if gain < 1e-3:
            break
    return weights


def _likely_variances(
    gradient: Array, residual: Array, terms: Terms, solution: Solution
) -> tuple[float, dict[str, float], float]:
    """Maximises the marginal likelihood times a log-normal expectation of each variance."""
    names, projections = [], []
    for name, component in terms.components():
        names.append(name)
        projections.append(gradient @ component @ gradient.T)
    parts = np.stack([*projections, np.eye(len(residual))])
    expected = np.log([*(VARIANCES[name] for name in names), NOISE_VARIANCE])

    def loss(logs: Array) -> tuple[float, Array]:
        scales = np.exp(logs)
        system = np.tensordot(scales, parts, axes=1) + LEAST_NOISE_VARIANCE * np.eye(len(residual))
        inverse = np.linalg.inv(system)
        solved = inverse @ residual
        _, log_determinant = np.linalg.slogdet(system)
        away = (logs - expected) / _SPREAD
        value = (residual @ solved + log_determinant + away @ away) / 2
        slopes = (parts * (inverse - np.outer(solved, solved))).sum(axis=(1, 2))
        return float(value), scales * slopes / 2 + away / _SPREAD

    noise = max(solution.noise_variance - LEAST_NOISE_VARIANCE, LEAST_NOISE_VARIANCE)
    logs = minimise(loss, np.log([*(solution.variances[name] for name in names), noise]))
    found = np.exp(logs)
    variances = dict(zip(names, found[:-1].tolist(), strict=True))
    return -loss(logs)[0], variances, float(found[-1]) + LEAST_NOISE_VARIANCE


def minimise(loss: Callable[[Array], tuple[float, Array]], start: Array, steps: int = 60) -> Array:
    """Finds a minimum of a smooth function with BFGS (Nocedal & Wright, "Numerical Optimization", 2006, §6.1).

    Args:
        loss: Returns the value and the gradient (parameters,).
        start: (parameters,) where to begin.
        steps: At most so many.
    """
    point = start
    value, slope = loss(start)
    identity = np.eye(len(start))
    inverse_hessian = identity / max(1.0, float(np.linalg.norm(slope)))
    for _ in range(steps):
        step = -inverse_hessian @ slope
        length = min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        while (found := loss(point + length * step))[0] > value + 1e-4 * length * (slope @ step) and length > 1e-6:
            length /= 2
        if found[0] >= value:
            break
        moved, turned, gain = length * step, found[1] - slope, value - found[0]
        point, (value, slope) = point + moved, found
        if gain < 1e-4:
            break
        if (curvature := moved @ turned) > 1e-12:
            left = identity - np.outer(moved, turned) / curvature
            inverse_hessian = left @ inverse_hessian @ left.T + np.outer(moved, moved) / curvature
    return point
