"""Which networks of a search's front are trained shortly, and which of those become picks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError
from accelzoo.search.space import Genome


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A network that a search found better than the baseline in both: signal and latency.

    Args:
        arch: The network.
        signal: What the zero-cost signal says of it; the baseline has 0.
        latency_s: Seconds of one inference, as estimated.
        genome: In the space of its search.
        index: Its place in the search, from 0.
    """

    arch: Arch
    signal: float
    latency_s: float
    genome: Genome
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """What a search hands on.

    Args:
        named: Pick's name → network, from the slowest to the fastest.
        facts: `least_trial` (the short training's score that was asked for), `reached_by` (how many reached it) and
            `filled_up` (names of picks that did not).
    """

    named: dict[str, Contender]
    facts: dict[str, Any] = field(default_factory=dict)


def trial_candidates(front: Sequence[Contender], count: int) -> tuple[Contender, ...]:
    """Chooses the networks that are trained shortly: evenly spread over latency, the fastest always among them.

    Args:
        front: Networks that the search found.
        count: The most that are returned; at least 1.

    Returns:
        From the slowest to the fastest.
    """
    return _spread(front, count)


def choose(
    tried: Sequence[Contender],
    trials: Sequence[float],
    baseline_trial: float,
    tolerance: float,
    names: Sequence[str],
) -> Picks:
    """Chooses a search's picks by what short trainings say.

    A network qualifies if its score is at least `(1 − tolerance)` times the baseline's. One name stands for the fastest
    that qualifies; several are spread evenly over the latencies of those. Where too few qualify, those that scored
    best of the others fill up, and the facts name them.

    Args:
        tried: The networks that were trained shortly.
        trials: The score of each, 0 … 1; NaN for one whose training failed.
        baseline_trial: The baseline's score after the same training.
        tolerance: See `TrialPlan`.
        names: Names of the picks, for the slowest first.

    Raises:
        AccelzooError: If fewer networks were tried than there are names.
    """
    if len(tried) < len(names):
        raise AccelzooError(f"{len(names)} picks ({', '.join(names)}) from {len(tried)} networks that were tried")
    least = (1 - tolerance) * baseline_trial
    scores = [-math.inf if math.isnan(trial) else trial for trial in trials]
    ranked = sorted(zip(scores, tried, strict=True), key=lambda pair: (-pair[0], pair[1].latency_s, pair[1].index))
    good = [contender for score, contender in ranked if score >= least]
    others = [contender for score, contender in ranked if score < least][: max(0, len(names) - len(good))]
    chosen = _slowest_first([*good, *others]) if others else _spread(good, len(names))
    named = dict(zip(names, chosen, strict=True))
    filled_up = [name for name, contender in named.items() if any(contender is other for other in others)]
    return Picks(named=named, facts={"least_trial": least, "reached_by": len(good), "filled_up": filled_up})


def _spread(contenders: Sequence[Contender], count: int) -> tuple[Contender, ...]:
    """Chooses those nearest to latencies in even steps from the fastest to the slowest; slowest first."""
    left = _slowest_first(contenders)
    if count >= len(left):
        return left
    fastest, slowest = left[-1].latency_s, left[0].latency_s
    chosen: list[Contender] = []
    for step in range(count):
        wanted = fastest + (slowest - fastest) * step / max(1, count - 1)
        nearest = min(left, key=lambda one: (abs(one.latency_s - wanted), one.latency_s, one.index))
        chosen.append(nearest)
        left = tuple(one for one in left if one is not nearest)
    return _slowest_first(chosen)


def _slowest_first(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    return tuple(sorted(contenders, key=lambda one: (-one.latency_s, one.index)))
