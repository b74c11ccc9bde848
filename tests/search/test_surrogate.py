"""The surrogate equals independent computations of the same Gaussian process."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

from accelzoo import draw
from accelzoo.errors import ShapeError
from accelzoo.search.acquisition import expected_improvement, first_best, upper_confidence_bound
from accelzoo.search.quasi_newton import minimise
from accelzoo.search.surrogate import (
    FeatureScale,
    Hyperparameters,
    Prediction,
    Surrogate,
    knob_distances,
    negative_log_posterior,
)

SIZES = (3, 2, 4)
KNOWN = Hyperparameters(signal_variance=0.7, noise_variance=0.05, knob_weights=(0.4, 1.1, 0.2))
ORDER = 0.25
Array = npt.NDArray[np.float64]


class DirectKernel(Kernel):  # type: ignore[misc]
    """The covariance of the docstring, entry by entry; rows are genomes followed by two standardised features."""

    def __init__(self) -> None:  # scikit-learn reads its signature
        pass

    def __call__(self, one: Array, other: Array | None = None, eval_gradient: bool = False) -> Array:
        other = one if other is None else other
        return np.array([[self.entry(left, right) for right in other] for left in one])

    def entry(self, left: Array, right: Array) -> float:
        exponent = 0.0
        for knob, (size, weight) in enumerate(zip(SIZES, KNOWN.knob_weights, strict=True)):
            steps = abs(left[knob] - right[knob])
            exponent += weight * ((1 - ORDER) * (steps > 0) + ORDER * steps / (size - 1))
        return float(1 + (left[3] * right[3] + left[4] * right[4]) / 9 + 0.7 * np.exp(-exponent))

    def diag(self, rows: Array) -> Array:
        return np.array([self.entry(row, row) for row in rows])

    def is_stationary(self) -> bool:
        return False


def example(count: int, seed: int = 0) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Genomes (some twice), features and values."""
    rng = draw.generator(seed)
    genomes = np.array([[draw.below(rng, size) for size in SIZES] for _ in range(count)])
    features = np.array([[5 + 2 * draw.uniform(rng), 100 * draw.uniform(rng)] for _ in range(count)])
    values = genomes @ np.array([1.0, -2.0, 0.5]) + 0.02 * features[:, 1] + [draw.uniform(rng) for _ in range(count)]
    return genomes, features, values


def test_predictions_equal_scikit_learn() -> None:
    genomes, features, values = example(15)
    asked, asked_features, _ = example(40, seed=1)
    mean, std = features.mean(axis=0), features.std(axis=0)
    linear, asked_linear = (features - mean) / std, (asked_features - mean) / std
    standard = (values - values.mean()) / values.std()
    peer = GaussianProcessRegressor(DirectKernel(), alpha=0.05, optimizer=None)
    peer.fit(np.c_[genomes, linear], standard - linear.sum(axis=1) / 3)
    expected, deviation = peer.predict(np.c_[asked, asked_linear], return_std=True)

    model = Surrogate(SIZES, genomes, values, features, order=ORDER, hyperparameters=KNOWN)
    found = model.predict(asked, asked_features)
    expected = values.mean() + values.std() * (expected + asked_linear.sum(axis=1) / 3)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-6)
    np.testing.assert_allclose(found.std, values.std() * deviation, rtol=1e-5)
    np.testing.assert_allclose(model.rank(asked, asked_features), expected, rtol=1e-6)
    assert model.log_marginal_likelihood == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-6)


def test_a_pending_network_is_one_that_came_out_as_predicted() -> None:
    genomes, features, values = example(12)
    asked, asked_features, _ = example(30, seed=2)
    model = Surrogate(SIZES, genomes, values, features, order=ORDER, hyperparameters=KNOWN)
    pending = model.with_pending(asked[:3], asked_features[:3])
    before, after = model.predict(asked, asked_features), pending.predict(asked, asked_features)
    np.testing.assert_allclose(after.mean, before.mean, rtol=1e-6)
    assert (after.std < before.std).all()
    # One pending network by the formula for conditioning a bivariate normal; covariances by the direct kernel.
    linear, asked_linear = (FeatureScale.of(features)(part) for part in (features, asked_features))
    kernel = DirectKernel()
    known = kernel(np.c_[genomes, linear]) + 0.05 * np.eye(12)
    cross = kernel(np.c_[genomes, linear], np.c_[asked, asked_linear])
    posterior = kernel(np.c_[asked, asked_linear]) - cross.T @ np.linalg.solve(known, cross)
    variance = np.diag(posterior) - posterior[0] ** 2 / (posterior[0, 0] + 0.05)
    single = model.with_pending(asked[:1], asked_features[:1]).predict(asked, asked_features)
    np.testing.assert_allclose(single.std, values.std() * np.sqrt(variance), rtol=1e-5)
    np.testing.assert_allclose(model.predict(asked, asked_features).std, before.std)  # it was not changed itself


def test_the_posterior_density_and_its_gradient() -> None:
    genomes, features, values = example(10)
    linear = FeatureScale.of(features)(features)
    residuals = (values - values.mean()) / values.std() - linear.sum(axis=1) / 3
    tables = knob_distances(SIZES, ORDER)
    pairs = zip(tables, genomes.T, strict=True)
    distances = np.stack([table[np.ix_(column, column)].reshape(-1) for table, column in pairs])
    fixed = 1 + linear @ linear.T / 9
    middle = np.zeros(6)
    point = np.array([np.log(0.7), np.log(0.05), 0.0, *np.log(KNOWN.knob_weights)])
    loss, gradient = negative_log_posterior(distances, fixed, residuals, middle, point)
    covariance = DirectKernel()(np.c_[genomes, linear]) + (0.05 + 1e-8) * np.eye(10)
    likelihood = multivariate_normal(np.zeros(10), covariance).logpdf(residuals)
    assert loss == pytest.approx(-likelihood - 5 * np.log(2 * np.pi) + 0.5 * (point**2).sum(), rel=1e-9)
    for index in range(6):
        step = np.eye(6)[index] * 1e-5
        above, _ = negative_log_posterior(distances, fixed, residuals, middle, point + step)
        below, _ = negative_log_posterior(distances, fixed, residuals, middle, point - step)
        assert gradient[index] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)


def test_a_knob_without_effect_gets_the_smallest_weight() -> None:
    genomes = np.array(list(itertools.product(range(3), range(3), range(3))))
    values = np.array([0.0, 3.0, 1.0])[genomes[:, 0]] * np.array([1.0, -1.0, 0.5])[genomes[:, 2]]
    model = Surrogate((3, 3, 3), genomes, values)
    weights = model.hyperparameters.knob_weights
    assert weights[1] < 0.2 * min(weights[0], weights[2])
    assert model.hyperparameters.noise_variance < 0.02
    np.testing.assert_allclose(model.predict(genomes).mean, values, atol=0.3)


def test_features_are_believed_where_networks_are_few_and_overruled_where_they_are_many() -> None:
    rng = draw.generator(3)
    genomes = np.array([[draw.below(rng, 5) for _ in range(6)] for _ in range(300)])
    feature = genomes.sum(axis=1, keepdims=True).astype(np.float64)
    scale = FeatureScale.of(feature)
    few = Surrogate((5,) * 6, genomes[:1], [1.0], feature[:1], scale=scale)
    assert np.corrcoef(few.rank(genomes, feature), feature[:, 0])[0, 1] > 0.9
    many = Surrogate((5,) * 6, genomes[:60], -feature[:60, 0], feature[:60], scale=scale)
    assert np.corrcoef(many.rank(genomes, feature), feature[:, 0])[0, 1] < -0.95


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0, 2.0], [1e9, -1e9, 0.0], [-1e6, -1e6, 0.5], [0.0, 1e-12, 0.0]])
def test_tiny_tied_and_extreme_samples_give_finite_predictions(values: list[float]) -> None:
    genomes = np.array([[0, 1, 2], [0, 1, 2], [2, 0, 0]])[: len(values)]
    found = Surrogate(SIZES, genomes, values).predict(np.array([[0, 1, 2], [1, 1, 1]]))
    assert np.isfinite(found.mean).all()
    assert (found.std >= 0).all()
    assert found.std[0] < found.std[1]


def test_an_unknown_feature_counts_as_average() -> None:
    genomes, features, values = example(15)
    model = Surrogate(SIZES, genomes, values, features)
    average = model.rank(genomes[:1], features.mean(axis=0, keepdims=True))
    assert model.rank(genomes[:1], [[np.nan, np.inf]]) == pytest.approx(average)
    scale = FeatureScale.of(np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]]))
    assert scale.mean.tolist() == [2, 7]
    assert scale.std.tolist() == [1, 1]


def test_what_does_not_fit_is_refused() -> None:
    genomes, features, values = example(4)
    with pytest.raises(ShapeError, match="values of shape"):
        Surrogate(SIZES, genomes, values[:3])
    with pytest.raises(ShapeError, match="n ≥ 1"):
        Surrogate(SIZES, genomes[:0], [])
    with pytest.raises(ValueError, match="finite"):
        Surrogate(SIZES, genomes, [0.0, 1.0, 2.0, -np.inf])
    with pytest.raises(ShapeError, match="choice 4 at position 2"):
        Surrogate(SIZES, genomes, values).predict([[0, 0, 4]])
    with pytest.raises(ShapeError, match=r"must have shape \(4, 2\)"):
        Surrogate(SIZES, genomes, values, features).predict(genomes)
    with pytest.raises(ValueError, match=r"order \(=2\) must be from 0 to 1"):
        knob_distances(SIZES, 2)


def test_acquisitions_have_their_closed_forms() -> None:
    prediction = Prediction(np.array([1.0, 2.0, 0.5]), np.array([0.5, 1.0, 2.0]))
    assert upper_confidence_bound(prediction, 9.0, 2.0).tolist() == [2.0, 4.0, 4.5]
    gain = prediction.mean - 1.5 - 0.1 * prediction.std
    ratio = gain / prediction.std
    expected = gain * norm.cdf(ratio) + prediction.std * norm.pdf(ratio)
    np.testing.assert_allclose(expected_improvement(prediction, 1.5, 0.1), expected, rtol=1e-12)
    certain = Prediction(np.array([1.0, 3.0]), np.zeros(2))
    np.testing.assert_allclose(expected_improvement(certain, 2.0, 0.0), [0.0, 1.0], atol=1e-12)


def test_rounding_does_not_decide() -> None:
    assert first_best(np.array([0.0, 0.3, 0.1 + 0.2])) == 1
    assert first_best(np.array([0.0, 0.3, 0.31])) == 2
    assert first_best(np.full(3, 7.0)) == 0


def test_the_minimiser_reaches_a_known_minimum() -> None:
    def rosenbrock(x: Array) -> tuple[float, Array]:
        slope = [-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)]
        return float((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2), np.array(slope)

    found = minimise(rosenbrock, np.array([-1.2, 1.0]), steps=200, tolerance=1e-14)
    np.testing.assert_allclose(found, [1, 1], atol=1e-4)
