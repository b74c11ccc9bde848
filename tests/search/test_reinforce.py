"""REINFORCE keeps the contract, follows its gradient, ends at the optimum, and its rewards are those of TuNAS."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import draw
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.algorithms._softmax import exponential, softmax
from accelzoo.search.algorithms.reinforce import Reinforce, absolute_reward
from accelzoo.search.conformance import AlgorithmContract
from tests.search.toy import SPACE, costs, search


class TestAbsoluteReward(AlgorithmContract):
    algorithm = Reinforce
    objectives = 2
    options = {"target": 8.0, "entropy": 0.1}  # noqa: RUF012 (as the base class has it)


class TestWithRepeats(AlgorithmContract):
    algorithm = Reinforce
    options = {"avoid_duplicates": False}  # noqa: RUF012


def test_the_exponential_is_right_to_the_last_digits() -> None:
    exponents = np.concatenate([np.linspace(-40, 0, 4001), [-650.0, -701.0, -math.inf, -1e-300]])
    expected = np.array([math.exp(exponent) if exponent > -700 else 0.0 for exponent in exponents])
    assert np.abs(exponential(exponents) / np.where(expected, expected, 1.0) - (expected > 0)).max() < 4e-16
    assert exponential(np.zeros(1)).tolist() == [1.0]


def test_softmax_of_known_logits() -> None:
    logits = np.array([[0.0, math.log(3), -math.inf], [5.0, 5.0, 5.0], [900.0, 0.0, -math.inf]])
    assert softmax(logits) == pytest.approx(np.array([[1 / 4, 3 / 4, 0], [1 / 3] * 3, [1, 0, 0]]))


def test_the_absolute_reward_falls_to_both_sides_of_the_target() -> None:
    assert absolute_reward(0.75, 4e-3, 4e-3) == 0.75
    assert absolute_reward(0.75, 5e-3, 4e-3) == pytest.approx(0.75 - 0.1 * 0.25)
    assert absolute_reward(0.75, 3e-3, 4e-3) == pytest.approx(0.75 - 0.1 * 0.25)
    assert absolute_reward(0.75, 8e-3, 4e-3, beta=-0.5) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="target"):
        absolute_reward(0.75, 1.0, 0.0)
    with pytest.raises(ValueError, match="beta"):
        absolute_reward(0.75, 1.0, 1.0, beta=0.1)


def learn(algorithm: Reinforce, quality: Any, turns: int) -> None:
    for _ in range(turns):
        genomes = algorithm.ask(4)
        algorithm.tell(genomes, quality(genomes))


def separable(sizes: tuple[int, ...], seed: int) -> tuple[list[int], Any]:
    """Each choice adds its own random amount, of which the best is 0.2 ahead: the optimum, and the quality."""
    rng = np.random.default_rng(seed)
    terms = [rng.random(size) for size in sizes]
    best = [int(rng.integers(size)) for size in sizes]
    for row, choice in zip(terms, best, strict=True):
        row[choice] = 1.2

    def quality(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.array([sum(row[choice] for row, choice in zip(terms, genome, strict=True)) for genome in genomes])

    return best, quality


def test_it_concentrates_on_the_optimum_of_a_separable_problem() -> None:
    sizes = (4, 3, 1, 5, 2, 4)
    for seed in range(5):
        best, quality = separable(sizes, seed)
        algorithm = Reinforce(sizes, draw.generator(seed), learning_rate=0.05, avoid_duplicates=False)
        learn(algorithm, quality, 400)
        assert list(algorithm.most_probable) == best
        assert [row.shape for row in algorithm.probabilities] == [(size,) for size in sizes]
        assert all(row[choice] > 0.9 for row, choice in zip(algorithm.probabilities, best, strict=True))


def test_entropy_keeps_the_policy_open() -> None:
    sizes = (4, 4, 4)
    _, quality = separable(sizes, 1)
    strong = Reinforce(sizes, draw.generator(0), learning_rate=0.05, entropy=100.0, avoid_duplicates=False)
    learn(strong, quality, 400)
    assert all(row.min() > 0.2 for row in strong.probabilities)  # 1/4 each without any reward


def test_it_ends_at_the_target_cost() -> None:
    # Quality rises with every choice, and so does cost, from 0 to 12; alone, quality would take all.
    sizes = (3,) * 6

    def values(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        cost = genomes.sum(axis=1)
        return np.stack([0.7 + 0.01 * cost, -1.0 * cost], axis=1)

    for target in (4.0, 8.0):
        algorithm = Reinforce(
            sizes, draw.generator(2), learning_rate=0.05, target=target, beta=-0.5, avoid_duplicates=False
        )
        learn(algorithm, values, 600)
        assert sum(algorithm.most_probable) == target


def test_the_first_steps_are_those_of_the_formulas() -> None:
    algorithm = Reinforce((2, 2), draw.generator(0), learning_rate=0.1, baseline_momentum=0.5)
    algorithm.tell(np.array([[0, 0]]), np.array([1.0]))  # sets the baseline; no advantage, no step
    assert [row.tolist() for row in algorithm.probabilities] == [[0.5, 0.5]] * 2
    # Advantage 1, gradient ±1/2; Adam's first step is the learning rate along the sign: logits ∓0.1.
    algorithm.tell(np.array([[1, 0]]), np.array([2.0]))
    up = 1 / (1 + math.exp(-0.2))
    assert algorithm.probabilities[0] == pytest.approx([1 - up, up], abs=1e-7)
    assert algorithm.probabilities[1] == pytest.approx([up, 1 - up], abs=1e-7)
    # The baseline is 1.5 now: reward 1.5 is no news.
    before = [row.tolist() for row in algorithm.probabilities]
    algorithm.tell(np.array([[0, 1]]), np.array([1.5]))
    assert [row.tolist() for row in algorithm.probabilities] == before


def test_failures_and_infeasible_candidates_lower_their_choices_and_leave_the_baseline() -> None:
    for bad in (-math.inf, -1e6 * 1.3):
        algorithm = Reinforce((3,), draw.generator(0), baseline_momentum=0.5)
        algorithm.tell(np.array([[0], [1]]), np.array([1.0, 1.0]))
        algorithm.tell(np.array([[0]]), np.array([bad]))  # before any spread is known: no step
        assert algorithm.probabilities[0] == pytest.approx([1 / 3] * 3)
        algorithm.tell(np.array([[1], [2]]), np.array([2.0, bad]))
        policy = algorithm.probabilities[0]
        assert policy[1] > policy[0] > policy[2]
        algorithm.tell(np.array([[0]]), np.array([1.5]))  # the baseline, had nothing failed
        assert algorithm.probabilities[0].tolist() == policy.tolist()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"learning_rate": 0}, "learning_rate (=0) must be positive"),
        ({"baseline_momentum": 1}, "baseline_momentum (=1) must be from 0 to below 1"),
        ({"entropy": -1}, "entropy (=-1) must not be negative"),
        ({"target": 0}, "target (=0) must be a positive cost"),
        ({"beta": 0.1}, "beta (=0.1) must be negative"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Reinforce((2, 2), draw.generator(0), **options)
    assert fault in caught.value.faults[0]


def test_values_must_fit_the_kind_of_reward() -> None:
    genomes = np.array([[0, 1]])
    with pytest.raises(ShapeError, match=r"must have shape \(n, 2\): quality, and minus the cost"):
        Reinforce((2, 2), draw.generator(0), target=1.0).tell(genomes, np.array([1.0]))
    with pytest.raises(ShapeError, match=r"must have shape \(n,\): rewards"):
        Reinforce((2, 2), draw.generator(0)).tell(genomes, np.array([[1.0, -1.0]]))


def test_the_search_loop_runs_it_under_a_budget() -> None:
    result = search(SPACE, evaluations=40, algorithm="reinforce", costs=costs, budgets={"latency_s": 0.006})
    assert result.best.genome == (2, 2, 1, 0)  # the most accurate of latency 1 + 5 ms, by hand
