"""Widths as random variables: the better and cheaper they are, the likelier, the more so the lower the temperature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import BudgetError, ConfigError, check_one_of
from accelzoo.search.exact._dual import relax
from accelzoo.search.width._question import question
from accelzoo.search.width._sweep import chosen
from accelzoo.search.width.costs import PEAK, WidthCosts

Floats = npt.NDArray[np.float64]
Hold = Literal["optimum", "expectation"]
HOLDS = ("optimum", "expectation")
_DOUBLINGS, _HALVINGS, _ROUNDS = 60, 50, 8


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthModel:
    """A Gibbs distribution over the networks of a space: `p(widths) ∝ exp(−Σ weight · column / temperature)`.

    All sums over networks are exact, by one sweep forwards and one backwards over the factor graph (sum-product;
    Koller & Friedman 2009, §9.3 and §10.2), in chains and trees as fast as finding the best network.

    Attributes:
        costs: The columns.
        weights: Column → its weight: 1 for what is minimised, a multiplier for what is budgeted.
        temperature: In units of the weighted sum; inf makes all networks equally likely.
        most_peak: Networks with more activation bytes alive have probability 0.
    """

    costs: WidthCosts
    weights: Mapping[str, float]
    temperature: float
    most_peak: float = math.inf

    def __post_init__(self) -> None:
        unknown = [name for name in self.weights if name not in self.costs.columns]
        faults = [f"weights.{name}: unknown column; allowed: {', '.join(self.costs.columns)}" for name in unknown]
        if not self.temperature > 0:
            faults.append(f"temperature (={self.temperature!r}) must be positive, or inf")
        if faults:
            raise ConfigError(faults)

    @cached_property
    def scores(self) -> list[Floats]:
        """Logarithm of what each arc of the sweep multiplies a probability by."""
        tables = [-forbidden for forbidden in self.costs.forbidden(self.most_peak)]
        if self.temperature < math.inf:
            for name, weight in self.weights.items():
                for index, values in enumerate(self.costs.columns[name]):
                    tables[index] = tables[index] - values * (weight / self.temperature)
        return self.costs.sweep.arc_values(tables)

    @cached_property
    def log_partition(self) -> float:
        """Logarithm of the sum over all networks of what the exponent makes of them."""
        return float(self.costs.sweep.behind(self.scores)[0][0])

    @cached_property
    def _arc_probabilities(self) -> list[Floats]:
        sweep = self.costs.sweep
        before, behind = sweep.before(self.scores), sweep.behind(self.scores)
        total = self.log_partition
        if total == -math.inf:
            raise BudgetError(f"no network has at most {self.most_peak!r} activation bytes alive")
        return [
            np.exp(early[step.source] + score + late[step.target] - total)
            for step, score, early, late in zip(sweep.steps, self.scores, before, behind[1:], strict=True)
        ]

    def marginals(self) -> tuple[Floats, ...]:
        """Returns the probability of each width of every group, `(choices,)`, whatever the other groups are.

        Raises:
            BudgetError: If the bound on peak memory leaves no network.
        """
        found: list[Floats] = [np.zeros(0)] * len(self.costs.widths)
        for step, likely in zip(self.costs.sweep.steps, self._arc_probabilities, strict=True):
            found[step.group] = likely.reshape(-1, step.size).sum(axis=0)
        return tuple(found)

    def expectations(self) -> dict[str, float]:
        """Returns the mean of every column over the networks; errors as for `marginals`."""
        found = {}
        for name, tables in self.costs.columns.items():
            values = self.costs.sweep.arc_values(tables)
            found[name] = math.fsum(
                float(likely @ value) for likely, value in zip(self._arc_probabilities, values, strict=True)
            )
        return found

    def sample(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draws networks jointly: widths that go together are drawn together.

        Args:
            count: How many.
            rng: Where the draws come from; raw generator bits alone, so they are the same everywhere.

        Returns:
            Genomes, int64 `(count, groups)`.

        Raises:
            BudgetError: If the bound on peak memory leaves no network.
        """
        if self.log_partition == -math.inf:
            raise BudgetError(f"no network has at most {self.most_peak!r} activation bytes alive")
        return self.costs.sweep.sample(self.scores, count, rng)

    def sample_apart(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draws every group by its own marginal, as AOWS does (Berman et al. 2020, adaptive refinement).

        Arguments, result and errors as for `sample`; a bound on peak memory may be broken.
        """
        found = np.empty((count, len(self.costs.widths)), np.int64)
        for group, likely in enumerate(self.marginals()):
            drawn = np.array([draw.uniform(rng) for _ in range(count)])
            found[:, group] = chosen(np.cumsum(likely)[None], drawn)
        return found


def budgeted_model(
    costs: WidthCosts,
    budgets: Mapping[str, float],
    temperature: float,
    *,
    objective: str | None = None,
    hold: Hold = "optimum",
) -> WidthModel:
    """Makes the model of a budgeted problem: budgets become multiples of what they bound.

    Args:
        costs: The columns.
        budgets: Column, or `peak_activation_bytes`, → the most it may reach; the latter excludes networks outright.
        temperature: In units of the objective; inf makes all networks equally likely.
        objective: The column that less is better of; `error` by default, else the first without a budget.
        hold: What the multiples hold to the budgets: `optimum`, the widths of the Lagrangian relaxation, as AOWS does
            at every temperature; `expectation`, the mean over the model's networks, so that at high temperatures, too,
            training is spent on networks of about the budgeted latency.

    Raises:
        BudgetError: If nothing meets the budgets; it names the least that is achievable.
        ConfigError: As `solve_width`.
        ValueError: If `hold` is none of the two.
    """
    check_one_of("hold", hold, HOLDS)
    asked = question(costs, budgets, objective)
    least = asked.least()
    limits = {**asked.budgets, **({} if asked.most_peak == math.inf else {PEAK: asked.most_peak})}
    if any(value > limits[name] for name, value in least.items()):
        raise BudgetError(asked.infeasible("lagrangian").message)
    weights = {asked.objective: 1.0}
    if temperature == math.inf:
        return WidthModel(costs=costs, weights=weights, temperature=temperature, most_peak=asked.most_peak)
    if hold == "expectation":
        return _held(WidthModel(costs=costs, weights=weights, temperature=temperature, most_peak=asked.most_peak),
                     asked.objective, asked.budgets)  # fmt: skip
    problem = asked.problem()
    relaxed, _, _ = relax(problem)
    bounded = np.flatnonzero(problem.bounds < math.inf).tolist()
    for column, multiplier in zip(bounded, relaxed.multipliers.tolist(), strict=True):
        name = problem.names[column]
        weights[name] = weights.get(name, 0.0) + multiplier
    return WidthModel(costs=costs, weights=weights, temperature=temperature, most_peak=asked.most_peak)


def _held(model: WidthModel, objective: str, budgets: Mapping[str, float]) -> WidthModel:
    """Raises multipliers one after the other until the expectations meet the budgets: the dual is convex in them."""
    multipliers = dict.fromkeys(budgets, 0.0)

    def at(changed: Mapping[str, float]) -> WidthModel:
        weights = {objective: 1.0}
        for name, value in changed.items():
            weights[name] = weights.get(name, 0.0) + value
        return WidthModel(costs=model.costs, weights=weights, temperature=model.temperature,
                          most_peak=model.most_peak)  # fmt: skip

    for _ in range(_ROUNDS if len(budgets) > 1 else 1):
        before = dict(multipliers)
        for name, most in budgets.items():
            multipliers[name] = _bisected(at, multipliers, name, most)
        if all(abs(multipliers[x] - before[x]) <= 1e-6 * (1e-300 + abs(before[x])) for x in budgets):
            break
    return at(multipliers)


def _bisected(
    at: Callable[[Mapping[str, float]], WidthModel], multipliers: Mapping[str, float], name: str, most: float
) -> float:
    """Returns the least multiplier of one column at which its expectation is within the budget."""

    def exceeds(value: float) -> bool:
        return at({**multipliers, name: value}).expectations()[name] > most

    if not exceeds(0.0):
        return 0.0
    tables = at(multipliers).costs.columns[name]
    low, high = 0.0, at(multipliers).temperature / max(float(np.ptp(table)) for table in tables)
    for _ in range(_DOUBLINGS):
        if not exceeds(high):
            break
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if exceeds(middle):
            low = middle
        else:
            high = middle
    return high
