"""Bayesian optimisation: a Gaussian process over genomes says which network to train next."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError, ShapeError, suggestion
from accelzoo.search.acquisition import ACQUISITIONS, first_best
from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.candidates import CandidatePool, Given
from accelzoo.search.genomes import Unseen, checked_sizes, random_genome, to_matrix
from accelzoo.search.improvement import HypervolumeImprovement, reference_point
from accelzoo.search.knowledge import Knowledge
from accelzoo.search.models import Model, with_floor
from accelzoo.search.objective import PENALTY
from accelzoo.search.pareto import pareto_front, rank_and_crowd
from accelzoo.search.space import Genome, GenomeMatrix

Array = npt.NDArray[np.float64]
Row: TypeAlias = tuple[float, ...]
Column: TypeAlias = Callable[[list[Genome]], Array]

_PARENTS = 5
_FRONT_PARENTS = 20
_CLIMBS = 20


class BayesianOptimisation:
    """Model-based search as in Jones, Schonlau and Welch (1998), with a Gaussian process over genomes.

    Of several objectives the candidate with the largest expected hypervolume improvement is next
    (`accelzoo.search.improvement`, exact for independent normal objectives), with one surrogate for each objective
    whose values are not known beforehand (`use_costs`); `acquisition` and `exploration` concern one objective only.

    The first `initial` candidates are random. Then the surrogate (`accelzoo.search.surrogate`) is fitted to all values
    told, and the candidate with the largest acquisition is next. Candidates are the whole space if it has at most
    10,000 genomes; else `candidates` random genomes, kept from turn to turn, and all that are one knob away from the
    five best (of several objectives, from twenty of the best front); from the best candidate the acquisition is then
    climbed, knob by knob. What was asked for and not yet told counts as trained, with the predicted value.

    What a driver knows can be handed over before the first `ask` or `tell`; each is optional and each helps:
    `use_features`, `use_canonical`, `use_violation`, `use_costs`, `use_pool`.

    How bad a bad network is does not matter, but would stretch the scale: values below the median less 4 times the
    distance from the median to the upper quartile are raised to it (of several objectives, none that the front has),
    and a failed candidate (−inf) counts as the worst of the others. The values of infeasible candidates (below −10⁶, as
    `accelzoo.search.objective.value` makes them) teach a second surrogate how far over budget genomes are; candidates
    that it takes to be over by more than one standard deviation are left out (to price one that is over costs no
    training).

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

    several_objectives = True

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
        self._unseen: Unseen | Given = Unseen(self._sizes, rng)
        self._told: dict[Genome, list[Row]] = {}
        self._pending: dict[Genome, None] = {}  # in the order asked for
        self._order = order
        self._models: list[Model] = []  # one per objective, once their number is known
        self._excess_model = self._model()

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

    def use_costs(self, costs: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Takes the values of the objectives after the first: then only the first is learnt.

        Args:
            costs: Genomes `(n, positions)` → `(n, objectives − 1)`, what `tell` will say of them; −inf for a genome
                that cannot be priced, which is asked for last. Called once per genome.
        """
        self._knowledge.costs = costs

    def use_pool(self, genomes: npt.ArrayLike) -> None:
        """Limits the search to these genomes, which are scored whole: time per `ask` grows with their number.

        Args:
            genomes: Integers `(n, positions)`.

        Raises:
            ConfigError: If there are none.
            ShapeError: If they do not fit the space.
        """
        given = Given(genomes, self._sizes, self._rng)
        self._unseen, self._knowledge.pool = given, given.genomes

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

        Args:
            genomes: Integers `(n, positions)`.
            values: float64 `(n,)` or `(n, objectives)`, higher is better; objectives after the first are taken for
                costs with their signs changed.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space, or the number of objectives has changed.
            ValueError: If a value is NaN or +inf, or −inf beside a number.
        """
        matrix, table = checked_told(genomes, values, self._sizes)
        if not len(matrix):
            return
        if self._models and len(self._models) != table.shape[1]:
            raise ShapeError(
                f"values of {table.shape[1]} objectives must have {len(self._models)}, as those told before had"
            )
        self._models = self._models or [self._model(-1 if column else 1) for column in range(table.shape[1])]
        for row, found in zip(matrix.tolist(), table.tolist(), strict=True):
            genome = tuple(row)
            self._unseen.add(genome)
            named = self._knowledge.named(genome)
            self._pending.pop(named, None)
            self._told.setdefault(named, []).append(tuple(found))

    def _model(self, sign: int = 1) -> Model:
        return Model(self._sizes, self._candidates, self._knowledge, self._order, sign)

    def _proposed(self, picked: Genome | None) -> Genome:
        return random_genome(self._sizes, self._rng) if picked is None else picked

    def _picked(self) -> Genome | None:
        """Returns the candidate to train next; None where any random genome will do, or no candidate is left."""
        means = {genome: _mean(values) for genome, values in self._told.items()}
        scored = {genome: values for genome, values in means.items() if values[0] >= -PENALTY}
        over = {
            genome: -values[0] / PENALTY - 1
            for genome, values in means.items()
            if -math.inf < values[0] < -PENALTY
        }
        used = {**self._told, **self._pending}
        modelled = len(used) >= self._initial and bool(scored or over)
        if not modelled and not self._knowledge.refuses:
            return None
        excess = self._excess(scored, over)
        pool = self._candidates.unused(used, _parents(scored))
        if not pool:
            return None
        excesses = excess(pool)
        pool = [pool[index] for index in np.flatnonzero(excesses <= max(0.0, float(excesses.min())))]
        if not modelled or not scored:
            return pool[draw.below(self._rng, len(pool))]
        score = self._score(scored, [genome for genome, values in means.items() if values[0] == -math.inf])
        best = pool[first_best(score(pool))]
        for _ in range(_CLIMBS):
            near = self._candidates.neighbours([best], used)
            near = [near[index] for index in np.flatnonzero(excess(near) <= 0)]
            row = first_best(score([best, *near]))
            if row == 0:
                break
            best = near[row - 1]
        return best

    def _score(self, scored: Mapping[Genome, Row], failed: Collection[Genome]) -> Column:
        """Returns the acquisition as a function of genomes."""
        if len(self._models) > 1:
            return self._improvement(scored, failed)
        observed = with_floor({genome: value for genome, (value,) in scored.items()}, failed)
        predicted = self._models[0].fitted(observed, self._pending)
        best = max(observed.values())
        return lambda genomes: self._acquire(predicted(genomes), best, self._exploration)

    def _improvement(self, scored: Mapping[Genome, Row], failed: Collection[Genome]) -> Column:
        """Returns the expected hypervolume improvement as a function of genomes."""
        values = np.array(list(scored.values()))
        front = values[pareto_front(values)]
        columns = [
            with_floor(dict(zip(scored, column.tolist(), strict=True)), failed, worst)
            for column, worst in zip(values.T, front.min(axis=0).tolist(), strict=True)
        ]
        reference = reference_point(np.array([list(column.values()) for column in columns]).T)
        learnt = columns if self._knowledge.costs is None else columns[:1]
        fitted = [model.fitted(column, self._pending) for model, column in zip(self._models, learnt, strict=False)]

        def predicted(genomes: list[Genome]) -> tuple[Array, Array]:
            found = [one(genomes) for one in fitted]
            mean, std = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
            if self._knowledge.costs is None:
                return mean, std
            costs = np.maximum(self._known_costs(genomes), reference[1:])
            return np.concatenate([mean, costs], axis=1), np.concatenate([std, np.zeros_like(costs)], axis=1)

        if self._pending:
            front = np.concatenate([front, predicted(list(self._pending))[0]])
        improvement = HypervolumeImprovement(front, reference)
        return lambda genomes: improvement.expected(*predicted(genomes))

    def _known_costs(self, genomes: list[Genome]) -> Array:
        costs = self._knowledge.costs_of(genomes)
        if costs.shape[1] != len(self._models) - 1:
            raise ShapeError(
                f"costs of shape {costs.shape} must have shape ({len(genomes)}, {len(self._models) - 1}): "
                "one column for each objective after the first"
            )
        return costs

    def _excess(self, scored: Mapping[Genome, Row], over: Mapping[Genome, float]) -> Column:
        """Returns how far over budget genomes are as a function of them, known or predicted; not above 0 within."""
        if self._knowledge.violation is not None or not over:
            return self._knowledge.refusals_of
        # How far within its budgets a candidate is was not told: as far as the others are over, to have a border at 0.
        margin = float(np.median(list(over.values())))
        learnt = self._excess_model.fitted({**over, **dict.fromkeys(scored, -margin)}, ())

        def predicted(genomes: list[Genome]) -> Array:
            prediction = learnt(genomes)
            return prediction.mean - prediction.std + self._knowledge.refusals_of(genomes)

        return predicted


def _mean(values: list[Row]) -> Row:
    return tuple(math.fsum(column) / len(values) for column in zip(*values, strict=True))


def _parents(scored: Mapping[Genome, Row]) -> list[Genome]:
    """Returns the best genomes; of several objectives, the loneliest members of the best fronts."""
    if not scored:
        return []
    genomes, values = list(scored), np.array(list(scored.values()))
    if values.shape[1] == 1:
        return sorted(scored, key=lambda genome: -scored[genome][0])[:_PARENTS]
    ranks, crowding = rank_and_crowd(values)
    return [genomes[row] for row in np.lexsort((-crowding, ranks))[:_FRONT_PARENTS]]


ALGORITHM = BayesianOptimisation
