"""How much more accurate one way to choose widths is than another: paired, with an interval over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Measure = Literal["points", "accuracy", "error"]
MEASURES: tuple[Measure, ...] = ("points", "accuracy", "error")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The mean of paired differences; positive: better than the reference.

    Attributes:
        mean: A share: 0.01 is one point, or one per cent of the reference's accuracy or error rate.
        low: Lower end of the 95 % interval; None with a single seed.
        high: Upper end.
        pairs: How many pairs (one for each seed and budget).
        wins: Pairs with a higher accuracy than the reference's.
        ties: Pairs with the same accuracy.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int
    wins: int
    ties: int

    def __str__(self) -> str:
        """Per cent, with the interval if there is one: `+1.25 (-0.50 … +3.00)`."""
        text = f"{100 * self.mean:+.2f}"
        return text if self.low is None or self.high is None else f"{text} ({_signed(self.low)} … {_signed(self.high)})"

    @property
    def wins_text(self) -> str:
        """`7 of 9`, with the ties where there are any: `7 of 9, 1 equal`."""
        return f"{self.wins} of {self.pairs}" + (f", {self.ties} equal" if self.ties else "")

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self)


def paired_gain(pairs: Mapping[int, Sequence[tuple[float, float]]], measure: Measure) -> Gain | None:
    """Returns the gain over a reference.

    Differences of one seed are averaged first: budgets share the slimmable training that their widths were chosen by,
    so that only seeds are independent of each other. The interval is Student's over the seeds' means.

    Args:
        pairs: Seed → accuracy and the reference's accuracy, 0 … 1, for each budget.
        measure: `points`: the difference of the accuracies; `accuracy`: relative to the reference's accuracy;
            `error`: the reduction of the error rate, relative to the reference's.

    Returns:
        None if there are no pairs, or a reference's accuracy (its error rate, for `error`) is 0.
    """
    flat = [pair for seed in pairs.values() for pair in seed]
    if not flat:
        return None
    try:
        means = [statistics.fmean(_DIFFERENCES[measure](*pair) for pair in seed) for seed in pairs.values() if seed]
    except ZeroDivisionError:
        return None
    low, high = _interval(means)
    return Gain(
        mean=statistics.fmean(means),
        low=low,
        high=high,
        pairs=len(flat),
        wins=sum(ours > theirs for ours, theirs in flat),
        ties=sum(ours == theirs for ours, theirs in flat),
    )


_DIFFERENCES: Mapping[Measure, Callable[[float, float], float]] = {
    "points": lambda ours, theirs: ours - theirs,
    "accuracy": lambda ours, theirs: (ours - theirs) / theirs,
    "error": lambda ours, theirs: (ours - theirs) / (1 - theirs),
}


def _interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Student's interval of the mean (Student 1908, Biometrika 6)."""
    if len(values) < 2:
        return None, None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    mean, half = statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}"
