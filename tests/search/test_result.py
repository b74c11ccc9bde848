"""The front against brute force, and the ranking."""

from __future__ import annotations

from typing import Any

import pytest

from accelzoo.errors import ConfigError
from accelzoo.search import Objective, Result, run
from tests.search.toy import ToyArch, ToyCost, ToySpace, accuracy

SPACE = ToySpace(sizes=(3, 4, 3))


def scattered(arch: ToyArch) -> ToyCost:
    """Two costs that disagree with each other and with accuracy."""
    one, two, three = arch.choices
    return ToyCost(latency_s=(one * 7 + two * 3 + three * 5) % 11 + 1.0, weight_bytes=(one * 5 + two * 8 + three) % 7)


@pytest.fixture(scope="module")
def result() -> Result:
    budgets = {"weight_bytes": 100}
    return run(SPACE, accuracy, evaluations=36, algorithm="random", costs=scattered, budgets=budgets, progress=False)


@pytest.mark.parametrize("fields", [("latency_s",), ("weight_bytes",), ("latency_s", "weight_bytes"), ()])
def test_the_front_is_what_no_other_beats(result: Result, fields: tuple[str, ...]) -> None:
    names = fields or ("latency_s", "weight_bytes")  # by default the objective's field and the budgeted ones

    def point(genome: tuple[int, ...]) -> tuple[float, ...]:
        arch = ToyArch(genome)
        return (-accuracy(arch), *(getattr(scattered(arch), name) for name in names))

    points = {genome: point(genome) for genome in SPACE.all()}
    expected = {
        genome
        for genome, mine in points.items()
        if not any(
            theirs != mine and all(their <= my for their, my in zip(theirs, mine, strict=True))
            for theirs in points.values()
        )
    }
    front = result.front_of(*fields) if fields else result.front
    assert {candidate.genome for candidate in front} == expected
    assert [candidate.accuracy for candidate in front] == sorted((c.accuracy for c in front), reverse=True)


def test_the_front_of_a_search_for_one_is_that_of_its_objectives() -> None:
    objective = Objective(minimise=("weight_bytes", "latency_s"))
    settings: dict[str, Any] = {"algorithm": "nsga2", "costs": scattered, "objective": objective, "progress": False}
    found = run(SPACE, accuracy, evaluations=36, **settings)
    assert found.header["objective"]["minimise"] == ["weight_bytes", "latency_s"]
    assert found.front == found.front_of("weight_bytes", "latency_s")
    assert found.front != found.front_of("latency_s")
    failed = run(SPACE, lambda arch: float("nan"), evaluations=3, algorithm="random", costs=scattered, progress=False)
    assert failed.front == []


def test_the_ranking_is_by_score_and_then_by_order(result: Result) -> None:
    ranked = result.top(100)
    assert len(ranked) == 36
    keys = [(-candidate.score, candidate.index) for candidate in ranked]
    assert keys == sorted(keys)
    assert ranked[0] == result.best
    assert result.best.arch == ToyArch((2, 3, 2))
    assert result.best.cost is not None
    assert result.best.cost.latency_s == scattered(ToyArch((2, 3, 2))).latency_s


def test_a_front_needs_costs_and_known_fields(result: Result) -> None:
    with pytest.raises(ConfigError, match=r"unknown cost field 'latency'; .*did you mean 'latency_s'"):
        result.front_of("latency")
    with pytest.raises(ConfigError, match="name at least one cost field; allowed: latency_s"):
        result.front_of()
    free = run(SPACE, accuracy, evaluations=3, algorithm="random", progress=False)
    with pytest.raises(ConfigError, match="had no costs"):
        _ = free.front
