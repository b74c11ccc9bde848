"""A Gaussian process over genomes: what a few trained networks say about all others, and how sure it is.

For standardised values (mean 0, variance 1) of networks x with standardised features φ(x):

    value(x) = c + β·φ(x) + g(x) + ε,   c ~ N(0, 1),   β_j ~ N(b, b²) with b = 1 / (k + 1) for k features,
    g ~ GP(0, s·exp(−Σ_p w_p·d(x_p, x'_p))),   ε ~ N(0, n)

The linear part is the prior mean with its coefficients integrated out in closed form (Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006, §2.7); features are oriented so that more is expected to be better
(log parameters, log MACs, zero-cost scores), hence b > 0: with few networks it is a sum of the features, with many the
data overrule it. The kernel counts knob differences, each with its own weight: d is 1 for different choices, less by
the share `order` for choices that stand near each other, because most knobs are ordered (kernel size, expansion,
repeats). With small weights the kernel is additive over knobs, so that one kernel covers both.

s, n and w_p maximise the marginal likelihood (§5.4.1, with its gradient) times log-normal priors, without which
28 weights could not be had from 8 networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ShapeError
from accelzoo.search.genomes import checked_matrix, checked_sizes, to_matrix
from accelzoo.search.quasi_newton import minimise
from accelzoo.search.space import GenomeMatrix

Array = npt.NDArray[np.float64]

# Medians of the log-normal priors of signal variance, noise variance and the sum of the weights, each a factor e wide;
# the weights deviate from each other by a further factor e. Chosen on the train split of Accel-NASBench.
_SIGNAL, _NOISE, _TOTAL_WEIGHT = 0.5, 0.02, 1.0
_INTERCEPT_VARIANCE = 1.0
MOST_FITTED = 256
"""Hyperparameters are fitted to at most so many networks, spread evenly over those given; predictions see all."""
_SMALLEST_VARIANCE = 1e-8  # far above rounding, so that equal genomes leave the covariance positive definite


class Prediction(NamedTuple):
    """Mean and standard deviation of the networks' values without noise, both `(n,)` in the values' unit."""

    mean: Array
    std: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What the marginal likelihood decides; variances are relative to the variance of the values.

    Attributes:
        signal_variance: s, of the differences that features do not explain.
        noise_variance: n, of training the same network again.
        knob_weights: w, one per position; 0 for a knob that makes no difference.
    """

    signal_variance: float
    noise_variance: float
    knob_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FeatureScale:
    """Makes features comparable: mean 0, variance 1 over a reference set of networks.

    Attributes:
        mean: `(k,)`.
        std: `(k,)`; 1 where a feature is constant.
    """

    mean: Array
    std: Array

    @classmethod
    def of(cls, features: Array) -> FeatureScale:
        """Returns the scale of features `(n, k)`; what is not finite counts for nothing."""
        known = np.isfinite(features)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, features, 0.0).sum(axis=0) / count
        std = np.sqrt((np.where(known, features - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(mean, np.where(std > 1e-9 * (1 + np.abs(mean)), std, 1.0))

    def __call__(self, features: Array) -> Array:
        """Returns standardised features `(n, k)`; one that is not finite becomes 0, the average network's."""
        with np.errstate(invalid="ignore"):
            scaled = (features - self.mean) / self.std
        return np.where(np.isfinite(scaled), scaled, 0.0)


class Surrogate:
    """Predicts the values of genomes from those of a few; the module's docstring has the model.

    Args:
        sizes: The number of choices of each position.
        genomes: Networks with values, integers `(n, positions)`, n ≥ 1; the same one may come twice.
        values: Their values, `(n,)`, finite.
        features: Their features, `(n, k)`, oriented so that more is expected to be better; None for none.
        scale: How to standardise features; by default over `genomes`, better over many networks of the space.
        order: How much nearer neighbouring choices are: 0 counts differences only, 1 counts steps.
        hyperparameters: Known ones; by default those of the largest posterior density, from at most 256 networks.

    Raises:
        ShapeError: If shapes do not fit or a choice is out of range.
        ValueError: If a value is not finite.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        genomes: npt.ArrayLike,
        values: npt.ArrayLike,
        features: npt.ArrayLike | None = None,
        *,
        scale: FeatureScale | None = None,
        order: float = 0.5,
        hyperparameters: Hyperparameters | None = None,
    ) -> None:
        self.sizes = checked_sizes(sizes)
        self._offsets = np.array([0, *accumulate(self.sizes)][:-1])
        self._distances = knob_distances(self.sizes, order)
        self._genomes = self._checked(genomes)
        column = _checked_values(values, len(self._genomes))
        raw = _checked_features(features, len(self._genomes))
        self._features = raw.shape[1]
        self._scale = scale or FeatureScale.of(raw)
        self._linear = self._scale(raw)
        self._slope = 1 / (self._features + 1)
        self._mean, self._std = float(column.mean()), float(column.std())
        if self._std <= 1e-12 * (1 + abs(self._mean)):  # all equal: any unit does
            self._std = 1.0
        self._residuals = (column - self._mean) / self._std - self._slope * self._linear.sum(axis=1)
        self.hyperparameters = hyperparameters or self._maximise()
        self._factorise()

    def predict(self, genomes: npt.ArrayLike, features: npt.ArrayLike | None = None) -> Prediction:
        """Predicts genomes.

        Args:
            genomes: Integers `(n, positions)`.
            features: The same features as those it was made with, `(n, k)`; one that is not finite is replaced by the
                average.

        Raises:
            ShapeError: If shapes do not fit or a choice is out of range.
        """
        asked = self._checked(genomes)
        linear = self._scaled(features, len(asked))
        covariance = self._covariance(self._genomes, self._linear, asked, linear)
        mean = self._slope * linear.sum(axis=1) + self._weighted @ covariance
        variance = self._prior_variance(linear) - ((self._whitening @ covariance) ** 2).sum(axis=0)
        std = np.sqrt(np.maximum(variance, 0.0))
        return Prediction(self._mean + self._std * mean, self._std * std)

    def rank(self, genomes: npt.ArrayLike, features: npt.ArrayLike | None = None) -> Array:
        """Returns the means that `predict` returns, `(n,)`, without the work for the standard deviations."""
        asked = self._checked(genomes)
        linear = self._scaled(features, len(asked))
        covariance = self._covariance(self._genomes, self._linear, asked, linear)
        return self._mean + self._std * (self._slope * linear.sum(axis=1) + self._weighted @ covariance)

    def with_pending(self, genomes: npt.ArrayLike, features: npt.ArrayLike | None = None) -> Surrogate:
        """Returns the surrogate that has seen these genomes come out as predicted: equal means, smaller deviations.

        It keeps networks in training from being proposed again (Desautels, Krause and Burdick, "Parallelizing
        Exploration-Exploitation Tradeoffs in Gaussian Process Bandit Optimization", JMLR 2014, §4.1).
        """
        added = self._checked(genomes)
        linear = self._scaled(features, len(added))
        covariance = self._covariance(self._genomes, self._linear, added, linear)
        seen = object.__new__(Surrogate)
        seen.__dict__.update(self.__dict__)
        seen._genomes = np.concatenate([self._genomes, added])
        seen._linear = np.concatenate([self._linear, linear])
        seen._residuals = np.concatenate([self._residuals, self._weighted @ covariance])
        seen._factorise()
        return seen

    @property
    def log_marginal_likelihood(self) -> float:
        """Of the standardised values, natural logarithm."""
        whitened = self._whitening @ self._residuals
        half_determinant = -np.log(np.diag(self._whitening)).sum()
        return float(-0.5 * whitened @ whitened - half_determinant - 0.5 * len(whitened) * math.log(2 * math.pi))

    def _factorise(self) -> None:
        covariance = self._covariance(self._genomes, self._linear, self._genomes, self._linear)
        covariance += (self.hyperparameters.noise_variance + _SMALLEST_VARIANCE) * np.eye(len(covariance))
        self._whitening = np.linalg.inv(np.linalg.cholesky(covariance))
        self._weighted = self._whitening.T @ (self._whitening @ self._residuals)

    def _covariance(self, ones: GenomeMatrix, linear: Array, others: GenomeMatrix, other_linear: Array) -> Array:
        weights = self.hyperparameters.knob_weights
        # Row p of a one-hot code times the table of weighted distances is a look-up; the sum over knobs is one product.
        knobs = zip(weights, self._distances, ones.T, strict=True)
        rows = np.concatenate([weight * table[choices] for weight, table, choices in knobs], axis=1)
        codes = np.zeros((len(others), rows.shape[1]))
        codes[np.arange(len(others))[:, None], others + self._offsets] = 1.0
        kernel: Array = self.hyperparameters.signal_variance * np.exp(-(rows @ codes.T))
        return kernel + _INTERCEPT_VARIANCE + self._slope**2 * (linear @ other_linear.T)

    def _prior_variance(self, linear: Array) -> Array:
        signal = self.hyperparameters.signal_variance
        variance: Array = signal + _INTERCEPT_VARIANCE + self._slope**2 * (linear**2).sum(axis=1)
        return variance

    def _maximise(self) -> Hyperparameters:
        """Finds the hyperparameters of the largest posterior density, from the middle of their priors."""
        positions = len(self.sizes)
        rows = np.linspace(0, len(self._genomes) - 1, min(len(self._genomes), MOST_FITTED)).astype(np.int64)
        middle = np.log([_SIGNAL, _NOISE, _TOTAL_WEIGHT / positions, *[1.0] * positions])
        pairs = zip(self._distances, self._genomes[rows].T, strict=True)
        distances = np.stack([table[np.ix_(column, column)].reshape(-1) for table, column in pairs])
        fixed = _INTERCEPT_VARIANCE + self._slope**2 * (self._linear[rows] @ self._linear[rows].T)
        loss = partial(negative_log_posterior, distances, fixed, self._residuals[rows], middle)
        best = minimise(loss, middle)
        # Rounded, so that the last bits of a machine's arithmetic do not decide what a search proposes.
        signal, noise, common, *weights = np.round(best, 4).tolist()
        return Hyperparameters(
            signal_variance=math.exp(signal),
            noise_variance=math.exp(noise),
            knob_weights=tuple(math.exp(common + weight) for weight in weights),
        )

    def _checked(self, genomes: npt.ArrayLike) -> GenomeMatrix:
        matrix = np.asarray(genomes)
        fits = matrix.ndim == 2 and matrix.shape[1] == len(self.sizes) and matrix.dtype == np.int64
        if fits and ((matrix >= 0) & (matrix < self.sizes)).all():
            return matrix
        return to_matrix(checked_matrix(genomes, self.sizes), len(self.sizes))  # slower, and says what is wrong

    def _scaled(self, features: npt.ArrayLike | None, count: int) -> Array:
        raw = _checked_features(features, count)
        if raw.shape[1] != self._features:
            raise ShapeError(f"features of shape {raw.shape} must have shape ({count}, {self._features})")
        return self._scale(raw)


def knob_distances(sizes: tuple[int, ...], order: float) -> tuple[Array, ...]:
    """Returns for every knob the distances between its choices, `(size, size)`: 0 for equal ones, at most 1.

    Args:
        sizes: The number of choices of each position.
        order: 0: any two different choices have distance 1; 1: choices i and j have |i − j| / (size − 1); else a mean.

    Raises:
        ValueError: If `order` is not from 0 to 1.
    """
    if not 0 <= order <= 1:
        raise ValueError(f"order (={order}) must be from 0 to 1")
    tables = []
    for size in sizes:
        steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        tables.append((1 - order) * (steps > 0) + order * steps / max(size - 1, 1))
    return tuple(tables)


def negative_log_posterior(
    distances: Array, fixed: Array, residuals: Array, middle: Array, point: Array
) -> tuple[float, Array]:
    """Returns minus the log posterior density of log hyperparameters, up to a constant, and its gradient.

    Args:
        distances: Of every pair of networks in every knob, `(positions, n · n)`.
        fixed: The part of the covariance without hyperparameters, `(n, n)`.
        residuals: Standardised values less the prior mean, `(n,)`.
        middle: Middle of the priors, as `point`; every one has standard deviation 1.
        point: Logarithms of signal variance, noise variance, the weights' common factor, and of each weight's own.
    """
    count = len(residuals)
    signal, noise = np.exp(point[:2])
    weights = np.exp(point[2] + point[3:])
    kernel = signal * np.exp(-(weights @ distances)).reshape(count, count)
    covariance = kernel + fixed + (noise + _SMALLEST_VARIANCE) * np.eye(count)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    inverse = whitening.T @ whitening
    solved = inverse @ residuals
    loss = 0.5 * residuals @ solved - np.log(np.diag(whitening)).sum() + 0.5 * ((point - middle) ** 2).sum()
    slope = 0.5 * (inverse - np.outer(solved, solved))  # of the loss by each entry of the covariance
    by_kernel = slope * kernel
    by_weight = -weights * (distances @ by_kernel.reshape(-1))
    gradient = np.array([by_kernel.sum(), noise * np.trace(slope), by_weight.sum(), *by_weight])
    return float(loss), gradient + point - middle


def _checked_values(values: npt.ArrayLike, count: int) -> Array:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (count,) or not count:
        raise ShapeError(f"values of shape {column.shape} must have shape ({count},): one for each of n ≥ 1 genomes")
    if not np.isfinite(column).all():
        raise ValueError("values must be finite")
    return column


def _checked_features(features: npt.ArrayLike | None, count: int) -> Array:
    matrix = np.zeros((count, 0)) if features is None else np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) != count:
        raise ShapeError(f"features of shape {matrix.shape} must have shape ({count}, k): one row for each genome")
    return matrix
