"""Budgets that nothing meets are an error that names the best achievable value, found without the signal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from accelzoo import draw
from accelzoo.errors import BudgetError
from accelzoo.search import Budgets, Objective, run
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.feasible import RESTARTS, SAMPLES, SWEEPS, feasible_genome
from tests.search.toy import ToyArch, ToyCost, ToySpace, accuracy, costs


def never(arch: ToyArch) -> float:
    raise AssertionError("the signal was called")


@dataclass
class Counted:
    """Prices with the field values that the tests reason about, counting calls."""

    calls: int = 0

    def __call__(self, arch: ToyArch) -> ToyCost:
        self.calls += 1
        return costs(arch)


def find(space: ToySpace, budgets: Mapping[str, float], price: object = costs) -> tuple[int, ...]:
    evaluator = Evaluator(space, never, price, Budgets.of(budgets), Objective())  # type: ignore[arg-type]
    return feasible_genome(space.sizes, evaluator.quote, evaluator.budgets, draw.generator(0))


def test_a_single_feasible_point_of_a_small_space_is_found() -> None:
    space = ToySpace(sizes=(7, 7, 7, 7))  # 2,401: enumerated
    assert find(space, {"latency_s": 1e-3}) == (0, 0, 0, 0)


def test_a_single_feasible_point_of_a_huge_space_is_found() -> None:
    space = ToySpace(sizes=(9,) * 20)  # 1.2 × 10¹⁹
    assert find(space, {"latency_s": 1e-3}) == (0,) * 20
    assert find(space, {"weight_bytes": 100 - 160 + 1e-9 + 160}) is not None


def test_the_best_achievable_value_is_exact_in_a_small_space(tmp_path: Path) -> None:
    space = ToySpace(sizes=(3, 3))
    with pytest.raises(BudgetError) as caught:
        run(
            space,
            never,
            evaluations=5,
            costs=costs,
            budgets={"latency_s": 0.5e-3},
            folder=tmp_path / "new",
            progress=False,
        )
    smallest = min(costs(ToyArch(genome)).latency_s for genome in space.all())
    assert str(caught.value).splitlines() == [
        "no architecture meets the budgets (looked at all 9 genomes)",
        f"  latency_s: budget 0.0005, smallest {smallest!r}",
    ]
    assert not (tmp_path / "new").exists()


def test_the_best_achievable_value_of_a_huge_space_is_named() -> None:
    with pytest.raises(BudgetError) as caught:
        find(ToySpace(sizes=(9,) * 20), {"latency_s": 0.5e-3})
    text = str(caught.value)
    assert "latency_s: budget 0.0005, smallest found 0.001" in text  # 1 ms at the all-zero genome
    assert re.search(r"looked at [\d,]+ of 1\.22e\+19 genomes", text)


@pytest.mark.parametrize("sizes", [(3, 3), (9,) * 8])
def test_budgets_that_exclude_each_other_say_so(sizes: tuple[int, ...]) -> None:
    # weights = 100 − steps and latency = 1 + steps: few of both is impossible, either alone is not.
    most = sum(size - 1 for size in sizes)
    with pytest.raises(BudgetError) as caught:
        find(ToySpace(sizes=sizes), {"latency_s": 2e-3, "weight_bytes": 100 - most})
    text = str(caught.value)
    assert re.search(r"latency_s: budget 0\.002, smallest( found)? 0\.00[12]", text)
    assert re.search(rf"weight_bytes: budget {100 - most}, smallest( found)? {100 - most}\n", text)
    assert "each budget can be met alone, but not together" in text
    assert "nearest to all of them together: latency_s 0.0" in text


def test_the_effort_is_bounded_as_documented() -> None:
    sizes = (9,) * 20
    price = Counted()
    with pytest.raises(BudgetError):
        find(ToySpace(sizes=sizes), {"latency_s": 1e-3, "weight_bytes": 1}, price)
    assert price.calls <= SAMPLES + (1 + 2) * RESTARTS * (SWEEPS * sum(sizes) + 1)


def test_nothing_that_can_be_priced_is_named_as_such() -> None:
    def unpriced(arch: ToyArch) -> ToyCost:
        return ToyCost(latency_s=0.0, unpriced=("head (softmax)",))

    with pytest.raises(BudgetError, match=r"no architecture can be priced .*the target cannot price head \(softmax\)"):
        find(ToySpace(), {"latency_s": 1.0}, unpriced)


def test_the_search_begins_with_what_was_found() -> None:
    space = ToySpace(sizes=(9,) * 12)
    for algorithm in ("random", "evolution"):
        result = run(
            space,
            accuracy,
            evaluations=1,
            costs=costs,
            budgets={"latency_s": 1e-3},
            algorithm=algorithm,
            progress=False,
        )
        assert result.best.genome == (0,) * 12
        assert result.header["start"] == [(0,) * 12]


def test_evolution_is_pulled_into_a_feasible_region_that_chance_does_not_meet() -> None:
    # At most 9 of up to 96 steps: 1.4e5 of 2.8e11 genomes. Random search gets the start and nothing else.
    space = ToySpace(sizes=(9,) * 12)
    feasible = {}
    for algorithm in ("random", "evolution"):
        result = run(
            space,
            accuracy,
            evaluations=40,
            max_candidates=1_500,
            costs=costs,
            budgets={"latency_s": 10e-3},
            algorithm=algorithm,
            progress=False,
        )
        feasible[algorithm] = sum(record.status == "ok" for record in result.trace)
    assert feasible == {"random": 1, "evolution": 40}
