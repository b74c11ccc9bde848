"""Timing several programs on a shared machine: in turn, in passes, watched by anchors.

A pass makes every program anew and visits them in turn, several rounds long, so that a slow moment meets all of them.
Of the pieces of time that a pass gives, the 10th percentile counts; of the passes, the mean of the faster half. One
minimum over all would show the luckiest pass: where a program's memory happens to lie changes the time of some by a
fifth, and another process does not find that place again (`benchmarks/litert_repeat.md` compares).

Anchors are programs that run in every round. A pass in which one is slower than at its best by more than a limit is
made again, up to a limit. Nothing is corrected by the anchors: what differs between two processes differs from program
to program, and a common factor, taken out, leaves the differences as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Program = Callable[[], object]
Maker = Callable[[], Program]
Clock = Callable[[], int]

PERCENTILE = 10


class Plan(NamedTuple):
    """How much to repeat.

    Attributes:
        passes: Passes that count.
        rounds: Visits of each program in a pass.
        visit_s: Seconds of a visit. A program that takes longer runs once, any other at least twice.
        piece_s: Seconds from one reading of the clock to the next, filled with as many runs as it takes.
        pass_s: Seconds of a pass after which a slow program runs no more.
        drift_limit: By how much an anchor may be slower than at its best, relative, before a pass is made again.
        extra_passes: How many passes may be made again.
    """

    passes: int = 6
    rounds: int = 4
    visit_s: float = 1.2e-3
    piece_s: float = 3e-4
    pass_s: float = 0.06
    drift_limit: float = 0.25
    extra_passes: int = 2


class Pass(NamedTuple):
    """Seconds of the anchors, and of each program all that were read."""

    anchors: tuple[float, ...]
    seconds: tuple[tuple[float, ...], ...]


class Timing(NamedTuple):
    """Seconds of one run, and the relative standard error of a mean over all passes."""

    latency_s: float
    spread: float


class Watch:
    """Times batches of programs; remembers how fast the anchors have been.

    Args:
        anchors: Make the programs that show how fast the machine is.
        plan: How much to repeat.
        clock: Returns nanoseconds.
    """

    def __init__(self, anchors: Sequence[Maker], plan: Plan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._anchors = [_Entry(maker(), plan, clock) for maker in anchors]
        for entry in self._anchors:
            entry.rounds = max(entry.rounds, 1)
        # From passes alone: with nothing in between, an anchor would find its memory in the caches.
        self._best = [math.inf] * len(anchors)

    def record(self, makers: Sequence[Maker]) -> list[Pass]:
        """Returns the passes that count: the first that keep to the limit of drift, or else those with the least."""
        plan = self._plan
        passes: list[Pass] = []
        while len(passes) < plan.passes + plan.extra_passes:
            passes.append(self._pass(makers))
            self._best = [min(pair) for pair in zip(self._best, passes[-1].anchors, strict=True)]
            if sum(self.drift(found) <= plan.drift_limit for found in passes) == plan.passes:
                break
        return sorted(passes, key=self.drift)[: plan.passes]

    def drift(self, found: Pass) -> float:
        """By how much the anchors of a pass are slower than at their best so far, relative; the worst of them."""
        return max((now / best - 1 for now, best in zip(found.anchors, self._best, strict=True)), default=0.0)

    def time(self, makers: Sequence[Maker]) -> list[Timing]:
        """Returns the timing of each program, in the order given."""
        passes = self.record(makers)
        drift = max(map(self.drift, passes))
        excess = drift if drift > self._plan.drift_limit else 0.0
        return [summary([found.seconds[index] for found in passes], excess) for index in range(len(makers))]

    def _pass(self, makers: Sequence[Maker]) -> Pass:
        entries = [_Entry(maker(), self._plan, self._clock) for maker in makers]
        count = len(self._anchors)
        seconds = _visit([*self._anchors, *entries], self._plan.rounds)
        anchors = tuple([float(np.percentile(pieces, PERCENTILE)) for pieces in seconds[:count]])
        return Pass(anchors, tuple([tuple(pieces) for pieces in seconds[count:]]))


class _Entry:
    """A program that is ready to run, and how often it runs at each visit."""

    def __init__(self, program: Program, plan: Plan, clock: Clock) -> None:
        self._program, self._clock = program, clock
        program()  # the first run sets things up
        start = clock()
        program()
        once_s = max(clock() - start, 1) * 1e-9
        self._runs = max(1, math.ceil(plan.piece_s / once_s))
        piece_s = self._runs * once_s
        slow = once_s > plan.visit_s
        self._pieces = 1 if slow else max(2, round(plan.visit_s / piece_s))
        self.rounds = min(plan.rounds, math.ceil(plan.pass_s / (self._pieces * piece_s)) - slow)
        self.pieces = [once_s] if slow else []  # a long run is worth reading, a short one too coarse

    def visit(self) -> None:
        """Runs the program for one visit, and appends to `pieces` the seconds of one run, piece by piece."""
        program, clock, runs = self._program, self._clock, self._runs
        for _ in range(self._pieces):
            start = clock()
            for _ in range(runs):
                program()
            self.pieces.append((clock() - start) * 1e-9 / runs)


def summary(passes: Sequence[Sequence[float]], excess: float = 0.0) -> Timing:
    """Sums up what was read of one program.

    Args:
        passes: Of each pass, the seconds of one run, as often as they were read.
        excess: How much of the time may be the machine's drift, relative; the spread is no less.
    """
    typical = sorted(float(np.percentile(pieces, PERCENTILE)) for pieces in passes)
    count = len(typical)
    latency_s = float(np.mean(typical[: math.ceil(count / 2)]))
    error = float(np.std(typical, ddof=1)) / math.sqrt(count) / latency_s if count > 1 else 0.0
    return Timing(latency_s, max(error, excess))


def _visit(entries: Sequence[_Entry], rounds: int) -> list[list[float]]:
    """Visits all in turn; returns the seconds of one run of each, piece by piece."""
    for number in range(rounds):
        for entry in entries:
            if number < entry.rounds:
                entry.visit()
    found = [entry.pieces for entry in entries]
    for entry in entries:
        entry.pieces = []
    return found
