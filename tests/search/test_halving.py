"""Successive halving and Hyperband: the paper's brackets, who goes on, what it costs, nothing made twice."""

from __future__ import annotations

import json
import math
import os
import signal as signals
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import AccelzooError, ConfigError, TraceError
from accelzoo.search import CandidateError
from accelzoo.search.halving import halving_rungs, hyperband, hyperband_brackets, successive_halving
from accelzoo.search.race import RACE_FILE, read_race, trials_of
from accelzoo.search.space import Genome
from accelzoo.search.workers import Outcome
from tests.forks import in_child, wait
from tests.search.toy import ToyArch

ARCHS = [ToyArch((number,)) for number in range(9)]


@dataclass(frozen=True)
class Curves:
    """Accuracy of architecture n at fidelity f: `n / 100`, but the last are late bloomers; counts its calls."""

    fidelity: float = 1.0
    seconds: float | None = None
    calls: list[tuple[int, float]] = field(default_factory=list)
    fails: tuple[int, ...] = ()
    late: tuple[int, ...] = ()

    def __call__(self, arch: ToyArch) -> float:
        (number,) = arch.choices
        self.calls.append((number, self.fidelity))
        if number in self.fails:
            raise CandidateError("the loss is nan")
        return 0.0 if number in self.late and self.fidelity < 1 else number / 100

    def digest(self) -> str:
        return f"curves:{self.fidelity}"

    def at(self, fidelity: float) -> Curves:
        return replace(self, fidelity=fidelity, seconds=None if self.seconds is None else self.seconds * fidelity)


def test_the_brackets_are_those_of_algorithm_1() -> None:
    """R = 81, η = 3, as in table 1 of Li et al. (2018): n_i and r_i of each bracket, from s = 4 to s = 0."""
    expected = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    found = hyperband_brackets(81, 3)
    assert [[(rung.count, round(rung.fidelity * 81, 9)) for rung in rungs] for rungs in found] == expected
    # The last bracket is 5 full trainings, and no bracket may cost much more: that is B = (s_max + 1) R.
    assert all(math.fsum(rung.count * rung.fidelity for rung in rungs) <= 5.2 for rungs in found)


@pytest.mark.parametrize(
    ("resource", "eta", "counts"),
    [(1, 3, [[1]]), (2.9, 3, [[1]]), (9, 3, [[9, 3, 1], [5, 1], [3]]), (4, 2, [[4, 2, 1], [3, 1], [3]])],
)
def test_other_brackets(resource: float, eta: float, counts: list[list[int]]) -> None:
    found = hyperband_brackets(resource, eta)
    assert [[rung.count for rung in rungs] for rungs in found] == counts
    assert all(rungs[-1].fidelity == 1 for rungs in found)


def test_rungs() -> None:
    rungs = halving_rungs(9, (1 / 9, 1 / 3, 1), 1 / 3)
    assert [rung.count for rung in rungs] == [9, 3, 1]
    assert [rung.count for rung in halving_rungs(100, (0.1, 0.2, 1), 0.29)] == [100, 29, 8]
    assert [rung.count for rung in halving_rungs(2, (0.1, 0.2, 1), 0.1)] == [2, 1, 1]


def test_the_best_go_on() -> None:
    curves = Curves()
    race = successive_halving(ARCHS, curves, fidelities=(1 / 9, 1 / 3, 1))
    thirds = [(number, 1 / 3) for number in (6, 7, 8)]
    assert curves.calls == [*((number, 1 / 9) for number in range(9)), *thirds, (8, 1.0)]
    assert (race.best, race.ranking) == (8, [8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [trial.candidate for trial in race.finals()] == [8]
    assert race.unit == "evaluations"
    assert race.spent == pytest.approx(3)


def test_who_blooms_late_is_lost_and_hyperband_finds_it() -> None:
    late = Curves(late=(8,))
    assert successive_halving(ARCHS, late, fidelities=(1 / 9, 1 / 3, 1)).best == 7
    # The last bracket trains its three in full.
    proposals = iter([ARCHS[:9], ARCHS[:5], ARCHS[6:]])
    race = hyperband(lambda count: next(proposals), late, resource=9)
    assert race.candidates[race.best] == ARCHS[8]


def test_of_equals_the_first_goes_on() -> None:
    race = successive_halving(ARCHS, Level(), fidelities=(0.5, 1), keep=0.5)
    assert [trial.candidate for trial in race.trials if trial.fidelity == 1] == [0, 1, 2, 3]
    assert race.best == 0


@dataclass(frozen=True)
class Level:
    """The same for all."""

    seconds: float | None = None

    def __call__(self, arch: Any) -> float:
        return 0.5

    def digest(self) -> str:
        return "level"

    def at(self, fidelity: float) -> Level:
        return self


def test_what_fails_drops_out_with_the_reason() -> None:
    bad = {7: math.nan, 6: math.inf}

    @dataclass(frozen=True)
    class Broken(Curves):
        def __call__(self, arch: ToyArch) -> float:
            if arch.choices[0] == 5:
                raise MemoryError
            return bad.get(arch.choices[0], super().__call__(arch))

    race = successive_halving(ARCHS, Broken(fails=(8,)), fidelities=(0.5, 1), keep=0.9)
    reasons = {trial.candidate: trial.reason for trial in race.trials if trial.accuracy is None}
    assert reasons == {
        5: "out of memory in each of 2 attempts",
        6: "the signal returned inf",
        7: "the signal returned nan",
        8: "CandidateError: the loss is nan",
    }
    # Eight might have gone on, but five were left.
    assert [trial.candidate for trial in race.trials if trial.fidelity == 1] == [0, 1, 2, 3, 4]
    assert race.best == 4


def test_when_all_fail_the_first_reason_is_told() -> None:
    race = successive_halving(ARCHS[:2], Curves(fails=(0, 1)), fidelities=(0.5, 1))
    assert (race.ranking, race.finals()) == ([], [])
    with pytest.raises(AccelzooError, match=r"no candidate of the race has an accuracy.*the loss is nan"):
        _ = race.best


def test_declared_seconds_are_what_is_spent_and_never_more_than_the_budget() -> None:
    settings: dict[str, Any] = {"fidelities": (1 / 9, 1 / 3, 1)}
    race = successive_halving(ARCHS, Curves(seconds=90.0), budget=270.1, **settings)
    assert race.unit == "s"
    assert race.spent == pytest.approx(270)
    curves = Curves(seconds=90.0)
    with pytest.raises(ConfigError, match=r"budget \(=269\): this race may cost 270 s: 9 at 0.111, then 3 at 0.33"):
        successive_halving(ARCHS, curves, budget=269, **settings)
    assert curves.calls == []


def test_hyperband_leaves_out_what_does_not_fit() -> None:
    asked: list[int] = []

    def propose(count: int) -> list[ToyArch]:
        asked.append(count)
        return ARCHS[:count]

    # Brackets of R = 9 cost 3, 8/3 and 3 evaluations: 9·1/9 + 3·1/3 + 1, 5·1/3 + 1, 3.
    race = hyperband(propose, Curves(), resource=9, budget=6)
    assert asked == [9, 5]
    assert race.spent <= 6
    with pytest.raises(ConfigError, match=r"budget \(=2\): the cheapest bracket may cost 2.66667 evaluations"):
        hyperband(propose, Curves(), resource=9, budget=2)


def test_the_same_architecture_at_the_same_fidelity_is_trained_once() -> None:
    curves = Curves()
    race = hyperband(lambda count: [*ARCHS[:2], *ARCHS[:count]][:count], curves, resource=9)
    assert len(curves.calls) == len(set(curves.calls))
    assert race.spent == pytest.approx(math.fsum(fidelity for _, fidelity in curves.calls))
    assert len(race.trials) == 9 + 3 + 1 + 5 + 1 + 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fidelities": ()}, "at least one"),
        ({"fidelities": (1.0, 0.5)}, "each above the one before"),
        ({"fidelities": (0.0, 1.0)}, r"fidelity \(=0.0\) must be above 0"),
        ({"fidelities": (0.5, 1.5)}, r"fidelity \(=1.5\)"),
        ({"keep": 0}, r"keep \(=0\)"),
        ({"keep": math.nan}, "keep"),
        ({"workers": 0}, "workers"),
        ({"resume": True}, "without a folder"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        successive_halving(ARCHS, Curves(), **settings)


def test_no_candidates_and_no_resource() -> None:
    with pytest.raises(ConfigError, match="at least one candidate"):
        successive_halving([], Curves())
    for resource, eta in ((0.5, 3), (9, 1), (math.inf, 3)):
        with pytest.raises(ConfigError, match="resource"):
            hyperband_brackets(resource, eta)


def test_a_signal_without_at_races_at_full_effort_only() -> None:
    def plain(arch: ToyArch) -> float:
        return arch.choices[0] / 100

    assert successive_halving(ARCHS, plain).best == 8
    with pytest.raises(ConfigError, match="cannot be had for less"):
        successive_halving(ARCHS, plain, fidelities=(0.5, 1))


# Folders.


def run(folder: Path, curves: Any, **settings: Any) -> Any:
    return successive_halving(ARCHS, curves, fidelities=(1 / 9, 1 / 3, 1), folder=folder, resume=True, **settings)


def stopping(after: int) -> Callable[[Any], None]:
    made: list[Any] = []

    def report(trial: Any) -> None:
        made.append(trial)
        if len(made) == after:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("after", [1, 5, 9, 10, 12, 13])
def test_what_was_stopped_goes_on_and_nothing_is_made_twice(tmp_path: Path, after: int) -> None:
    whole = run(tmp_path / "whole", Curves())
    curves = Curves()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", curves, report=stopping(after))
    race = run(tmp_path / "broken", curves)
    assert race.trials == whole.trials
    assert len(curves.calls) == 13 == len(set(curves.calls))
    assert (tmp_path / "broken" / RACE_FILE).read_bytes() == (tmp_path / "whole" / RACE_FILE).read_bytes()
    assert tuple(trials_of(read_race(tmp_path / "broken"))) == whole.trials


def test_a_line_that_was_never_finished_is_made_again(tmp_path: Path) -> None:
    whole = run(tmp_path, Curves())
    path = tmp_path / RACE_FILE
    data = path.read_bytes()
    for cut in (0, 40, len(data) - 20):
        path.write_bytes(data[:cut])
        assert run(tmp_path, Curves()).trials == whole.trials
        assert path.read_bytes() == data


def test_hyperband_goes_on_too(tmp_path: Path) -> None:
    def go(folder: Path, curves: Curves, **settings: Any) -> Any:
        drawn = iter([ARCHS, ARCHS[:5], ARCHS[6:]])
        return hyperband(lambda count: next(drawn), curves, resource=9, folder=folder, resume=True, **settings)

    whole, curves = go(tmp_path / "whole", Curves()), Curves()
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "broken", curves, report=stopping(16))
    assert go(tmp_path / "broken", curves).trials == whole.trials
    assert len(curves.calls) == len(set(curves.calls))


def test_another_race_is_not_gone_on_with(tmp_path: Path) -> None:
    run(tmp_path, Curves())
    with pytest.raises(TraceError, match="there is a race already"):
        successive_halving(ARCHS, Curves(), folder=tmp_path)
    with pytest.raises(TraceError, match=r"halving\.jsonl:1: the race was begun otherwise:\n  brackets: recorded"):
        successive_halving(ARCHS, Curves(), folder=tmp_path, resume=True)
    with pytest.raises(TraceError, match=r"\n  signals: recorded \['curves:0.1.*', 'curves:1.0'\], now \['level'"):
        run(tmp_path, Level())
    with pytest.raises(TraceError, match=r"halving\.jsonl:2: .*\n  entrants: recorded"):
        successive_halving(ARCHS[::-1], Curves(), fidelities=(1 / 9, 1 / 3, 1), folder=tmp_path, resume=True)


def test_an_edited_file_is_refused_where_it_was_edited(tmp_path: Path) -> None:
    run(tmp_path, Curves())
    path = tmp_path / RACE_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b'"accuracy":0.02', b'"accuracy":0.92'), *lines[5:]]))
    with pytest.raises(TraceError, match=r"halving\.jsonl:5: the chain breaks: expected hash \w+, found \w+; the line"):
        run(tmp_path, Curves())
    path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    with pytest.raises(TraceError, match=r"halving\.jsonl:5: the chain breaks: expected previous \w+, found \w+;"):
        read_race(tmp_path)
    with pytest.raises(TraceError, match="there is no race"):
        read_race(tmp_path / "nowhere")


class Backwards:
    """Workers that finish what was submitted last first, as several might."""

    count = 3

    def __init__(self, stop_after: int = 10**9) -> None:
        self.stop_after = stop_after

    def start(self, space: Any, signal: Callable[[Any], float]) -> Backwards:
        self.space, self.signal = space, signal
        self.submitted: list[tuple[int, Genome]] = []
        return self

    def submit(self, index: int, genome: Genome) -> None:
        self.submitted.append((index, genome))

    def wait(self) -> tuple[int, Outcome]:
        if not self.stop_after:
            raise KeyboardInterrupt
        self.stop_after -= 1
        index, genome = self.submitted.pop()
        return index, Outcome(accuracy=self.signal(self.space.decode(genome)))

    def close(self) -> None:
        self.submitted.clear()

    def __enter__(self) -> Backwards:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@pytest.mark.parametrize("stop_after", [1, 4, 10, 10**9])
def test_the_order_in_which_workers_finish_does_not_show(tmp_path: Path, stop_after: int) -> None:
    run(tmp_path / "serial", Curves())
    curves = Curves()
    if stop_after < 13:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "workers", curves, workers=Backwards(stop_after))
        # What came before its turn is on the disk although the trace could not have it yet.
        assert len(curves.calls) == stop_after
    run(tmp_path / "workers", curves, workers=Backwards())
    assert (tmp_path / "workers" / RACE_FILE).read_bytes() == (tmp_path / "serial" / RACE_FILE).read_bytes()
    assert len(curves.calls) == 13 == len(set(curves.calls))
    assert [path.name for path in (tmp_path / "workers").iterdir()] == [RACE_FILE]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_again_and_again(tmp_path: Path) -> None:
    """Dies at the n-th evaluation of each life; no evaluation whose line was written is made again."""
    run(tmp_path / "whole", Curves())

    @dataclass(frozen=True)
    class Mortal(Curves):
        def __call__(self, arch: ToyArch) -> float:
            value = super().__call__(arch)
            with (tmp_path / "calls").open("a", encoding="utf-8") as file:
                file.write(json.dumps([arch.choices[0], self.fidelity]) + "\n")
            if len(self.calls) == 3:
                os.kill(os.getpid(), signals.SIGKILL)
            return value

    statuses: list[int] = []
    while not statuses or statuses[-1] != 0:
        statuses.append(wait(in_child(lambda: run(tmp_path / "killed", Mortal()))))
        assert len(statuses) < 10
    assert statuses == [-signals.SIGKILL] * 6 + [0]
    assert (tmp_path / "killed" / RACE_FILE).read_bytes() == (tmp_path / "whole" / RACE_FILE).read_bytes()
    calls = (tmp_path / "calls").read_text("utf-8").splitlines()
    # Of each life's three evaluations two were recorded; the third died with it.
    assert len(calls) == 13 + 6


@dataclass(frozen=True)
class Slopes:
    """Accuracies of which only those at less than full effort depend on `slope`."""

    slope: float
    fidelity: float = 1.0

    def __call__(self, arch: ToyArch) -> float:
        return sum(arch.choices) * (1.0 if self.fidelity == 1 else self.slope)

    def digest(self) -> str:
        return "slopes" if self.fidelity == 1 else f"slopes {self.slope} at {self.fidelity}"

    def at(self, fidelity: float) -> Slopes:
        return replace(self, fidelity=fidelity)


def test_another_signal_at_less_than_full_effort_is_another_race(tmp_path: Path) -> None:
    archs = [ToyArch((choice,)) for choice in range(4)]
    successive_halving(archs, Slopes(1.0), fidelities=(0.5, 1.0), keep=0.25, folder=tmp_path)
    with pytest.raises(TraceError, match="signals: recorded"):
        successive_halving(archs, Slopes(-1.0), fidelities=(0.5, 1.0), keep=0.25, folder=tmp_path, resume=True)
