"""Genetic algorithms of pymoo (Blank and Deb, IEEE Access 2020) on our spaces; needs the extra `pymoo`."""

from __future__ import annotations

import copy
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.algorithms._foreign import Foreign, Outcome, import_extra
from accelzoo.search.genomes import random_genome, to_matrix
from accelzoo.search.space import Genome

_ENDLESS = ("n_gen", 10**12)  # the search decides when to stop
_FAILED = 1e100  # a violation beyond any; pymoo subtracts violations, so not infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Where an algorithm is, for how many objectives, and whether it looks along reference directions."""

    module: str
    least: int = 2
    most: float = math.inf
    directed: bool = False


# Those that merge all children with their parents and select. In others (DE, MOEA/D, particle swarms) a child replaces
# one certain parent, which cannot be when candidates come from elsewhere or come back late.
_KINDS = {
    "GA": _Kind(module="soo.nonconvex.ga", least=1, most=1),
    "NSGA2": _Kind(module="moo.nsga2", least=1),
    "NSGA3": _Kind(module="moo.nsga3", directed=True),
    "SMSEMOA": _Kind(module="moo.sms"),
    "UNSGA3": _Kind(module="moo.unsga3", directed=True),
}


class PymooSearch(Foreign):
    """One of pymoo's genetic algorithms, with the operators that its manual gives to integers.

    These are simulated binary crossover and polynomial mutation, both with η = 3 and rounded, of integers whose
    neighbours are alike. Everything is maximised here and minimised there. How far a candidate is over budget is its
    constraint's value; a failed one is further than any other. The first `population` candidates are random; after
    every `offspring` outcomes, whoever proposed them, pymoo selects. Told in the order in which they were asked for,
    they are the generations of pymoo's own loop.

    An algorithm or operators of one's own: `class Mine(PymooSearch)` with a `make_algorithm` of its own, and
    `run(algorithm=Mine)`.

    Args:
        sizes: The number of choices of each position.
        rng: Seeds the algorithm.
        algorithm: GA (one objective), NSGA2 (any number), or NSGA3, SMSEMOA, UNSGA3 (two or
            more). NSGA3 and UNSGA3 look along as many evenly spread directions as the population covers.
        population: Members alive.
        offspring: Children between two selections; None: as many as members.

    Raises:
        AccelzooError: If pymoo is not installed.
        ConfigError: If there is no such algorithm, or a number is out of range.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        algorithm: str = "NSGA2",
        population: int = 25,
        offspring: int | None = None,
    ) -> None:
        super().__init__(sizes, rng)
        faults = []
        if algorithm not in _KINDS:
            close = suggestion(algorithm, _KINDS)
            faults.append(f"algorithm (={algorithm!r}) must be one of {', '.join(_KINDS)}{close}")
        if population < 2:
            faults.append(f"population (={population}) must be at least 2")
        if offspring is not None and offspring < 1:
            faults.append(f"offspring (={offspring}) must be at least 1, or None for as many as members")
        if faults:
            raise ConfigError(faults)
        import_extra("pymoo")
        self._name, self._population, self._offspring = algorithm, population, offspring
        self._queue: deque[Genome] = deque()  # proposed by pymoo, not yet asked for
        self._told: list[tuple[Genome, Outcome]] = []  # since the last selection
        self._missing = population  # outcomes until the next selection
        self._batches = 0
        self._open(1 if _KINDS[algorithm].least == 1 else 2)

    def make_algorithm(self, objectives: int) -> Any:
        """Returns a new algorithm of pymoo, not yet set up; to be overridden for one that needs code."""
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        kind = _KINDS[self._name]
        vary = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
        module = import_extra("pymoo", f"pymoo.algorithms.{kind.module}")
        return getattr(module, self._name)(
            **({"ref_dirs": _directions(objectives, self._population)} if kind.directed else {}),
            pop_size=self._population,
            n_offsprings=self._offspring,
            sampling=IntegerRandomSampling(),
            crossover=SBX(**vary),
            mutation=PM(**vary),
            eliminate_duplicates=True,
        )

    def _open(self, objectives: int) -> None:
        from pymoo.core.problem import Problem

        self._opened_for = objectives
        most = np.array(self._sizes) - 1
        self._problem = Problem(
            n_var=len(most), n_obj=objectives, n_ieq_constr=1, xl=np.zeros_like(most), xu=most, vtype=int
        )
        # A copy, as in pymoo's own `minimize`: operators that are default arguments are shared by all algorithms.
        self._algorithm = copy.deepcopy(self.make_algorithm(objectives))
        self._algorithm.setup(self._problem, termination=_ENDLESS, seed=self._seed, verbose=False)

    def _begin(self, objectives: int) -> None:
        kind = _KINDS[self._name]
        if not kind.least <= objectives <= kind.most:
            wanted = f"{kind.least} objective" if kind.most == kind.least else f"{kind.least} objectives or more"
            raise ConfigError([f"algorithm (={self._name!r}) takes {wanted}; the search has {objectives}"])
        if objectives != self._opened_for:
            self._open(objectives)
            for _ in range(self._batches):
                self._algorithm.ask()  # random genomes, the same again: its generator is to go on after them

    def _propose(self) -> Genome:
        if not self._queue:
            self._refill()
        if not self._queue:
            return random_genome(self._sizes, self._rng)
        genome = self._queue.popleft()
        if genome in self._known:
            self._learn(genome, self._known[genome])
        return genome

    def _refill(self) -> None:
        if len(self._told) >= self._missing:
            self._select()
        batch = self._algorithm.ask()
        self._batches += 1
        rows = [] if batch is None else batch.get("X").astype(np.int64).tolist()
        self._queue.extend(tuple(row) for row in rows)
        if self._batches == 1 or not self._told:
            self._missing = max(len(rows), 1)

    def _expect(self, genome: Genome) -> None:
        pass

    def _learn(self, genome: Genome, outcome: Outcome) -> None:
        self._told.append((genome, outcome))
        if self._batches and len(self._told) >= self._missing:
            self._select()

    def _select(self) -> None:
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.population import Population
        from pymoo.problems.static import StaticProblem

        genomes, outcomes = zip(*self._told, strict=True)
        nothing = self._worst or (0.0,) * self._problem.n_obj
        values = np.array([nothing if outcome.values is None else outcome.values for outcome in outcomes])
        over = np.array([[min(outcome.violation, _FAILED)] for outcome in outcomes])
        individuals = Population.new(X=to_matrix(genomes, len(self._sizes)))
        Evaluator().eval(StaticProblem(self._problem, F=-values, G=over), individuals)
        self._algorithm.tell(infills=individuals)
        self._told = []
        self._queue.clear()


def _directions(objectives: int, population: int) -> Any:
    """Returns the most evenly spread directions that a population can cover (Das and Dennis 1998): C(p + m − 1, p)."""
    from pymoo.util.ref_dirs import get_reference_directions

    parts = 1
    while objectives > 1 and math.comb(parts + objectives, parts + 1) <= population:
        parts += 1
    return get_reference_directions("das-dennis", objectives, n_partitions=parts)


ALGORITHM = PymooSearch
