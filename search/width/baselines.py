"""What a width search is compared with: greedy pruning layer by layer, and one multiplier for all widths."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelzoo.errors import BudgetError, ConfigError, DataError, check_one_of
from accelzoo.rounding import make_divisible
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.space import Genome
from accelzoo.search.width._question import Question, question
from accelzoo.search.width.costs import PEAK, WidthCosts
from accelzoo.search.width.solution import WidthPoint
from accelzoo.search.width.solve import solve_width
from accelzoo.search.width.space import WidthSpace

ERROR = "error"
RULES = ("netadapt", "autoslim", "mobilenetv3")
Rule = Literal["netadapt", "autoslim", "mobilenetv3"]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Score = Callable[[Indices], npt.ArrayLike]
"""Errors `(n,)` of networks, int64 `(n, groups)`: less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedWidths:
    """The way of greedy pruning.

    Attributes:
        steps: The network of every round, from the first one to the first within the budgets; in their values, `error`
            is what the score said.
        scored: How many networks were scored.
    """

    steps: tuple[WidthPoint, ...]
    scored: int

    @property
    def best(self) -> WidthPoint:
        """The last network: the one within the budgets."""
        return self.steps[-1]

    def first_within(self, budgets: Mapping[str, float]) -> WidthPoint:
        """Returns the first network of the way within other budgets.

        If one column is budgeted, it is what pruning for that looser budget ends with: one run answers all.

        Raises:
            ConfigError: If a column is unknown.
            BudgetError: If none is within them.
        """
        known = self.best.values
        unknown = [f"budgets.{x}: unknown column; allowed: {', '.join(known)}" for x in budgets if x not in known]
        if unknown:
            raise ConfigError(unknown)
        for point in self.steps:
            if all(point.values[name] <= most for name, most in budgets.items()):
                return point
        least = {name: min([point.values[name] for point in self.steps]) for name in budgets}
        raise BudgetError(f"no step is within {dict(budgets)!r}; the least of the steps: {least!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledWidths:
    """The largest network whose widths are the original's times one number.

    Attributes:
        width_multiplier: The number.
        best: The network; in its values, `error` is what the score said.
    """

    width_multiplier: float
    best: WidthPoint


def greedy_widths(
    costs: WidthCosts,
    budgets: Mapping[str, float],
    score: Score,
    *,
    rule: Rule = "netadapt",
    step: float = 0.01,
    start: Genome | None = None,
) -> PrunedWidths:
    """Prunes layer by layer, in each round the group that is best to prune next, until the budgets are met.

    - `netadapt`: every group is narrowed until that alone saves `step`; the one of least error is kept (Yang et al.
      2018, §3.2, algorithm 1, without its fine-tuning: weights are shared).
    - `autoslim`: every group is narrowed by one width; the one of least error is kept (Yu & Huang 2019, AutoSlim, §3).
    - `mobilenetv3`: proposals as for `netadapt`; the one with the least increase of error for what it saves is kept
      (Howard et al. 2019, §4.2).

    Saved is what the columns above their budgets lose, each relative to the first network and summed, less what others
    come to exceed theirs by. Where no group can save `step`, the round is one of `autoslim`. Of equals the proposal
    that saves more is kept, then the first group's.

    Args:
        costs: What is budgeted. A column `error` is not looked at: the score takes its place.
        budgets: Column, or `peak_activation_bytes`, → the most it may reach.
        score: Tells the errors of networks, such as
            `lambda genomes: score_widths(net, genomes, view).errors`.
        rule: One of the three.
        step: Share of the first network's costs that a round is to save; `autoslim` does not use it.
        start: The first network; the widest of all by default.

    Raises:
        BudgetError: If nothing meets the budgets (nothing is scored then), or pruning ends above them; it names the
            least that is achievable.
        ConfigError: If a column is unknown, a budget is no finite number or on `error`, or `step` is not in 0 … 1.
        DataError: If scores are not one finite number per network.
        ShapeError: If `start` is no genome.
        ValueError: If the rule is unknown.
    """
    check_one_of("rule", rule, RULES)
    if not 0 < step < 1:
        raise ConfigError([f"step (={step!r}) must lie between 0 and 1"])
    limits = _Limits(_feasible(costs, budgets))
    first = [size - 1 for size in costs.sizes] if start is None else start
    return _pruned(limits, np.array(checked_matrix([first], costs.sizes), np.int64), score, rule, step)


def _pruned(limits: _Limits, current: Indices, score: Score, rule: Rule, step: float) -> PrunedWidths:
    """Prunes from the network `(1, groups)` on."""
    scale = np.abs(limits.of(current))
    scale[scale == 0] = 1.0
    errors, scored = checked_scores(score, current), 1
    steps = [_point(limits.asked, current[0], errors[0])]
    while not limits.met(current)[0]:
        moves = _narrower(current[0])
        if not len(moves):
            raise BudgetError(limits.missed("pruning ends above the budgets", current))
        saved = limits.saved(current, moves, scale)
        tried = _proposals(current[0], moves, saved, math.inf if rule == "autoslim" else step)
        before, errors, scored = float(errors[0]), checked_scores(score, moves[tried]), scored + len(tried)
        ranks = _by_ratio(errors - before, saved[tried]) if rule == "mobilenetv3" else errors
        kept = int(np.lexsort((-saved[tried], ranks))[0])
        current, errors = moves[tried[kept]][None], errors[kept : kept + 1]
        steps.append(_point(limits.asked, current[0], errors[0]))
    return PrunedWidths(steps=tuple(steps), scored=scored)


def uniform_widths(
    space: WidthSpace,
    costs: WidthCosts,
    budgets: Mapping[str, float],
    score: Score,
    *,
    divisor: int = 8,
    resolution: float = 0.01,
) -> ScaledWidths:
    """Finds the largest multiplier of all widths within the budgets (Howard et al. 2017, MobileNet, §3.3).

    Widths are rounded to multiples of `divisor` by MobileNet's rule, then to the nearest one of the group (of two
    equally near, the wider), so that prices are those of the space. Make the space with finer ratios for a finer
    answer.

    Args:
        space: The widths, and what they are relative to.
        costs: Of this space.
        budgets: As for `greedy_widths`.
        score: As for `greedy_widths`; asked about the answer only.
        divisor: What widths are multiples of.
        resolution: Difference of neighbouring multipliers.

    Raises:
        BudgetError: If no multiplier meets the budgets; it names the least that is achievable.
        ConfigError: If the costs are another space's, a number is not positive, or as for `greedy_widths`.
        DataError: As for `greedy_widths`.
    """
    faults = [] if costs.widths == space.widths else ["the costs have other widths than the space"]
    for what, number in (("divisor", divisor), ("resolution", resolution)):
        faults += [] if 0 < number < math.inf else [f"{what} (={number!r}) must be positive and finite"]
    if faults:
        raise ConfigError(faults)
    limits = _Limits(_feasible(costs, budgets))
    ratios = [width / group.base for group in space.groups for width in group.widths]
    numbers = range(math.ceil(min(ratios) / resolution - 1e-9), math.floor(max(ratios) / resolution + 1e-9) + 1)
    multipliers = [round(number * resolution, 9) for number in numbers] or [1.0]
    genomes = np.array([_scaled(space, multiplier, divisor) for multiplier in multipliers], np.int64)
    met = np.flatnonzero(limits.met(genomes))
    if not len(met):
        raise BudgetError(limits.missed("no multiplier meets the budgets", genomes))
    last = int(met[-1])
    found = genomes[last]
    error = checked_scores(score, found[None])[0]
    return ScaledWidths(width_multiplier=multipliers[last], best=_point(limits.asked, found, error))


class _Limits:
    """Totals of networks beside what they may reach."""

    def __init__(self, asked: Question) -> None:
        self.asked = asked
        self._most = {**asked.budgets, **({PEAK: asked.most_peak} if asked.most_peak < math.inf else {})}
        self._bounds = np.array(list(self._most.values()), np.float64)

    def of(self, genomes: Indices) -> Floats:
        """Returns the budgeted totals, `(n, budgets)`."""
        costs = self.asked.costs
        columns = [list(costs.columns).index(name) for name in self.asked.budgets]
        found = costs.totals(genomes)[:, columns]
        return np.column_stack([found, costs.peak_of(genomes)]) if PEAK in self._most else found

    def met(self, genomes: Indices) -> npt.NDArray[np.bool_]:
        """Returns whether each network is within all budgets, `(n,)`."""
        return np.logical_and.reduce(self.of(genomes) <= self._bounds, axis=1)

    def saved(self, current: Indices, moves: Indices, scale: Floats) -> Floats:
        """Returns what moves from one network save, `(n,)`, in shares of a scale, `(1, budgets)`."""
        before, after = self.of(current), self.of(moves)
        over = before > self._bounds
        saved = np.where(over, before - after, np.minimum(self._bounds - after, 0.0))
        return np.asarray((saved / scale).sum(axis=1))

    def missed(self, what: str, genomes: Indices) -> str:
        """Says how near networks came, and what any network of the space achieves."""
        best, least = self.of(genomes).min(axis=0).tolist(), self.asked.least()
        lines = [
            f"{name}: at most {most!r}, here {reached!r}, least achievable {least[name]!r}"
            for (name, most), reached in zip(self._most.items(), best, strict=True)
        ]
        return "\n  ".join([f"{what}; solve_width finds widths within them", *lines])


def _feasible(costs: WidthCosts, budgets: Mapping[str, float]) -> Question:
    """Checks what is asked, before anything is scored."""
    if ERROR in budgets:
        raise ConfigError([f"budgets.{ERROR}: the score tells errors, they are minimised"])
    asked = question(costs, budgets)
    found = solve_width(costs, budgets, objective=next(iter(asked.budgets), None))
    if found.status == "infeasible":
        raise BudgetError(found.message)
    return asked


def checked_scores(score: Score, genomes: Indices) -> Floats:
    """Returns what a score says of networks, `(n,)`.

    Raises:
        DataError: If that is not one finite number per network.
    """
    errors = np.asarray(score(genomes), np.float64)
    if errors.shape != (len(genomes),) or not np.isfinite(errors).all():
        raise DataError(f"scores {errors!r} must be one finite number for each of {len(genomes)} networks")
    return errors


def _point(asked: Question, genome: Indices, error: float) -> WidthPoint:
    (point,) = asked.points([tuple(genome.tolist())])
    return replace(point, values={**point.values, ERROR: float(error)})


def _narrower(current: Indices) -> Indices:
    """Returns the networks with one group narrower, group by group, the widest first."""
    moves = [(group, choice) for group, own in enumerate(current.tolist()) for choice in range(own - 1, -1, -1)]
    found = np.repeat(current[None], len(moves), axis=0)
    for row, (group, choice) in enumerate(moves):
        found[row, group] = choice
    return found


def _proposals(current: Indices, moves: Indices, saved: Floats, step: float) -> Indices:
    """Returns for every group its widest move that saves a step; if there is none at all, every group's widest."""
    groups = (moves != current).argmax(axis=1)
    enough = np.flatnonzero(saved >= step)
    rows = enough if len(enough) else np.arange(len(moves))
    return rows[np.unique(groups[rows], return_index=True)[1]]


def _by_ratio(increase: Floats, saved: Floats) -> Floats:
    """Returns the increase of error per saving; where the error falls, the more so the more is saved too."""
    if not (saved > 0).all():
        return increase
    return np.where(increase > 0, increase / saved, increase * saved)


def _scaled(space: WidthSpace, multiplier: float, divisor: int) -> Sequence[int]:
    choices = []
    for group in space.groups:
        wanted = group.base if multiplier == 1 else make_divisible(group.base * multiplier, divisor)
        nearest = min(group.widths, key=lambda width: (abs(width - wanted), -width))
        choices.append(group.widths.index(nearest))
    return choices


__all__ = [
    "RULES",
    "PrunedWidths",
    "Rule",
    "ScaledWidths",
    "Score",
    "checked_scores",
    "greedy_widths",
    "uniform_widths",
]
