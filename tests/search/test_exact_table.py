"""Additive tables: what is refused and where the fault is, certificates, and rounding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.search import exact
from accelzoo.search.exact import AdditiveTable, Layer

TWO = {"error": [[3.0, 1.0], [2.0, 0.0, 5.0]], "cost": [[1.0, 4.0], [1.0, 2.0, 0.5]]}


@pytest.mark.parametrize(
    ("each", "between", "fault"),
    [
        ({"e": [[1.0], [2.0, math.nan]]}, {}, "column 'e', position 1, choice 1: nan is no finite number"),
        ({"e": [[math.inf]]}, {}, "position 0, choice 0: inf"),
        ({"e": [[1.0], []]}, {}, "position 1 has no choice"),
        ({"e": []}, {}, "at least one position"),
        ({}, {}, "at least one position"),
        ({"e": [[1.0], [2.0]], "f": [[1.0], [2.0, 3.0]]}, {}, "column 'f': choices per position [1, 2] must be [1, 1]"),
        ({"e": [[1.0], [[2.0]]]}, {}, "column 'e', position 1: shape (1, 1) must have 1 axis"),
        ({"e": [[1.0], ["x"]]}, {}, "column 'e', position 1: ['x'] are no numbers"),
        ({"e": [[1.0], [2.0]]}, {"l": [[[math.nan]]]}, "column 'l', positions 0 and 1, choice 0, 0: nan"),
        ({"e": [[1.0], [2.0]]}, {"l": [[[1.0, 2.0]]]}, "positions 0 and 1: shape (1, 2) must be (1, 1)"),
        ({"e": [[1.0], [2.0]]}, {"l": []}, "0 tables between 2 positions"),
        ({"e": [[2**60]]}, {}, "beyond 2⁵³"),
        ({"e": [[2.0**52], [2.0**52], [2.0**52]]}, {}, "beyond what float64 can add up"),
        ({"e": [[1.5e308], [1.5e308]]}, {}, "beyond what float64 can add up"),
        ({}, {"l": [None]}, "must have every table"),
    ],
)
def test_faults_are_named_with_their_place(each: Any, between: Any, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        AdditiveTable.of(each, between)
    assert fault in str(raised.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        AdditiveTable.of({"e": [[math.nan], [1.0, -math.inf]]})
    assert len(raised.value.faults) == 2


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda t: exact.solve(t, {"costs": 3.0}), "budgets.costs: unknown column; allowed: error, cost; did you mean"),
        (lambda t: exact.solve(t, {"cost": math.nan}), "budgets.cost: nan must be a finite number"),
        (lambda t: exact.solve(t, {"cost": math.inf}), "inf must be a finite number"),
        (lambda t: exact.solve(t, {"cost": True}), "True must be a finite number"),
        (lambda t: exact.solve(t, {"cost": (3.0, 2.0)}), "the least 3.0 is above the most 2.0"),
        (lambda t: exact.solve(t, objective="eror"), "objective: unknown column 'eror'"),
        (lambda t: exact.solve(t, count=0), "count (=0)"),
        (lambda t: exact.front(t, ("error", "error")), "each once"),
        (lambda t: exact.front(t, ("error", "x")), "objectives: unknown column 'x'"),
        (lambda t: t.with_column("cost", [[1, 2], [1, 2, 3]]), "there is one already"),
        (lambda t: t.with_column("new", [[1, 2], [1, 2]]), "choices (2, 2) must be (2, 3)"),
        (lambda t: AdditiveTable.of(TWO, higher_is_better=["x"]), "no column is called 'x'"),
    ],
)
def test_bad_questions_are_refused(call: Any, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        call(AdditiveTable.of(TWO))
    assert fault in str(raised.value)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="milp"):
        exact.solve(AdditiveTable.of(TWO), method="mipl")


@pytest.mark.parametrize("genomes", [[[0, 3]], [[-1, 0]], [[0]], [0, 0], [[0.0, 1.0]]])
def test_totals_refuse_what_is_no_genome(genomes: Any) -> None:
    with pytest.raises(ShapeError):
        AdditiveTable.of(TWO).totals(genomes)


def test_a_layered_table_without_a_path_is_refused() -> None:
    one, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    layers = (
        Layer(positions=(0,), choices=zero[:, None], source=zero, target=one, values=np.ones((1, 1))),
        Layer(positions=(1,), choices=zero[:, None], source=zero, target=zero, values=np.ones((1, 1))),
    )
    with pytest.raises(AccelzooError, match="every path ends"):
        AdditiveTable(columns=("e",), sizes=(1, 1), layers=layers)


def test_an_answer_by_hand() -> None:
    table = AdditiveTable.of(TWO)
    assert exact.front(table).values.tolist() == [[1, 6], [3, 3], [5, 2], [8, 1.5]]
    found = exact.solve(table, {"cost": 4.0})
    assert (found.best.genome, found.value, found.gap, found.status) == ((0, 1), 3.0, 0.0, "optimal")
    assert exact.solve(table, {"cost": (4.5, None)}).best.genome == (1, 1)
    assert exact.solve(table, {"error": 3.0}).objective == "cost"


def test_more_is_better_turns_budgets_and_bounds() -> None:
    table = AdditiveTable.of(TWO).with_column("accuracy", [[-3, -1], [-2, 0, -5]], higher_is_better=True)
    assert exact.front(table, ("accuracy", "cost")).values.tolist() == [[-1, 6], [-3, 3], [-5, 2], [-8, 1.5]]
    assert exact.solve(table, {"accuracy": -5}, objective="cost").value == 2.0
    found = exact.solve(table, {"cost": 3.5}, objective="accuracy")
    assert found.value == -3.0
    assert found.dual_bound is not None
    assert found.dual_bound >= found.value
    refused = exact.solve(table, {"accuracy": 0.0}, objective="cost")
    assert refused.message.endswith("accuracy: at least 0.0, most achievable -1.0")


def test_a_budget_met_to_the_last_bit_is_met() -> None:
    """0.1 + 0.2 + 0.3 from left to right is 0.6000000000000001; from right to left it is 0.6."""
    table = AdditiveTable.of({"error": [[0, 1], [0, 1], [0, 1]], "cost": [[0.1, 9], [0.2, 9], [0.3, 9]]})
    assert exact.solve(table, {"cost": 0.6000000000000001}).value == 0
    refused = exact.solve(table, {"cost": 0.6})
    assert refused.status == "infeasible"
    assert refused.least == {"cost": 0.6000000000000001}


def test_the_limits_of_a_table_hold_without_being_asked() -> None:
    free = AdditiveTable.of(TWO)
    table = AdditiveTable(columns=free.columns, sizes=free.sizes, layers=free.layers, limits={"cost": 2.5})
    assert exact.solve(table).value == 5.0
    assert exact.front(table).objectives == ("error",)
    assert exact.solve(table, {"cost": 1.75}).value == 8.0


def test_what_is_no_pair_is_refused() -> None:
    three: Any = (1.0, 2.0, 3.0)
    with pytest.raises(ConfigError, match="must be a finite number or a pair"):
        exact.solve(AdditiveTable.of(TWO), {"cost": three})


def hard(positions: int = 24) -> AdditiveTable:
    """Costs are random, errors what remains, so that no prefix dominates another."""
    rng = np.random.default_rng(3)
    cost = rng.integers(1, 1 << 30, (positions, 3))
    return AdditiveTable.of({"error": list((1 << 30) - cost), "cost": list(cost)})


def test_out_of_labels_leaves_a_proven_gap() -> None:
    table = hard()
    bound = 24 * (1 << 29) + 0.5
    found = exact.solve(table, {"cost": bound}, max_labels=3_000)
    assert found.status == "unproven"
    assert found.gap >= 0
    assert "raise max_labels" in found.message
    assert found.best.values["cost"] <= bound
    # error = positions · 2³⁰ − cost, so no error within the budget is below this.
    assert found.lower_bound <= 24 * (1 << 30) - bound + 1 <= found.upper_bound + 1
    with pytest.raises(AccelzooError, match="more than 3,000 labels"):
        exact.front(table, max_labels=3_000)


def test_equal_values_are_one_point_of_the_front_and_many_of_the_best() -> None:
    table = AdditiveTable.of({"error": [[1, 1, 1], [0, 0]], "cost": [[2, 2, 2], [1, 1]]})
    assert exact.front(table).values.tolist() == [[1, 3]]
    assert len({point.genome for point in exact.solve(table, count=99).points}) == 6
