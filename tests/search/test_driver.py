"""`run` as a whole: what is recorded, what is never asked of the signal, how it ends."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import ConfigError, DataError, ShapeError, UnknownNameError
from accelzoo.search import CandidateError, Objective
from accelzoo.search.algorithms.random import RandomSearch
from accelzoo.search.space import GenomeMatrix
from accelzoo.search.trace import FILE_NAME
from tests.search.toy import SPACE, ToyArch, ToyCost, ToySpace, accuracy, costs, search


@pytest.mark.parametrize("algorithm", ["evolution", "random"])
@pytest.mark.parametrize("latency_s", [None, 4e-3])
def test_exhausting_a_space_finds_the_brute_force_optimum(
    algorithm: str, latency_s: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    budgets = None if latency_s is None else {"latency_s": latency_s}
    result = search(evaluations=1000, algorithm=algorithm, costs=costs, budgets=budgets)
    within = [ToyArch(genome) for genome in SPACE.all() if costs(ToyArch(genome)).latency_s <= (latency_s or math.inf)]
    assert result.stopped == "exhausted"
    assert result.message.startswith("space exhausted after 81 candidates")
    assert caplog.messages == [result.message]
    assert {record.genome for record in result.trace} == set(SPACE.all())
    assert sum(record.evaluated for record in result.trace) == len(within)
    assert result.best.accuracy == max(accuracy(arch) for arch in within)
    assert result.best.arch == ToyArch(result.best.genome)


def test_the_soft_objective_decides_the_best() -> None:
    objective = Objective(exponent=-0.5, reference=1e-3)
    result = search(evaluations=81, costs=costs, objective=objective)
    scores = {genome: accuracy(ToyArch(genome)) * (1 + sum(genome)) ** -0.5 for genome in SPACE.all()}
    assert result.best.score == pytest.approx(max(scores.values()), rel=1e-12)
    assert result.best.genome == max(scores, key=lambda genome: scores[genome])
    assert [candidate.score for candidate in result.top(5)] == pytest.approx(sorted(scores.values())[-5:][::-1])


def test_a_small_space_ends_also_for_an_algorithm_that_repeats_itself() -> None:
    space = ToySpace(sizes=(2, 2))
    result = search(space, evaluations=1000, algorithm_options={"avoid_duplicates": False})
    assert result.stopped == "exhausted"
    assert sum(record.evaluated for record in result.trace) == 4
    assert {record.status for record in result.trace} == {"ok", "duplicate"}


def test_what_is_over_budget_never_reaches_the_signal() -> None:
    seen = []

    def signal(arch: ToyArch) -> float:
        seen.append(arch)
        return accuracy(arch)

    result = search(signal=signal, evaluations=15, costs=costs, budgets={"latency_s": 5e-3})
    assert len(seen) == 15
    assert all(costs(arch).latency_s <= 5e-3 for arch in seen)
    for record in result.trace:
        assert (record.status == "infeasible") == (sum(record.genome) > 4)
        if record.status == "infeasible":
            assert record.violation == pytest.approx((1 + sum(record.genome)) / 5 - 1)
            assert not record.evaluated
            assert record.score is None


def test_equal_architectures_are_evaluated_once() -> None:
    space = ToySpace(sizes=(2, 3, 4), alias=True)  # 12 with an active last position, 3 without
    seen = []

    def signal(arch: ToyArch) -> float:
        seen.append(arch)
        return accuracy(arch)

    result = search(space, signal, evaluations=100, costs=costs)
    assert result.stopped == "exhausted"
    assert len(seen) == len(set(seen)) == 15
    for record in result.trace:
        if record.status == "duplicate":
            assert record.duplicate_of is not None
            first = result.trace[record.duplicate_of]
            assert first.status == "ok"
            assert first.index < record.index
            assert space.canonical(first.genome) == space.canonical(record.genome)
            copied = ("arch", "cost", "accuracy", "score")
            assert [getattr(record, name) for name in copied] == [getattr(first, name) for name in copied]
    assert len(result.trace) == 24
    assert "15 evaluated, 0 over budget, 9 duplicates, 0 failed" in result.message


def test_an_algorithm_that_tells_architectures_apart_asks_for_each_once_before_it_repeats_one() -> None:
    space = ToySpace(sizes=(2, 3, 4), alias=True)
    # Only what is drawn before there is a model may repeat: here that is one genome.
    result = search(space, evaluations=100, algorithm="bayesian", algorithm_options={"initial": 1})
    assert [record.status for record in result.trace] == ["ok"] * 15 + ["duplicate"] * 9


class Fussy(ToySpace):
    """Has one genome whose choices do not go together."""

    def decode(self, genome: tuple[int, ...]) -> ToyArch:
        if genome == (2, 2, 2, 2):
            raise ConfigError(["kernel 3 in kind 2"])
        return ToyArch(genome)


class Rounded(ToySpace):
    """Odd choices of the last position round down, which the canonical genome does not say."""

    def decode(self, genome: tuple[int, ...]) -> ToyArch:
        return ToyArch((*genome[:-1], genome[-1] // 2))


@pytest.mark.parametrize("resume", [False, True])
def test_equal_architectures_of_different_canonical_genomes_are_evaluated_once(tmp_path: Path, resume: bool) -> None:
    seen = []

    def signal(arch: ToyArch) -> float:
        seen.append(arch)
        return accuracy(arch)

    if resume:
        search(Rounded(sizes=(3, 6)), signal, evaluations=4, folder=tmp_path)
    result = search(Rounded(sizes=(3, 6)), signal, evaluations=99, folder=tmp_path, resume=resume)
    assert len(seen) == len(set(seen)) == 9
    assert len(result.trace) == 18
    assert sum(record.status == "duplicate" for record in result.trace) == 9


def test_failures_are_recorded_with_their_reason_and_the_search_goes_on() -> None:
    def signal(arch: ToyArch) -> float:
        match arch.choices[0], arch.choices[1]:
            case 0, 0:
                return math.nan
            case 0, 1:
                return math.inf
            case 0, _:
                raise CandidateError("diverged")
        return accuracy(arch)

    def price(arch: ToyArch) -> ToyCost:
        match arch.choices[2:]:
            case 0, 0:
                return ToyCost(latency_s=1.0, unpriced=("head (softmax)", "mask (add)"))
            case 0, 1:
                return ToyCost(latency_s=math.nan)
            case 0, _:
                raise ShapeError("stage 2 does not fit")
        return costs(arch)

    result = search(Fussy(sizes=(3, 3, 3, 3)), signal, evaluations=1000, costs=price)
    reasons = {
        (0, 0): "the signal returned nan",
        (0, 1): "the signal returned inf",
        (0, 2): "CandidateError: diverged",
    }
    unpriced = [
        "the target cannot price head (softmax), mask (add)",
        "latency_s (=nan) must be a finite number, not below 0",
        "ShapeError: stage 2 does not fit",
    ]
    for record in result.trace:
        if record.genome == (2, 2, 2, 2):
            assert record.reason == "ConfigError: kernel 3 in kind 2"
            assert (record.status, record.evaluated, record.arch) == ("failed", False, None)
        elif record.genome[2] == 0:
            assert record.reason == unpriced[record.genome[3]]
            assert (record.status, record.evaluated) == ("failed", False)
        elif record.genome[0] == 0:
            assert record.reason == reasons[record.genome[0], record.genome[1]]
            assert (record.status, record.evaluated) == ("failed", True)
        else:
            assert record.status == "ok"


def test_a_candidate_that_twice_finds_no_memory_has_failed_and_the_search_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []
    monkeypatch.setattr(gc, "collect", lambda: 0)  # a second each in a process that has run many tests

    def signal(arch: ToyArch) -> float:
        tried.append(arch)
        if arch.choices[0] == 2 or (arch.choices[1] == 2 and tried.count(arch) == 1):
            raise MemoryError
        return accuracy(arch)

    result = search(signal=signal, evaluations=81)
    for record in result.trace:
        assert (record.status == "failed") == (record.genome[0] == 2)
        assert record.evaluated
        assert tried.count(ToyArch(record.genome)) == 1 + (2 in record.genome[:2])
    assert {record.reason for record in result.trace} == {None, "out of memory in each of 2 attempts"}


def test_an_exception_that_the_next_candidate_would_meet_stops_the_search(tmp_path: Path) -> None:
    broken = [True]

    def signal(arch: ToyArch) -> float:
        if broken[0] and arch.choices[0] == 2:
            raise DataError("no images")
        return accuracy(arch)

    with pytest.raises(DataError, match="no images") as caught:
        search(signal=signal, folder=tmp_path)
    assert "the same call with resume=True goes on" in caught.value.__notes__[0]
    broken[0] = False
    search(signal=signal, folder=tmp_path, resume=True)
    search(signal=signal, folder=tmp_path / "unbroken")
    assert (tmp_path / FILE_NAME).read_bytes() == (tmp_path / "unbroken" / FILE_NAME).read_bytes()


def test_a_search_without_a_score_says_why() -> None:
    result = search(signal=lambda arch: math.nan, evaluations=3)
    with pytest.raises(
        Exception, match=r"no candidate has a score: .*3 failed; the first failure: the signal returned"
    ):
        _ = result.best
    assert result.top(3) == []


def test_candidates_are_bounded() -> None:
    space = ToySpace(sizes=(9,) * 12)
    result = search(space, evaluations=5, algorithm="random", costs=costs, budgets={"latency_s": 2e-3})
    assert result.stopped == "candidates"
    assert len(result.trace) == 1_000 + 50 * 5
    assert "max_candidates" in result.message
    assert len(search(space, evaluations=50, max_candidates=7).trace) == 7


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"evaluations": 0}, r"evaluations \(=0\) must be at least 1"),
        ({"max_candidates": -1}, r"max_candidates \(=-1\) must be at least 1"),
        ({"budgets": {"latency_s": 1.0}}, "budgets.latency_s: a budget needs costs"),
        ({"objective": Objective(exponent=-1.0, reference=1.0)}, "a price in the score needs costs"),
        ({"budgets": {"latency": 1.0}, "costs": costs}, "did you mean 'latency_s'"),
        ({"resume": True}, "nothing to resume without a folder"),
        ({"algorithm_options": {"sample": 3}}, "did you mean 'sample_size'"),
    ],
)
def test_wrong_arguments_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search(**{"evaluations": 3, **settings})


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        search(algorithm="randm")


class Rude(RandomSearch):
    """Proposes what is not in the space."""

    def ask(self, count: int) -> GenomeMatrix:
        return np.full((count, 4), 3)


class Greedy(RandomSearch):
    """Proposes more than it was asked for."""

    def ask(self, count: int) -> GenomeMatrix:
        return super().ask(count + 1)


@pytest.mark.parametrize(("kind", "said"), [(Rude, "choice 3 at position 0"), (Greedy, r"Greedy.ask\(1\) returned 2")])
def test_a_plug_in_that_breaks_the_contract_is_stopped(kind: type[RandomSearch], said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        search(algorithm=kind)


def test_the_seed_decides_everything() -> None:
    one, again, other = (search(seed=seed).trace for seed in (4, 4, 5))
    assert one == again != other
