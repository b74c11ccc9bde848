"""How long networks of a space take on the device, and which of them keep a budget when they are measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from accelzoo.errors import BudgetError, ConfigError, UnknownNameError
from accelzoo.hwmodel import Target, oracles
from accelzoo.recipes.width.report import ROUNDING
from accelzoo.recipes.width.schema import MeasurePlan
from accelzoo.recipes.width.stopwatch import Progress, Stopwatch
from accelzoo.recipes.width.table_file import kept_table
from accelzoo.search.space import Genome
from accelzoo.search.width import (
    LatencyGrid,
    LatencyReport,
    ScaledWidths,
    Timings,
    WidthCosts,
    WidthPoint,
    WidthSpace,
    close_loop,
    covering_genomes,
    solve_width,
    time_genomes,
    uniform_widths,
)

LATENCY, ERROR, PEAK = "latency_s", "error", "peak_activation_bytes"
Floats = npt.NDArray[np.float64]
_MARGIN = 0.05  # of predictions, beyond which nothing is measured
_PRUNED = 0.8  # of the budget: where a table is extrapolated, as at the narrowest, it may be off by several per cent
_AIMS = (1.0, 0.98, 0.95)  # shares of the budget to predict, one after the other while all that is measured is above it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measuring:
    """What measures, and the table that its first timings give."""

    plan: MeasurePlan
    watch: Stopwatch
    grid: LatencyGrid
    prior: Floats
    timings: Timings
    report: LatencyReport


class DeviceLatency:
    """Latencies of a space's networks: as measured, as predicted by a table, and networks chosen by both.

    Answers depend on the question, the plan and what the device says of each network, not on what was asked before:
    every choice starts from the same table. Make one with `of`; it holds a file open until it is closed.

    Attributes:
        space: The networks.
        target: Prices everything but latency; without a plan, that too.
        costs: Prices of the space, with the table that the first timings give as `latency_s`.
    """

    def __init__(self, space: WidthSpace, target: Target, costs: WidthCosts, measuring: _Measuring | None) -> None:
        self.space, self.target, self.costs = space, target, costs
        self._measuring = measuring

    @classmethod
    def of(
        cls,
        space: WidthSpace,
        target: Target,
        plan: MeasurePlan | None,
        columns: Sequence[str],
        path: Path,
        progress: Progress | None = None,
    ) -> Self:
        """Prices a space and, with a plan, times its first networks, the original among them.

        Args:
            space: The networks.
            target: The accelerator, or the prior of what is learnt about it.
            plan: How networks are measured; None: the target's estimates are taken at their word.
            columns: Other fields of `Cost` that are budgeted or shown.
            path: The file of timings; those in it are not taken again, and the table is kept beside it. Without a plan
                there is neither.
            progress: Told how many of the networks that are being timed are done, and how many there are.

        Raises:
            ConfigError: If the oracle is unknown or cannot measure on the target, or a column is unknown.
            MissingToolError: If the oracle's tool is not installed.
            MeasurementError: If the timings are fewer than 10 networks, or in another unit than the prior.
            OracleError: If the tool fails on a network.
            TraceError: If the file is of another space or tool.
        """
        sums = [name for name in columns if name not in (LATENCY, PEAK)]
        costs = WidthCosts.priced(space, target, tuple(dict.fromkeys([LATENCY, *sums])))
        if plan is None:
            return cls(space, target, costs, None)
        watch = Stopwatch(space, oracle_of(plan, target), path, repeats=plan.repeats, progress=progress)
        try:
            rows = dict.fromkeys([space.base, *map(tuple, covering_genomes(space, plan.timings, seed=0).tolist())])
            genomes = np.array(list(rows), np.int64)
            timings = Timings(genomes=genomes, latency_s=watch.measured_s(genomes))
            grid = LatencyGrid.of(space)
            prior = grid.priced(target)
            table = kept_table(path.parent, grid, timings, prior)
        except BaseException:
            watch.close()
            raise
        found = _Measuring(plan=plan, watch=watch, grid=grid, prior=prior, timings=timings, report=table.report)
        return cls(space, target, table.onto(costs, LATENCY), found)

    @property
    def measured_by(self) -> str | None:
        """What measures, such as `vela-5.2.0/ethos-u55-128`; None where latencies are estimates."""
        return None if self._measuring is None else self._measuring.watch.oracle.provenance.label

    @property
    def report(self) -> LatencyReport | None:
        """How good the table of `costs` is on networks left out; None where latencies are estimates."""
        return None if self._measuring is None else self._measuring.report

    @property
    def timed(self) -> Mapping[Genome, float]:
        """Seconds of every network measured so far; empty where latencies are estimates."""
        return {} if self._measuring is None else self._measuring.watch.known

    def budget_s(self, share: float) -> float:
        """Returns a share of the original network's measured seconds."""
        return share * float(self.measured_s([self.space.base])[0])

    def predicted_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the seconds of networks by the table of `costs`, `(n,)`."""
        return self.costs.totals(genomes)[:, list(self.costs.columns).index(LATENCY)]

    def measured_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the seconds of networks as measured, or as estimated without a plan, `(n,)`.

        Raises:
            OracleError: If the tool fails on a network.
            ShapeError: If the genomes have the wrong shape or a choice is out of range.
        """
        if self._measuring is None:
            return time_genomes(self.space, genomes, self.target)
        return self._measuring.watch.measured_s(genomes)

    def checked_s(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the seconds of chosen networks, `(n,)`, as measured once more: see `Stopwatch.checked_s`."""
        if self._measuring is None:
            return time_genomes(self.space, genomes, self.target)
        return self._measuring.watch.checked_s(genomes)

    def chosen_uniform(self, budgets: Mapping[str, float], *, divisor: int = 8) -> tuple[float, Genome]:
        """Finds the largest multiplier of all widths that keeps the budgets, the latency as measured.

        Multipliers predicted more than 5 % above the latency budget are measured only while those next to them keep it.

        Args:
            budgets: `latency_s`, and other columns or `peak_activation_bytes`, → the most it may reach.
            divisor: What widths are multiples of.

        Returns:
            The multiplier and its network.

        Raises:
            BudgetError: If no multiplier keeps the budgets; it names the least that was found.
            ConfigError: As for `accelzoo.search.width.uniform_widths`.
        """
        most_s, others = _split(budgets)
        scaled = self._scaled(others, divisor)
        at = self._first_within([found.best.genome for found in scaled], most_s, "multiplier")
        return scaled[at].width_multiplier, scaled[at].best.genome

    def pruned_to_s(self, budgets: Mapping[str, float]) -> float:
        """Returns the predicted seconds to prune down to, so that a step of the way keeps the budgets when measured.

        Where something measures, that is 20 % below the latency budget, as far as networks go: the first step that is
        predicted within it may be measured above, and the way must not end there.

        Raises:
            BudgetError: If nothing is predicted within the budgets.
            ConfigError: As for `accelzoo.search.width.solve_width`.
        """
        most_s, _ = _split(budgets)
        if self._measuring is None:
            return most_s
        found = solve_width(self.costs, budgets, objective=LATENCY)
        if found.status == "infeasible":
            raise BudgetError(found.message)
        return max(_PRUNED * most_s, float(found.best.values[LATENCY]))

    def chosen_on_way(self, steps: Sequence[Genome], budgets: Mapping[str, float]) -> Genome:
        """Finds the first network of a pruning's way that keeps the budgets, the latency as measured.

        Steps predicted more than 5 % above the latency budget are measured only while those behind them keep it.

        Args:
            steps: The networks from the widest on.
            budgets: As for `chosen_uniform`.

        Raises:
            BudgetError: If no step keeps the budgets; it names the least that was found.
            ConfigError: If a budget's column is unknown.
        """
        most_s, others = _split(budgets)
        if not steps:
            raise ConfigError(["steps: there are none"])
        for name, most in self.costs.limits.items():
            others[name] = min(others.get(name, most), most)
        totals = self._totals(steps, others)
        kept = [step for step, row in zip(steps, totals, strict=True) if all(row[x] <= others[x] for x in others)]
        if not kept:
            least = {name: min(row[name] for row in totals) for name in others}
            raise BudgetError(f"no step of {len(steps)} is within {others!r}; the least of the steps: {least!r}")
        return kept[self._first_within(kept, most_s, "step")]

    def chosen_optimal(
        self, errors: Sequence[npt.ArrayLike], budgets: Mapping[str, float], count: int
    ) -> tuple[tuple[WidthPoint, ...], dict[str, Any]]:
        """Finds the networks of least error that keep the budgets, the latency as measured.

        With a plan the table is refined in a closed loop (`accelzoo.search.width.close_loop`), then the best by its
        last table are measured too. If none of all these keeps the latency budget, the same is done with 98, then 95 %.

        Args:
            errors: For every group the error of each of its widths.
            budgets: As for `chosen_uniform`.
            count: The most networks that are returned.

        Returns:
            The networks that keep the budgets, best first; `latency_s` of their values is what the last table that
            chose them predicts. And how they were found: `status` (of the loop; `estimated` without a plan), `rounds`,
            `errors` (of every round the largest relative error of a prediction) and `aim` (the share of the latency
            budget that was asked of predictions).

        Raises:
            BudgetError: If nothing keeps the budgets; it names the least that is achievable.
            ConfigError: As for `accelzoo.search.width.solve_width`.
        """
        most_s, _ = _split(budgets)
        costs = self.costs.with_errors(errors, ERROR)
        pool: dict[Genome, WidthPoint] = {}
        facts: dict[str, Any] = {"status": "estimated", "rounds": 0, "errors": []}
        said = ""
        for aim in _AIMS:
            aimed = {**budgets, LATENCY: aim * most_s}
            points, message = self._proposed(costs, aimed, count, facts)
            said = said or (message if aim == 1 else message and f"at {aim:.0%} of {LATENCY} {most_s!r}: {message}")
            pool |= {point.genome: point for point in points}
            seconds = dict(zip(pool, self.measured_s(list(pool)).tolist(), strict=True)) if pool else {}
            kept = [point for genome, point in pool.items() if _keeps(seconds[genome], most_s)]
            if kept:
                kept.sort(key=lambda point: (point.values[ERROR], seconds[point.genome]))
                return tuple(kept[:count]), {**facts, "aim": aim}
            if not points:
                break
        least = f"\n  measured: at least {min(seconds.values())!r} of {len(seconds)} networks" if seconds else ""
        raise BudgetError((said or f"nothing that was measured keeps {LATENCY} {most_s!r}") + least)

    def _proposed(
        self, costs: WidthCosts, budgets: Mapping[str, float], count: int, facts: dict[str, Any]
    ) -> tuple[list[WidthPoint], str]:
        """Returns networks that predictions choose, and what there is to say if there are none; notes the rounds."""
        points: list[WidthPoint] = []
        if self._measuring is not None:
            part, plan = self._measuring, self._measuring.plan
            loop = close_loop(part.grid, costs, budgets, part.watch, part.timings, part.prior, count=plan.per_round,
                              tolerance=plan.tolerance, rounds=plan.rounds, objective=ERROR)  # fmt: skip
            points += [point for turn in loop.rounds for point in turn.points]
            facts["status"] = loop.status
            facts["rounds"] += len(loop.rounds)
            facts["errors"] = [*facts["errors"], *[turn.error for turn in loop.rounds]]
            costs = loop.table.onto(costs, LATENCY)
        found = solve_width(costs, budgets, objective=ERROR, count=count)
        return [*points, *found.points], "" if found.points else found.message

    def _scaled(self, others: Mapping[str, float], divisor: int) -> list[ScaledWidths]:
        """Returns the multipliers within budgets that are not latency's, from the slowest network by the table on."""
        found: list[ScaledWidths] = []
        asked = dict(others)
        while True:
            try:
                found.append(uniform_widths(self.space, self.costs, asked, _nothing_lost, divisor=divisor))
            except BudgetError:
                if found:
                    return found
                raise
            asked[LATENCY] = float(np.nextafter(found[-1].best.values[LATENCY], -np.inf))

    def _first_within(self, genomes: Sequence[Genome], most_s: float, what: str) -> int:
        """Returns the place of the first network that keeps the latency budget, from about where it is predicted.

        Measurements need not fall from one network to the next, so this walks: towards faster ones until one keeps the
        budget, or towards slower ones as long as they keep it.
        """
        near = np.flatnonzero(self.predicted_s(genomes) <= most_s * (1 + _MARGIN))
        start = at = int(near[0]) if len(near) else len(genomes) - 1
        while at < len(genomes) and not self._kept(genomes[at], most_s):
            at += 1
        if at == len(genomes):
            least = float(self.measured_s(genomes[start:]).min())
            raise BudgetError(f"no {what} of {len(genomes)} keeps the budget\n  {LATENCY}: at most {most_s!r}, "
                              f"least found {least!r}")  # fmt: skip
        while at == start and at > 0 and self._kept(genomes[at - 1], most_s):
            start = at = at - 1
        return at

    def _kept(self, genome: Genome, most_s: float) -> bool:
        return _keeps(float(self.measured_s([genome])[0]), most_s)

    def _totals(self, genomes: Sequence[Genome], names: Mapping[str, float]) -> list[dict[str, float]]:
        known = [*self.costs.columns, PEAK]
        unknown = [f"budgets.{x}: unknown column; allowed: {', '.join(known)}" for x in names if x not in known]
        if unknown:
            raise ConfigError(unknown)
        rows = [dict(zip(self.costs.columns, row, strict=True)) for row in self.costs.totals(genomes).tolist()]
        peaks = self.costs.peak_of(genomes).tolist()
        return [{**row, PEAK: peak} for row, peak in zip(rows, peaks, strict=True)]

    def close(self) -> None:
        """Lets other processes write the file of timings; what is known can still be asked."""
        if self._measuring is not None:
            self._measuring.watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def oracle_of(plan: MeasurePlan, target: Target) -> oracles.Oracle:
    """Makes what measures.

    Raises:
        ConfigError: If the oracle is unknown or cannot measure on the target.
        MissingToolError: If its tool is not installed.
    """
    try:
        return oracles.load(plan.oracle, target.name)
    except UnknownNameError as error:
        raise ConfigError([f"measure.oracle: {error}"]) from None


def _split(budgets: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Returns the latency budget in seconds, and the others."""
    if LATENCY not in budgets:
        raise ConfigError([f"budgets.{LATENCY} is missing: the most seconds of one inference"])
    most_s = float(budgets[LATENCY])
    if not 0 < most_s < math.inf:
        raise ConfigError([f"budgets.{LATENCY} (={most_s!r}) must be positive and finite"])
    return most_s, {name: most for name, most in budgets.items() if name != LATENCY}


def _keeps(seconds: float, most_s: float) -> bool:
    return seconds <= most_s * (1 + ROUNDING)


def _nothing_lost(genomes: npt.NDArray[np.int64]) -> Floats:
    return np.zeros(len(genomes))
