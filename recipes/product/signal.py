"""What stands for accuracy in a product recipe's search: zero-cost scores against the baseline's, in one figure.

Scores have no unit in common. Here each is counted in its own standard deviations over random networks of the space,
from the baseline's value on, so that a network's figure depends on no other network of the search: unlike a mean of
ranks (`accelzoo.search.scores.rank_combination`) it can be given to any algorithm, one network at a time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from accelzoo import config, draw
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.scores import GraphScore, get_score
from accelzoo.search.space import SearchSpace

if TYPE_CHECKING:
    from accelzoo.recipes.product.schema import SignalPlan  # loads the tasks, which no worker needs to score

LOGARITHMIC = frozenset(("grad_norm", "macs", "params", "snip"))
"""Scores that are positive and grow by factors: their natural logarithm is what counts. Others are sums or logarithms
already (`synflow`, `zen`, `naswot`)."""
_ATTEMPTS = 100
_NO_DEVIATION = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacitySignal:
    """Scores an architecture against a baseline without training it: the baseline has 0, higher is better.

    The figure is the mean over scores of `(score − baseline's) / deviation`. Scores of freshly drawn networks see unit
    normal noise at the architecture's input size.

    Args:
        scores: Names of zero-cost scores.
        baseline_values: The baseline's value of each, of `LOGARITHMIC` ones the logarithm.
        deviations: Standard deviation of each over networks of the space; 0: the score does not count.
        seed: Draws weights and noise.
        notes: What there is to say of scores that do not count.

    Raises:
        ConfigError: If no score counts.
    """

    scores: tuple[str, ...]
    baseline_values: tuple[float, ...]
    deviations: tuple[float, ...]
    seed: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(self.deviations):
            raise ConfigError([
                f"search.signal.scores: {', '.join(self.scores)} tell no networks of the space apart; name others, or "
                "search another space"
            ])  # fmt: skip

    @classmethod
    def of(cls, plan: SignalPlan, space: SearchSpace, baseline: Arch, seed: int) -> Self:
        """Measures the scores' deviations on random networks of a space.

        Args:
            plan: Which scores, and how many networks.
            space: Where networks are drawn from, every choice uniform and independent.
            baseline: The network that has 0.
            seed: Draws the networks, and their weights and noise.

        Raises:
            ConfigError: If no score tells networks of the space apart.
            ScoreError: If the baseline has no finite score.
            ShapeError: If hardly a genome of the space makes a network that has all scores.
            UnknownNameError: If there is no such score.
        """
        baseline_values = _values(baseline, plan.scores, seed)
        columns = list(zip(*_sampled(plan, space, seed), strict=True))
        deviations = [statistics.stdev(column) for column in columns]
        kept = [
            0.0 if deviation <= _NO_DEVIATION * max(1.0, *map(abs, column)) else deviation
            for deviation, column in zip(deviations, columns, strict=True)
        ]
        notes = [
            f"{name} is the same for all {plan.sample} networks drawn from the space, and does not count"
            for name, deviation in zip(plan.scores, kept, strict=True)
            if not deviation
        ]
        return cls(
            scores=plan.scores,
            baseline_values=baseline_values,
            deviations=tuple(kept),
            seed=seed,
            notes=tuple(notes),
        )

    def __call__(self, arch: Arch) -> float:
        """Returns the figure, in standard deviations above the baseline.

        Raises:
            ScoreError: If a score is not finite; a `CandidateError`.
        """
        parts = self.parts(arch)
        return math.fsum(parts.values()) / len(parts)

    def parts(self, arch: Arch) -> dict[str, float]:
        """Returns what each score that counts says of an architecture, in its own standard deviations.

        Raises:
            ScoreError: If a score is not finite; a `CandidateError`.
        """
        known = {
            name: (value, deviation)
            for name, value, deviation in zip(self.scores, self.baseline_values, self.deviations, strict=True)
            if deviation
        }
        values = _values(arch, tuple(known), self.seed)
        pairs = zip(values, known.items(), strict=True)
        return {name: (value - baseline) / deviation for value, (name, (baseline, deviation)) in pairs}

    def digest(self) -> str:
        """Names the signal by all that decides its figures."""
        return config.digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads what `to_json` returned."""
        lists = {name: tuple(value) for name, value in content.items() if name != "seed"}
        return cls(**lists, seed=content["seed"])


def _values(arch: Arch, scores: tuple[str, ...], seed: int) -> tuple[float, ...]:
    """Returns an architecture's scores; those in closed form share one lowering, which takes most of their time."""
    graph = None
    values = []
    for name in scores:
        score = get_score(name)
        if isinstance(score, GraphScore):
            graph = graph or arch.lower()
            value = score(graph)
        else:
            value = score(arch, None, seed=seed)
        values.append(_logarithm(name, value) if name in LOGARITHMIC else value)
    return tuple(values)


def _logarithm(name: str, value: float) -> float:
    if value <= 0:
        raise CandidateError(f"the score {name!r} of this network is {value}: it counts by its logarithm")
    return math.log(value)


def _sampled(plan: SignalPlan, space: SearchSpace, seed: int) -> Iterator[tuple[float, ...]]:
    """Yields the scores of random networks; genomes that make none, or one without a score, are drawn again."""
    rng = draw.generator(seed)
    count = 0
    for _ in range(_ATTEMPTS * plan.sample):
        genome = tuple(draw.below(rng, size) for size in space.sizes)
        try:
            values = _values(space.decode(genome), plan.scores, seed)
        except (CandidateError, ConfigError, ShapeError):
            continue
        yield values
        count += 1
        if count == plan.sample:
            return
    raise ShapeError(
        f"of {_ATTEMPTS * plan.sample:,} random genomes of the space only {count} make networks with the scores "
        f"{', '.join(plan.scores)}; {plan.sample} are needed"
    )
