"""Errors that training has learnt, corrected near a budget by scores of whole networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.width.baselines import Score, checked_scores
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.model import budgeted_model
from accelzoo.search.width.slimmable.errors import AdditiveErrors
from accelzoo.search.width.solve import solve_width

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
TEMPERATURE = 0.005
_REFINE_STREAM = 0x2EF1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedErrors:
    """Corrected errors, and what they were corrected by.

    Attributes:
        tables: What each width of each group adds, `(widths,)`.
        genomes: The networks that were scored, int64 `(n, groups)`.
        losses: Their scores, `(n,)`.
    """

    tables: tuple[Floats, ...]
    genomes: Indices
    losses: Floats


def refine_errors(
    costs: WidthCosts,
    budgets: Mapping[str, float],
    tables: Sequence[npt.ArrayLike],
    score: Score,
    *,
    networks: int = 40,
    rounds: int = 2,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> RefinedErrors:
    """Scores networks that are likely to be chosen, and regresses what the additive model gets wrong about them.

    Errors are learnt over the whole space, of which the networks near a budget are a small part. In each round networks
    are drawn from the budgeted model of the errors known by then, the best of them besides; the residuals of all scores
    so far are explained additively again (`AdditiveErrors` decides how far they are to be believed). It is to errors
    what `close_loop` is to latencies; AOWS has no such step.

    Args:
        costs: What is budgeted.
        budgets: As for `solve_width`.
        tables: What each width of each group adds to the loss, as slimmable training has learnt it.
        score: Tells the losses of networks, such as `lambda genomes: score_widths(net, genomes, view).losses`.
        networks: How many are scored in each round, at most.
        rounds: How often the model is asked anew.
        temperature: Of the model, in nats: how far beside the best networks are drawn.
        seed: Of the draws.

    Raises:
        BudgetError: If nothing meets the budgets.
        ConfigError: If a number is not positive, or as for `solve_width`.
        DataError: If scores are not one finite number per network.
    """
    _check(networks, rounds, temperature)
    first = costs.with_errors(tables)
    column = list(first.columns).index("error")
    rng = draw.generator(seed, _REFINE_STREAM)
    known, losses = first, np.zeros(0)
    scored: dict[tuple[int, ...], None] = {}
    for _ in range(rounds):
        drawn = budgeted_model(known, budgets, temperature, hold="expectation").sample(networks - 1, rng)
        best = solve_width(known, budgets).best.genome
        fresh = [row for row in dict.fromkeys([best, *map(tuple, drawn.tolist())]) if row not in scored]
        scored |= dict.fromkeys(fresh)
        if fresh:
            losses = np.concatenate([losses, checked_scores(score, np.array(fresh, np.int64))])
        genomes = np.array(list(scored), np.int64)
        corrected = _corrected(tables, genomes, losses - first.totals(genomes)[:, column])
        known = costs.with_errors(corrected)
    return RefinedErrors(tables=corrected, genomes=genomes, losses=losses)


def _corrected(tables: Sequence[npt.ArrayLike], genomes: Indices, residuals: Floats) -> tuple[Floats, ...]:
    learnt = [np.asarray(table, np.float64) for table in tables]
    regression = AdditiveErrors([len(table) for table in learnt], memory=math.inf)
    regression.update(genomes, residuals)
    return tuple([table + more for table, more in zip(learnt, regression.tables(), strict=True)])


def _check(networks: int, rounds: int, temperature: float) -> None:
    faults = [
        f"{what} (={number!r}) must be a positive integer"
        for what, number in (("networks", networks), ("rounds", rounds))
        if not isinstance(number, int) or number < 1
    ]
    if not 0 < temperature < math.inf:
        faults.append(f"temperature (={temperature!r}) must be positive and finite")
    if faults:
        raise ConfigError(faults)
