"""Scores against the paper's formula, budgets, and what an algorithm is told."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from typing import Any

import pytest

from accelzoo.errors import ConfigError
from accelzoo.search import Budgets, Objective, Price, Record
from accelzoo.search.objective import value
from tests.search.toy import ToyCost

BASE = {
    "latency_s": 2e-3,
    "energy_j": 1e-3,
    "peak_activation_bytes": 10,
    "weight_bytes": 200,
    "dram_bytes": 0,
    "macs": 5,
}

REFERENCE_S = 1e-3


def price(**changes: float) -> Price:
    return Price(**{**BASE, **changes})


def test_without_exponent_the_score_is_the_accuracy() -> None:
    assert Objective().score(0.7531, None) == 0.7531
    assert Objective().score(-3.0, price()) == -3.0


def test_twice_the_latency_costs_five_percent() -> None:
    # MnasNet, section 3.1: "doubling the latency usually brings about 5% relative accuracy gain": 2^0.07 = 1.0497
    objective = Objective(exponent=-0.07, reference=1e-3)
    assert objective.score(0.75, price(latency_s=1e-3)) == 0.75
    assert objective.score(0.75 * 1.05, price(latency_s=2e-3)) == pytest.approx(0.75, rel=5e-4)


@pytest.mark.parametrize("exponent", [-0.07, -1.0, -0.3])
@pytest.mark.parametrize("latency_s", [1e-4, 0.9e-3, 3.3e-3, 7.0])
def test_the_score_is_the_correctly_rounded_power(exponent: float, latency_s: float) -> None:
    with localcontext() as context:
        context.prec = 60
        factor = float((Decimal(latency_s) / Decimal(REFERENCE_S)) ** Decimal(exponent))
    score = Objective(exponent=exponent, reference=REFERENCE_S).score(0.8, price(latency_s=latency_s))
    assert score == 0.8 * factor
    assert score == pytest.approx(0.8 * math.pow(latency_s / 1e-3, exponent), rel=1e-12)


def test_any_cost_field_can_be_in_the_score() -> None:
    objective = Objective(exponent=-1.0, cost_field="weight_bytes", reference=100)
    assert objective.score(0.5, price()) == 0.25


@pytest.mark.parametrize(
    ("accuracy", "changes", "said"),
    [
        (math.nan, {}, "the signal returned nan"),
        (math.inf, {}, "the signal returned inf"),
        (-0.1, {}, "below 0"),
        (0.5, {"latency_s": 0.0}, "needs a positive one"),
    ],
)
def test_what_has_no_score_says_why(accuracy: float, changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objective(exponent=-0.07, reference=1e-3).score(accuracy, price(**changes))


def test_a_score_among_the_infeasible_values_is_refused() -> None:
    assert Objective().score(-1e6, None) == -1e6
    with pytest.raises(ValueError, match="not below -1000000"):
        Objective().score(-1.1e6, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"exponent": 0.1}, "exponent .* must be zero or negative"),
        ({"exponent": math.nan}, "exponent"),
        ({"exponent": -0.07}, "needs a reference latency_s"),
        ({"exponent": -0.07, "reference": 0.0}, r"reference \(=0.0\) must be positive"),
        ({"cost_field": "latency"}, "allowed: latency_s, .*did you mean 'latency_s'"),
    ],
)
def test_a_wrong_objective_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objective(**settings)


def test_budgets_report_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Budgets.of({"latency": 1.0, "energy_j": -1.0, "macs": True, "weight_bytes": math.inf, "dram_bytes": 5.0})
    assert caught.value.faults == (
        "budgets.latency: unknown cost field; allowed: latency_s, energy_j, peak_activation_bytes, weight_bytes, "
        "dram_bytes, macs; did you mean 'latency_s'?",
        "budgets.energy_j: -1.0 must be a positive finite number",
        "budgets.macs: True must be a positive finite number",
        "budgets.weight_bytes: inf must be a positive finite number",
    )


def test_violation_is_the_sum_of_relative_excesses() -> None:
    budgets = Budgets.of({"weight_bytes": 100, "latency_s": 4e-3, "energy_j": 0.8e-3})
    assert [name for name, _ in budgets] == ["latency_s", "energy_j", "weight_bytes"]
    assert budgets.violation(price()) == pytest.approx(0.25 + 1.0)
    assert budgets.violation(price(weight_bytes=100, energy_j=1e-9)) == 0
    assert Budgets.of(None).violation(price()) == 0
    assert not Budgets.of({})


def test_one_bit_over_budget_is_over_budget() -> None:
    budgets = Budgets.of({"latency_s": 2e-3})
    assert budgets.violation(price(latency_s=math.nextafter(2e-3, 1))) > 0
    assert budgets.violation(price(latency_s=2e-3)) == 0


def test_every_feasible_value_is_above_every_infeasible_one_and_nearer_is_higher() -> None:
    scored = [Record(index=0, genome=(), status="ok", score=score) for score in (0.9, 0.0, -5.0, -1e6)]
    over = [Record(index=0, genome=(), status="infeasible", violation=excess) for excess in (1e-6, 0.5, 40.0)]
    failed = Record(index=0, genome=(), status="failed")
    values = [value(record, []) for record in (*scored, *over, failed)]
    assert all(one > other for one, other in itertools.pairwise(values))
    assert values[5] == -1.5e6
    assert values[-1] == -math.inf


def test_a_duplicate_has_the_value_of_what_it_repeats() -> None:
    first = Record(index=0, genome=(0,), status="infeasible", violation=0.5)
    again = Record(index=1, genome=(1,), status="duplicate", violation=0.5, duplicate_of=0)
    assert value(again, [first, again]) == -1.5e6


@pytest.mark.parametrize(("name", "wrong"), [("latency_s", math.nan), ("energy_j", math.inf), ("macs", -1)])
def test_a_price_is_made_of_finite_numbers(name: str, wrong: float) -> None:
    assert Price.of(ToyCost(latency_s=1.0)).macs == 1000
    with pytest.raises(ValueError, match=name):
        Price.of(ToyCost(**{"latency_s": 1.0, name: wrong}))  # type: ignore[arg-type]
