"""The front against brute force, and the ranking."""

from __future__ import annotations

import pytest

from accelzoo.errors import ConfigError
from accelzoo.search import Result, run
from tests.search.toy import ToyArch, ToyCost, ToySpace, accuracy

SPACE = ToySpace(sizes=(3, 4, 3))


def scattered(arch: ToyArch) -> ToyCost:
    """Two costs that disagree with each other and with accuracy."""
    one, two, three = arch.choices
    return ToyCost(latency_s=(one * 7 + two * 3 + three * 5) % 11 + 1.0, weight_bytes=(one * 5 + two * 8 + three) % 7)


@pytest.fixture(scope="module")
def result() -> Result:
    return run(SPACE, accuracy, evaluations=36, costs=scattered, budgets={"weight_bytes": 100}, progress=False)


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
    front = result.front(*fields)
    assert {candidate.genome for candidate in front} == expected
    assert [candidate.accuracy for candidate in front] == sorted((c.accuracy for c in front), reverse=True)


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
        result.front("latency")
    free = run(SPACE, accuracy, evaluations=3, progress=False)
    with pytest.raises(ConfigError, match="had no costs"):
        free.front()
