"""Bayesian optimisation: a Gaussian process over genomes says which network to train next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.acquisition import ACQUISITIONS, first_best
from accelzoo.search.candidates import CandidatePool
from accelzoo.search.genomes import Unseen, checked_batch, checked_sizes, random_genome, to_matrix
from accelzoo.search.knowledge import Knowledge
from accelzoo.search.objective import PENALTY
from accelzoo.search.space import Genome, GenomeMatrix
from accelzoo.search.surrogate import Hyperparameters, Prediction, Surrogate

Array = npt.NDArray[np.float64]
_Column: TypeAlias = Callable[[list[Genome]], Array]

_PARENTS = 5
_CLIMBS = 20
_GROWTH = 1.1  # tenth by tenth: the cost of all fits together stays a few times that of the last
_FLOOR = 4.0


class BayesianOptimisation:
    """Model-based search as in Jones, Schonlau and Welch (1998), with a Gaussian process over genomes.

    The first `initial` candidates are random. Then the surrogate (`accelzoo.search.surrogate`) is fitted to all values
    told, and the candidate with the largest acquisition is next. Candidates are the whole space if it has at most
    10,000 genomes; else `candidates` random genomes, kept from turn to turn, and all that are one knob away from the
    five best; from the best candidate the acquisition is then climbed, knob by knob. What was asked for and not yet
    told counts as trained, with the predicted value.

    What a driver knows can be handed over before the first `ask` or `tell`; each is optional and each helps:
    `use_features`, `use_canonical`, `use_violation`.

    How bad a bad network is does not matter, but would stretch the scale: values below the median less 4 times the
    distance from the median to the upper quartile are raised to it, and a failed candidate (−inf) counts as the worst
    of the others. The values of infeasible candidates (below −10⁶, as `accelzoo.search.objective.value` makes them)
    teach a second surrogate how far over budget genomes are; candidates that it takes to be over by more than one
    standard deviation are left out (to price one that is over costs no training).

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        initial: Random candidates before the first fit.
        acquisition: `ei`, or `ucb`, which needs an exploration that suits the space (benchmarks/model_based.md).
        exploration: Standard deviations that `ucb` adds to the mean, or that `ei` asks for beyond the best.
        candidates: Random candidates in a space too large to be scored whole.
        order: How much nearer neighbouring choices of a knob are: from 0, for knobs without an order, to 1.

    Raises:
        ConfigError: If an option is out of range.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        initial: int = 10,
        acquisition: str = "ei",
        exploration: float = 0.0,
        candidates: int = 1000,
        order: float = 0.5,
    ) -> None:
        least = {"initial": initial, "candidates": candidates}
        faults = [f"{name} (={count}) must be at least 1" for name, count in least.items() if count < 1]
        if acquisition not in ACQUISITIONS:
            close = suggestion(acquisition, ACQUISITIONS)
            faults.append(f"acquisition (={acquisition!r}) must be one of {', '.join(ACQUISITIONS)}{close}")
        if not 0 <= exploration < math.inf:
            faults.append(f"exploration (={exploration}) must be zero or positive")
        if not 0 <= order <= 1:
            faults.append(f"order (={order}) must be from 0 to 1")
        if faults:
            raise ConfigError(faults)
        self._sizes = checked_sizes(sizes)
        self._rng = rng
        self._initial, self._exploration = initial, exploration
        self._acquire = ACQUISITIONS[acquisition]
        self._knowledge = Knowledge(len(self._sizes))
        self._candidates = CandidatePool(self._sizes, rng, candidates, self._knowledge)
        self._unseen = Unseen(self._sizes, rng)
        self._told: dict[Genome, list[float]] = {}
        self._pending: dict[Genome, None] = {}  # in the order asked for
        self._value_model = _Model(self._sizes, self._candidates, self._knowledge, order)
        self._excess_model = _Model(self._sizes, self._candidates, self._knowledge, order)

    def use_features(self, features: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Takes what is known of a genome before it is trained.

        Args:
            features: Genomes `(n, positions)` → `(n, k)`, each oriented so that more is expected to be better, in a
                scale in which value is about linear: log parameters, log MACs, zero-cost scores. One that is not
                finite counts as average. Called once per genome, and always with the same result.
        """
        self._knowledge.features = features

    def use_canonical(self, canonical: Callable[[Genome], Genome]) -> None:
        """Takes `SearchSpace.canonical`: genomes of one architecture are then one candidate."""
        self._knowledge.canonical = canonical

    def use_violation(self, violation: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Takes how far genomes are over budget, `(n, positions)` → `(n,)`, 0 within: then that need not be learnt."""
        self._knowledge.violation = violation

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        asked = []
        for _ in range(count):
            genome = self._unseen.next(partial(self._proposed, self._picked()))
            if genome is None:
                break
            self._pending[self._knowledge.named(genome)] = None
            asked.append(genome)
        return to_matrix(asked, len(self._sizes))

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Adds what was measured; of several values of one architecture the mean counts.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space.
            ValueError: If a value is NaN or +inf.
        """
        for genome, value in checked_batch(genomes, values, self._sizes):
            self._unseen.add(genome)
            named = self._knowledge.named(genome)
            self._pending.pop(named, None)
            self._told.setdefault(named, []).append(value)

    def _proposed(self, picked: Genome | None) -> Genome:
        return random_genome(self._sizes, self._rng) if picked is None else picked

    def _picked(self) -> Genome | None:
        """Returns the candidate to train next; None where any random genome will do, or no candidate is left."""
        means = {genome: math.fsum(values) / len(values) for genome, values in self._told.items()}
        scored = {genome: value for genome, value in means.items() if value >= -PENALTY}
        over = {genome: -value / PENALTY - 1 for genome, value in means.items() if -math.inf < value < -PENALTY}
        used = {**self._told, **self._pending}
        modelled = len(used) >= self._initial and bool(scored or over)
        if not modelled and self._knowledge.violation is None:
            return None
        parents = sorted(scored, key=lambda genome: -scored[genome])[:_PARENTS]
        excess = self._excess(scored, over)
        pool = self._candidates.unused(used, parents)
        if not pool:
            return None
        excesses = excess(pool)
        pool = [pool[index] for index in np.flatnonzero(excesses <= max(0.0, float(excesses.min())))]
        if not modelled or not scored:
            return pool[draw.below(self._rng, len(pool))]
        score = self._score(scored, [genome for genome, value in means.items() if value == -math.inf])
        best = pool[first_best(score(pool))]
        for _ in range(_CLIMBS):
            near = self._candidates.neighbours([best], used)
            near = [near[index] for index in np.flatnonzero(excess(near) <= 0)]
            row = first_best(score([best, *near]))
            if row == 0:
                break
            best = near[row - 1]
        return best

    def _score(self, scored: Mapping[Genome, float], failed: Iterable[Genome]) -> _Column:
        """Returns the acquisition as a function of genomes."""
        observed = _with_floor(scored, failed)
        surrogate = self._value_model.fitted(observed, self._pending)
        best = max(observed.values())
        return lambda genomes: self._acquire(self._predicted(surrogate, genomes), best, self._exploration)

    def _excess(self, scored: Mapping[Genome, float], over: Mapping[Genome, float]) -> _Column:
        """Returns how far over budget genomes are as a function of them, known or predicted; not above 0 within."""
        if self._knowledge.violation is not None or not over:
            return self._knowledge.violations_of
        # How far within its budgets a candidate is was not told: as far as the others are over, to have a border at 0.
        margin = float(np.median(list(over.values())))
        surrogate = self._excess_model.fitted({**over, **dict.fromkeys(scored, -margin)}, ())

        def predicted(genomes: list[Genome]) -> Array:
            prediction = self._predicted(surrogate, genomes)
            return prediction.mean - prediction.std

        return predicted

    def _predicted(self, surrogate: Surrogate, genomes: list[Genome]) -> Prediction:
        return surrogate.predict(to_matrix(genomes, len(self._sizes)), self._knowledge.features_of(genomes))


class _Model:
    """Fits surrogates to growing observations; hyperparameters anew only when there are a tenth more of them."""

    def __init__(self, sizes: tuple[int, ...], candidates: CandidatePool, knowledge: Knowledge, order: float) -> None:
        self._sizes = sizes
        self._candidates = candidates
        self._knowledge = knowledge
        self._order = order
        self._hyperparameters: Hyperparameters | None = None
        self._fitted_on = 0

    def fitted(self, observed: Mapping[Genome, float], pending: Iterable[Genome]) -> Surrogate:
        """Returns the surrogate of what was observed, with the pending genomes as if they came out as predicted."""
        if len(observed) >= _GROWTH * self._fitted_on:
            self._hyperparameters = None
            self._fitted_on = len(observed)
        genomes, waiting = list(observed), list(pending)
        surrogate = Surrogate(
            self._sizes,
            to_matrix(genomes, len(self._sizes)),
            list(observed.values()),
            self._knowledge.features_of(genomes),
            scale=self._candidates.feature_scale,
            order=self._order,
            hyperparameters=self._hyperparameters,
        )
        self._hyperparameters = surrogate.hyperparameters
        if not waiting:
            return surrogate
        return surrogate.with_pending(to_matrix(waiting, len(self._sizes)), self._knowledge.features_of(waiting))


def _with_floor(scored: Mapping[Genome, float], failed: Iterable[Genome]) -> dict[Genome, float]:
    """Raises values far below the others, and gives the worst of them to candidates that failed."""
    values = np.array(list(scored.values()))
    median, upper = np.quantile(values, [0.5, 0.75])
    floor = median - _FLOOR * (upper - median) if upper > median else values.min()
    raised = np.maximum(values, floor)
    return {**dict(zip(scored, raised.tolist(), strict=True)), **dict.fromkeys(failed, float(raised.min()))}


ALGORITHM = BayesianOptimisation
