"""Several objectives: what an algorithm is told, which can be asked, and what a search for a front finds."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from accelzoo.errors import ConfigError, TraceError
from accelzoo.search import Budgets, CandidateError, Objective, Price, Record, run
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.growing_front import FIRST, GrowingFront
from accelzoo.search.objective import values
from tests.search.toy import SPACE, ToyArch, ToyCost, ToySpace, accuracy, costs, search

BOTH = Objective(minimise=("latency_s", "weight_bytes"))


class Listening(RandomSearch):
    """Notes what it is told."""

    several_objectives = True
    told: ClassVar[list[np.ndarray[Any, Any]]] = []

    def tell(self, genomes: Any, values: Any) -> None:
        self.told.append(values)


def conflicting(arch: ToyArch) -> ToyCost:
    """The more accurate, the slower; weights fall."""
    return ToyCost(latency_s=1e-3 * (1 + sum(arch.choices)), weight_bytes=10**7 - arch.choices[0])


def test_columns_are_the_score_and_what_is_minimised() -> None:
    assert Objective().columns == ("score",)
    assert BOTH.columns == ("score", "latency_s", "weight_bytes")


@pytest.mark.parametrize(
    ("minimise", "said"),
    [
        (("latency",), "minimise .*allowed: latency_s, .*did you mean 'latency_s'"),
        (("latency_s", "latency_s"), "each once"),
        ("latency_s", "must be a tuple of cost fields"),
    ],
)
def test_what_cannot_be_minimised_is_refused(minimise: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objective(minimise=minimise)


def test_an_algorithm_is_told_a_row_of_all_objectives() -> None:
    Listening.told = []

    def signal(arch: ToyArch) -> float:
        if arch.choices[0] == 1:
            raise CandidateError("diverged")
        return accuracy(arch)

    space = ToySpace(sizes=(3, 2, 3), alias=True)
    result = search(
        space,
        signal,
        evaluations=99,
        algorithm=Listening,
        costs=conflicting,
        objective=BOTH,
        budgets={"latency_s": 4e-3},
    )
    assert {record.status for record in result.trace} == {"ok", "failed", "infeasible", "duplicate"}
    assert len(Listening.told) == len(result.trace)
    for told, record in zip(Listening.told, result.trace, strict=True):
        arch = space.decode(record.genome)
        cost = conflicting(arch)
        excess = cost.latency_s / 4e-3 - 1
        if excess > 1e-12:
            wanted = [-1e6 * (1 + excess), -1e6 * (1 + excess), -1e18 * (1 + excess)]
        elif arch.choices[0] == 1:
            wanted = [-math.inf] * 3
        else:
            wanted = [accuracy(arch), -cost.latency_s, -cost.weight_bytes]
        assert told.shape == (1, 3)
        assert told.dtype == np.float64
        np.testing.assert_allclose(told[0], wanted, rtol=1e-12)


def test_every_feasible_row_dominates_every_infeasible_one_and_nearer_ones_farther_ones() -> None:
    def price(**changes: float) -> Price:
        fields = ("latency_s", "energy_j", "peak_activation_bytes", "weight_bytes", "dram_bytes", "macs")
        return Price(**{**dict.fromkeys(fields, 1.0), **changes})

    huge = price(latency_s=1e5, macs=1e15, weight_bytes=1e12)
    small = price(latency_s=1e-6, macs=10, weight_bytes=1)
    records = [
        *[Record(index=0, genome=(), status="ok", score=-1e5, cost=cost) for cost in (huge, small)],
        *[Record(index=0, genome=(), status="ok", score=1.0, cost=cost) for cost in (huge, small)],
        *[Record(index=0, genome=(), status="infeasible", violation=excess, cost=small) for excess in (1e-9, 0.5, 7.0)],
        Record(index=0, genome=(), status="failed"),
    ]
    names = ("latency_s", "macs", "weight_bytes")
    rows = [values(record, records, names) for record in records]
    for better, worse in itertools.product(rows[:4], rows[4:]):
        assert all(mine > theirs for mine, theirs in zip(better, worse, strict=True))
    for better, worse in itertools.pairwise(rows[4:]):
        assert all(mine > theirs for mine, theirs in zip(better, worse, strict=True))
    again = Record(index=8, genome=(), status="duplicate", duplicate_of=5, violation=0.5)
    assert values(again, records, names) == rows[5]


def test_with_costs_and_no_budgets_a_search_is_for_the_front_of_accuracy_and_latency() -> None:
    settings: dict[str, Any] = {"evaluations": 81, "algorithm": "nsga2", "progress": False}
    found = run(SPACE, accuracy, costs=costs, **settings)
    assert found.header["objective"]["minimise"] == ["latency_s"]
    points = {genome: (accuracy(ToyArch(genome)), costs(ToyArch(genome)).latency_s) for genome in SPACE.all()}
    best = {
        genome
        for genome, (mine, my_s) in points.items()
        if not any(o != (mine, my_s) and o[0] >= mine and o[1] <= my_s for o in points.values())
    }
    assert {candidate.genome for candidate in found.front} == best
    budgets = {"latency_s": 1.0}
    for one in (run(SPACE, accuracy, costs=costs, budgets=budgets, **settings), run(SPACE, accuracy, **settings)):
        assert one.header["objective"]["minimise"] == []


def test_an_algorithm_for_one_objective_refuses_several_and_names_those_that_take_them() -> None:
    with pytest.raises(ConfigError) as caught:
        run(SPACE, accuracy, evaluations=3, algorithm="evolution", costs=costs, progress=False)
    said = str(caught.value)
    assert said.startswith("objective: algorithm evolution takes one objective, not 2 (score, latency_s); those that")
    assert "nsga2" in said.split("several: ")[1].split(";")[0].split(", ")
    assert "evolution" not in said.split("several: ")[1]
    assert said.endswith("objective=Objective() asks for accuracy alone")


def test_costs_to_minimise_need_costs() -> None:
    with pytest.raises(ConfigError, match=r"objective.minimise \(=latency_s, weight_bytes\): .* need costs"):
        search(objective=BOTH, algorithm="nsga2")


def test_another_objective_is_refused_when_a_search_is_resumed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"algorithm": "nsga2", "costs": costs, "folder": tmp_path}
    search(objective=Objective(minimise=("latency_s",)), **settings)
    with pytest.raises(TraceError, match=r"objective.minimise: recorded \['latency_s'\], given \['latency_s', 'weight"):
        search(objective=BOTH, resume=True, **settings)


def test_the_front_grows_as_brute_force_says() -> None:
    # A staircase by hand: cost in shares of 10 s, score above 0.1. Two points (0.5, 4 s) and (0.9, 8 s):
    # 0.8 × (1 − 0.8) + 0.4 × (0.8 − 0.4) = 0.32.
    front = GrowingFront(("latency_s",), Budgets.of({"latency_s": 10.0}))

    def record(index: int, score: float, latency_s: float, status: Any = "ok") -> Record:
        rest = dict.fromkeys(("energy_j", "peak_activation_bytes", "weight_bytes", "dram_bytes", "macs"), 1.0)
        cost = Price(latency_s=latency_s, **rest)
        return Record(index=index, genome=(index,), status=status, score=score, cost=cost)

    records = [record(0, 0.1, 9.0), record(1, 0.5, 4.0)]
    assert front.after(records) == (1, None)
    records += [record(index, 0.2 + index / 100, 9.5) for index in range(2, FIRST)]
    records.append(record(FIRST, 5.0, 0.1, "infeasible"))
    assert front.after(records) == pytest.approx((1, 0.4 * 0.6))
    records.append(record(11, 0.9, 8.0))
    assert front.after(records) == pytest.approx((2, 0.32))
    records.append(record(12, 0.9, 8.0))
    assert front.after(records) == pytest.approx((2, 0.32))


def test_without_a_budget_the_reference_is_the_worst_of_the_first_ten() -> None:
    found = search(evaluations=40, algorithm="nsga2", objective=Objective(minimise=("latency_s",)), costs=costs)
    scored = [(record.score or 0.0, record.cost.latency_s) for record in found.trace if record.cost]
    worst, worst_s = min(score for score, _ in scored[:10]), max(latency_s for _, latency_s in scored[:10])
    corners = sorted({(latency_s / worst_s, score - worst) for score, latency_s in scored})
    volume, height = 0.0, 0.0
    edges = [*[x for x, _ in corners if x < 1], 1.0]
    for left, right in itertools.pairwise(edges):  # the highest score at no more than this cost
        height = max(y for x, y in corners if x <= left)
        volume += max(height, 0.0) * (right - left)
    front = GrowingFront(("latency_s",), Budgets())
    for count in (3, 10, 25, 40):
        size, measured = front.after(found.trace[:count])
        assert (measured is None) == (count < 10)
    assert measured == pytest.approx(volume)
    assert size == len({(record.accuracy, record.cost) for record in (candidate.record for candidate in found.front)})
