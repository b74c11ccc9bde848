"""Marginals, partition sums and draws are those of brute force; narrowing follows its schedule."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import BudgetError, ConfigError
from accelzoo.search.width import Narrowing, TemperatureSchedule, WidthModel, budgeted_model, solve_width
from tests.search.width.problems import SHAPES, Genome, Small, small

COLUMNS = ("error", "latency_s")
WEIGHTS = {"error": 1.0, "latency_s": 0.3}


def gibbs(problem: Small, weights: dict[str, float], temperature: float) -> dict[Genome, float]:
    scores = {g: -sum(w * v[n] for n, w in weights.items()) / temperature for g, v in problem.every().items()}
    most = max(scores.values())
    total = math.fsum(math.exp(score - most) for score in scores.values())
    return {genome: math.exp(score - most) / total for genome, score in scores.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_marginals_and_expectations_are_brute_force(shape: str) -> None:
    for seed in range(24):
        problem = small(seed, shape, COLUMNS)
        temperature = (0.05, 1.0, 20.0, math.inf)[seed % 4]
        model = WidthModel(costs=problem.costs(), weights=WEIGHTS, temperature=temperature)
        likely = gibbs(problem, WEIGHTS, temperature)
        for group, found in enumerate(model.marginals()):
            wanted = [math.fsum(p for g, p in likely.items() if g[group] == c) for c in range(problem.sizes[group])]
            assert found == pytest.approx(np.array(wanted), abs=1e-12)
        for name, mean in model.expectations().items():
            assert mean == pytest.approx(math.fsum(p * problem.totals(g)[name] for g, p in likely.items()), abs=1e-9)
        scores = [-sum(w * v[n] for n, w in WEIGHTS.items()) / temperature for v in problem.every().values()]
        assert model.log_partition == pytest.approx(np.logaddexp.reduce(scores), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_joint_draws_have_the_model_s_frequencies(shape: str) -> None:
    problem = small(6, shape, COLUMNS)
    count = 4_000
    model = WidthModel(costs=problem.costs(), weights=WEIGHTS, temperature=8.0)
    drawn = [tuple(row) for row in model.sample(count, draw.generator(3)).tolist()]
    likely = gibbs(problem, WEIGHTS, 8.0)
    # Pearson's statistic over classes with at least 5 expected draws stays below its mean + 5 standard deviations.
    classes = {genome: p for genome, p in likely.items() if count * p >= 5}
    statistic = sum((drawn.count(g) - count * p) ** 2 / (count * p) for g, p in classes.items())
    assert len(classes) > 3
    assert statistic < len(classes) + 5 * math.sqrt(2 * len(classes))
    apart = model.sample_apart(count, draw.generator(3))
    for group, marginal in enumerate(model.marginals()):
        shares = np.bincount(apart[:, group], minlength=len(marginal)) / count
        assert shares == pytest.approx(marginal, abs=5 * 0.5 / math.sqrt(count))


def test_equal_seeds_draw_equal_networks() -> None:
    model = WidthModel(costs=small(6, "tree", COLUMNS).costs(), weights=WEIGHTS, temperature=2.0)
    one, other = (model.sample(50, draw.generator(11)).tolist() for _ in range(2))
    assert one == other
    assert one != model.sample(50, draw.generator(12)).tolist()


def test_cold_models_choose_the_relaxation_s_best() -> None:
    for seed in range(10):
        problem = small(seed, "chain", COLUMNS)
        latencies = sorted(v["latency_s"] for v in problem.every().values())
        budgets = {"latency_s": latencies[len(latencies) // 2]}
        model = budgeted_model(problem.costs(), budgets, 1e-4)
        weighted = {g: sum(model.weights[n] * v[n] for n in COLUMNS) for g, v in problem.every().items()}
        best = min(weighted.values())
        for genome in model.sample(5, draw.generator(seed)).tolist():
            assert weighted[tuple(genome)] == pytest.approx(best, abs=0.01)
        bound = solve_width(problem.costs(), budgets, method="lagrangian").lower_bound
        assert best - model.weights.get("latency_s", 0.0) * budgets["latency_s"] == pytest.approx(bound, abs=1e-9)


def test_expectations_are_held_to_the_budgets_at_every_temperature() -> None:
    problem = small(6, "tree", (*COLUMNS, "weight_bytes"))
    every = list(problem.every().values())
    budgets = {name: float(np.quantile([v[name] for v in every], 0.3)) for name in ("latency_s", "weight_bytes")}
    for temperature in (0.5, 5.0, 50.0):
        model = budgeted_model(problem.costs(), budgets, temperature, hold="expectation")
        means = model.expectations()
        for name, most in budgets.items():
            assert means[name] <= most + 1e-4 * abs(most) + 1e-4
            assert model.weights[name] >= 0
        assert any(means[name] == pytest.approx(most, rel=1e-3, abs=1e-3) for name, most in budgets.items())


def test_impossible_budgets_are_said_so() -> None:
    costs = small(6, "chain", COLUMNS).costs()
    for temperature in (1.0, math.inf):
        with pytest.raises(BudgetError, match=r"latency_s: at most -10000\.0, least achievable"):
            budgeted_model(costs, {"latency_s": -1e4}, temperature)
    with pytest.raises(ConfigError, match="temperature"):
        WidthModel(costs=costs, weights=WEIGHTS, temperature=0.0)
    with pytest.raises(ValueError, match="hold"):
        budgeted_model(costs, {}, 1.0, hold="mean")  # type: ignore[arg-type]


def test_the_default_schedule_is_the_authors() -> None:
    # Of 20 epochs: 5 without, then 1 at epoch 5, 0.01 at 6, 0.001 at 10, 0.0005 at 20, geometric between.
    schedule = TemperatureSchedule()
    assert schedule.at(4.9 / 20) == math.inf
    for epoch, wanted in ((5, 1.0), (5.5, 0.1), (6, 0.01), (8, math.sqrt(1e-5)), (10, 1e-3), (20, 5e-4)):
        assert schedule.at(epoch / 20) == pytest.approx(wanted)
    with pytest.raises(ConfigError, match="progress"):
        schedule.at(1.1)
    with pytest.raises(ConfigError) as caught:
        TemperatureSchedule(points=((0.5, 1.0), (0.4, -1.0), (2.0, 1.0)))
    assert len(caught.value.faults) == 3


def test_narrowing_draws_ever_better_networks() -> None:
    problem = small(6, "chain", COLUMNS)
    costs = problem.costs()
    latencies = sorted(v["latency_s"] for v in problem.every().values())
    budgets = {"latency_s": latencies[len(latencies) // 3]}
    schedule = TemperatureSchedule(points=((0.2, 50.0), (1.0, 0.01)))
    for joint in (True, False):
        narrowing = Narrowing(budgets=budgets, schedule=schedule, joint=joint)
        drawn = [narrowing.draw(costs, progress, 400, draw.generator(2)) for progress in (0.0, 0.6, 1.0)]
        distinct = [len({tuple(row) for row in rows.tolist()}) for rows in drawn]
        assert distinct[0] > distinct[1] >= distinct[2]
        weights = narrowing.model(costs, 1.0).weights
        values = [np.mean(costs.totals(rows) @ [weights.get(name, 0.0) for name in costs.columns]) for rows in drawn]
        assert values[0] > values[1] >= values[2] - 1e-9
