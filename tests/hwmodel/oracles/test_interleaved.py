"""Timing in turn, on a clock that only the programs move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest

from accelzoo.hwmodel.oracles.interleaved import Plan, Program, Watch, summary

PLAN = Plan(passes=3, rounds=2, visit_s=4e-6, piece_s=2e-6, pass_s=1e-3, drift_limit=0.2, extra_passes=2)


class Machine:
    """A clock of nanoseconds, and programs that take as long as they are told."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[str] = []

    def clock(self) -> int:
        return self.now

    def maker(self, name: str, *nanoseconds_of_pass: int) -> Callable[[], Program]:
        """A program that takes as long as given in each pass; in later passes as long as in the last one given."""
        passes: Iterator[int] = chain(nanoseconds_of_pass, repeat(nanoseconds_of_pass[-1]))

        def make() -> Program:
            self.log.append(f"make {name}")
            spent = next(passes)

            def run() -> None:
                self.log.append(name)
                self.now += spent

            return run

        return make

    def changing(self, slow_from: int) -> Callable[[], Program]:
        """An anchor that becomes twice as slow at its `slow_from`-th run, and stays so."""
        runs = 0

        def run() -> None:
            nonlocal runs
            runs += 1
            self.now += 2000 if runs >= slow_from else 1000

        return lambda: run


def test_the_faster_half_of_the_passes_is_reported_with_a_standard_error() -> None:
    machine = Machine()
    (timing,) = Watch([], PLAN, machine.clock).time([machine.maker("x", 1000, 1300, 1600)])
    assert timing.latency_s == pytest.approx(1150e-9)  # the mean of two of three
    assert timing.spread == pytest.approx(300 / 3**0.5 / 1150)  # the deviation of 1000, 1300, 1600 is 300


def test_of_a_pass_the_tenth_percentile_counts() -> None:
    eleven = [1e-6 * (10 + piece) for piece in range(11)]  # percentile 10 of 10, 11, … 20 is 11
    timing = summary([eleven])
    assert timing.latency_s == pytest.approx(11e-6)
    assert timing.spread == 0.0


def test_programs_are_made_anew_for_every_pass_and_visited_in_turn() -> None:
    machine = Machine()
    Watch([], PLAN, machine.clock).time([machine.maker("x", 1000), machine.maker("y", 2000)])
    one_pass = ["make x", *["x"] * 2, "make y", *["y"] * 2]  # set up, and estimate
    one_pass += [*["x"] * 4, *["y"] * 2] * 2  # two pieces of at least 2 µs, in each of two rounds
    assert machine.log == one_pass * 3


def test_a_program_longer_than_a_visit_runs_once_at_each_and_no_longer_than_a_pass_may_last() -> None:
    machine = Machine()
    (found,) = Watch([], PLAN._replace(passes=1), machine.clock).record([machine.maker("x", 10_000)])
    assert found.seconds[0] == pytest.approx((10e-6,) * 3)  # the estimate, and a run in each round
    machine.log.clear()
    Watch([], PLAN._replace(passes=1, pass_s=1e-5), machine.clock).record([machine.maker("x", 10_000)])
    assert machine.log == ["make x", "x", "x"]


def test_a_pass_with_a_slow_anchor_is_made_again() -> None:
    machine = Machine()
    plan = PLAN._replace(extra_passes=1)
    warm_up = 2  # runs of the anchor before the first pass
    one_pass = plan.rounds * 4
    slow = range(warm_up + one_pass, warm_up + 2 * one_pass)
    runs = 0

    def anchor() -> None:
        nonlocal runs
        machine.now += 2000 if runs in slow else 1000
        runs += 1

    watch = Watch([lambda: anchor], plan, machine.clock)
    (timing,) = watch.time([machine.maker("x", 1000, 7000, 1000)])
    assert timing.latency_s == pytest.approx(1000e-9)
    assert timing.spread == pytest.approx(0.0)
    assert machine.log.count("make x") == plan.passes + 1


def test_drift_that_stays_is_in_the_spread() -> None:
    machine = Machine()
    watch = Watch([machine.changing(slow_from=2 + 8 + 1)], PLAN, machine.clock)
    (timing,) = watch.time([machine.maker("x", 1000)])
    assert machine.log.count("make x") == PLAN.passes + PLAN.extra_passes
    assert timing.latency_s == pytest.approx(1000e-9)
    assert timing.spread == pytest.approx(1.0)  # the anchor takes twice as long


def test_the_quietest_passes_count_when_too_few_keep_to_the_limit() -> None:
    machine = Machine()
    anchor_of_pass = iter([1500, 1300, 1600, 1000, 1700])
    per_pass = PLAN.rounds * 2  # the anchor runs once a piece while a run takes at least 2 µs
    plan = PLAN._replace(piece_s=1e-6, visit_s=2e-6)
    runs, spent = 0, 1000

    def anchor() -> None:
        nonlocal runs, spent
        if runs >= 2 and (runs - 2) % per_pass == 0:
            spent = next(anchor_of_pass)
        machine.now += spent
        runs += 1

    (timing,) = Watch([lambda: anchor], plan, machine.clock).time([machine.maker("x", 1000, 1010, 3000, 1020, 5000)])
    assert timing.latency_s == pytest.approx((1000 + 1010) / 2 * 1e-9)  # of passes 1, 2 and 4
    assert timing.spread == pytest.approx(0.5)
