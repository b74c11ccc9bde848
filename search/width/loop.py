"""Closing the loop: measure what the solver chooses, learn from it, choose again, until both say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError
from accelzoo.hwmodel import Target
from accelzoo.search.space import Genome
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.grid import LatencyGrid
from accelzoo.search.width.latency import LatencyTable, fit_latency_table
from accelzoo.search.width.solution import WidthPoint, WidthSolution
from accelzoo.search.width.solve import solve_width
from accelzoo.search.width.timing import Timer, time_genomes

LATENCY = "latency_s"
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Networks with their measured seconds; repeats of a network are rows of their own.

    Attributes:
        genomes: int64 `(n, groups)`.
        latency_s: `(n,)`.
    """

    genomes: Indices
    latency_s: Floats

    def joined(self, genomes: npt.ArrayLike, latency_s: npt.ArrayLike) -> Timings:
        """Returns these timings and others behind them."""
        more = np.asarray(genomes, np.int64).reshape(-1, self.genomes.shape[1])
        return Timings(
            genomes=np.concatenate([self.genomes, more]),
            latency_s=np.concatenate([self.latency_s, np.asarray(latency_s, np.float64)]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRound:
    """One turn: the chosen networks, best first, what the table said of them and what the timer then said.

    Attributes:
        points: As chosen, with the table's `latency_s`.
        predicted_s: `(k,)`.
        measured_s: `(k,)`.
        error: The largest relative difference of the two, over the measured.
    """

    points: tuple[WidthPoint, ...]
    predicted_s: tuple[float, ...]
    measured_s: tuple[float, ...]
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Where the loop ended.

    Attributes:
        status: `settled`: all of the last round's networks were predicted within the tolerance, and one measured so far
            keeps the latency budget; `unsettled`: `rounds` were not enough; `infeasible`: the table says that nothing
            meets the budgets, and `solution` what would.
        chosen: Of all networks measured in the loop within the latency budget, the one of least objective; None if
            none was.
        measured_s: Its measured seconds.
        solution: The last round's choice.
        rounds: All rounds in order.
        table: The latency table that the last choice was made by.
        timings: All timings, those of the loop behind those given.
    """

    status: Literal["settled", "unsettled", "infeasible"]
    chosen: WidthPoint | None
    measured_s: float | None
    solution: WidthSolution
    rounds: tuple[LoopRound, ...]
    table: LatencyTable
    timings: Timings


def close_loop(
    grid: LatencyGrid,
    costs: WidthCosts,
    budgets: Mapping[str, float],
    timer: Timer,
    timings: Timings,
    prior: Target | str | npt.ArrayLike,
    *,
    count: int = 8,
    tolerance: float = 0.01,
    rounds: int = 20,
    repeats: int = 1,
    objective: str | None = None,
    noise: float | None = None,
    method: str = "auto",
    progress: Callable[[LoopRound], None] | None = None,
) -> ClosedLoop:
    """Fits the latency table, chooses, measures the choice, and repeats with what was learnt.

    Args:
        grid: The entries of the table.
        costs: What is minimised, and other budgeted columns; the table takes the place of its column `latency_s`.
        budgets: As for `solve_width`; `latency_s` among them, if latency is bounded.
        timer: An oracle, a target, or a function from an architecture to seconds.
        timings: What was measured before, at least 10 networks.
        prior: As for `fit_latency_table`.
        count: How many of the best networks each round measures.
        tolerance: Relative difference of predicted and measured up to which they agree.
        rounds: The most rounds.
        repeats: How often each is measured; the median counts. More, where repeats differ by about the tolerance.
        objective: As for `solve_width`.
        noise: As for `fit_latency_table`.
        method: As for `solve_width`.
        progress: Called with every round.

    Raises:
        ConfigError: If a number is not positive, or as for `solve_width`.
        MeasurementError: As for `fit_latency_table`.
        OracleError, DataError: As for `time_genomes`.
    """
    _check_positive(rounds=rounds, tolerance=tolerance, count=count, repeats=repeats)
    fit = partial(fit_latency_table, grid, prior=prior, noise=noise)
    choose = partial(solve_width, budgets=budgets, objective=objective, count=count, method=method)
    loop = _Loop(grid, timer, timings, float(budgets.get(LATENCY, np.inf)), progress)
    table = fit(timings.genomes, timings.latency_s)
    while (solution := choose(table.onto(costs, LATENCY))).status != "infeasible":
        if loop.agrees(solution, tolerance, repeats) or len(loop.done) == rounds:
            break
        table = fit(loop.timings.genomes, loop.timings.latency_s)
    return loop.ended(solution, table)


class _Loop:
    """What was measured so far."""

    def __init__(
        self,
        grid: LatencyGrid,
        timer: Timer,
        timings: Timings,
        most_s: float,
        progress: Callable[[LoopRound], None] | None,
    ) -> None:
        self.timings = timings
        self.done: list[LoopRound] = []
        self._grid, self._timer, self._most_s, self._progress = grid, timer, most_s, progress
        self._measured: dict[Genome, float] = {}
        self._agreed = False

    def agrees(self, solution: WidthSolution, tolerance: float, repeats: int) -> bool:
        """Measures what was chosen; whether it is as predicted, and something measured keeps the latency budget."""
        points = (solution.best, *solution.points[1:])
        genomes = [point.genome for point in points]
        predicted = [point.values[LATENCY] for point in points]
        timed = time_genomes(self._grid.space, genomes * repeats, self._timer)
        seconds: Floats = np.median(timed.reshape(repeats, -1), axis=0)
        error = float(np.abs(np.array(predicted) / seconds - 1).max())
        measured = tuple(seconds.tolist())
        self.done.append(LoopRound(points=points, predicted_s=tuple(predicted), measured_s=measured, error=error))
        self._measured |= dict(zip(genomes, measured, strict=True))
        self.timings = self.timings.joined(genomes, seconds)
        if self._progress is not None:
            self._progress(self.done[-1])
        self._agreed = error <= tolerance and min(self._measured.values()) <= self._most_s
        return self._agreed

    def ended(self, solution: WidthSolution, table: LatencyTable) -> ClosedLoop:
        """Returns what came of it."""
        measured = self._measured
        kept = [point for turn in self.done for point in turn.points if measured[point.genome] <= self._most_s]
        chosen = min(kept, key=lambda x: (x.values[solution.objective], measured[x.genome]), default=None)
        return ClosedLoop(
            status="infeasible" if solution.status == "infeasible" else "settled" if self._agreed else "unsettled",
            chosen=chosen,
            measured_s=None if chosen is None else measured[chosen.genome],
            solution=solution,
            rounds=tuple(self.done),
            table=table,
            timings=self.timings,
        )


def _check_positive(**numbers: float) -> None:
    faults = [f"{what} (={number!r}) must be positive" for what, number in numbers.items() if not number > 0]
    if faults:
        raise ConfigError(faults)
