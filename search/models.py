"""The surrogates of a search, fitted again and again to growing observations."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from accelzoo.search.candidates import CandidatePool
from accelzoo.search.genomes import to_matrix
from accelzoo.search.knowledge import Knowledge
from accelzoo.search.space import Genome
from accelzoo.search.surrogate import FeatureScale, Hyperparameters, Prediction, Surrogate

Array = npt.NDArray[np.float64]
Fitted: TypeAlias = Callable[[list[Genome]], Prediction]

_GROWTH = 1.1  # tenth by tenth: the cost of all fits together stays a few times that of the last
_FLOOR = 4.0


class Model:
    """Fits surrogates of one value to growing observations; hyperparameters anew only when there are a tenth more.

    Args:
        sizes: The number of choices of each position.
        candidates: What features are standardised over.
        knowledge: Says the features.
        order: How much nearer neighbouring choices of a knob are, from 0 to 1.
        sign: −1 where more of a feature is expected to make the value worse, as a cost's.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        candidates: CandidatePool,
        knowledge: Knowledge,
        order: float,
        sign: int = 1,
    ) -> None:
        self._sizes = sizes
        self._candidates = candidates
        self._knowledge = knowledge
        self._order = order
        self._sign = sign
        self._hyperparameters: Hyperparameters | None = None
        self._fitted_on = 0

    def fitted(self, observed: Mapping[Genome, float], pending: Iterable[Genome]) -> Fitted:
        """Returns what predicts genomes, with the pending ones as if they came out as predicted."""
        if len(observed) >= _GROWTH * self._fitted_on:
            self._hyperparameters = None
            self._fitted_on = len(observed)
        genomes, waiting = list(observed), list(pending)
        scale = self._candidates.feature_scale
        surrogate = Surrogate(
            self._sizes,
            to_matrix(genomes, len(self._sizes)),
            list(observed.values()),
            self._features(genomes),
            scale=scale if self._sign > 0 else FeatureScale(-scale.mean, scale.std),
            order=self._order,
            hyperparameters=self._hyperparameters,
        )
        self._hyperparameters = surrogate.hyperparameters
        if waiting:
            surrogate = surrogate.with_pending(to_matrix(waiting, len(self._sizes)), self._features(waiting))
        return lambda asked: surrogate.predict(to_matrix(asked, len(self._sizes)), self._features(asked))

    def _features(self, genomes: list[Genome]) -> Array:
        return self._sign * self._knowledge.features_of(genomes)


def with_floor(
    scored: Mapping[Genome, float], failed: Collection[Genome], most: float = math.inf
) -> dict[Genome, float]:
    """Raises values far below the others, and gives the worst of them to candidates that failed.

    Args:
        scored: Values of candidates, at least one.
        failed: Candidates without one.
        most: No value above this is raised.
    """
    values = np.array(list(scored.values()))
    median, upper = np.quantile(values, [0.5, 0.75])
    floor = median - _FLOOR * (upper - median) if upper > median else values.min()
    raised = np.maximum(values, min(floor, most))
    return {**dict(zip(scored, raised.tolist(), strict=True)), **dict.fromkeys(failed, float(raised.min()))}
