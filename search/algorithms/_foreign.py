"""What algorithms of other libraries have in common here: each genome asked for once, outcomes told apart, errors."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.genomes import Unseen, checked_sizes, genome_count, to_matrix
from accelzoo.search.objective import PENALTY
from accelzoo.search.space import Genome, GenomeMatrix

_SEEDS = 2**32  # numpy's RandomState takes no larger one
_TRIES = 8  # proposals in a row that may be repeats: each is one more observation for the library to carry along


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        values: One for each objective, higher is better; None if it failed. An infeasible candidate has none of its
            own: it gets the worst that any had before it, so that a library which models values models no penalty.
        violation: How far over budget it is; 0 within.
        told: What `tell` was given.
    """

    values: tuple[float, ...] | None
    violation: float
    told: tuple[float, ...]


class Foreign(ABC):
    """An algorithm that another library runs.

    What the library proposes again is answered with the outcome that it had: the library goes on as if everything it
    proposes were evaluated, and the search asks only for new genomes. When 8 proposals in a row are repeats, a random
    new genome takes their place.

    Args:
        sizes: The number of choices of each position.
        rng: Seeds the library's own generator, and draws the random new genomes.
    """

    several_objectives = True

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        self._sizes = checked_sizes(sizes)
        self._rng = rng
        self._seed = draw.below(rng, _SEEDS)
        self._unseen = Unseen(self._sizes, rng, _TRIES)
        self._known: dict[Genome, Outcome] = {}
        self._objectives: int | None = None
        self._worst: tuple[float, ...] = ()

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        asked: list[Genome] = []
        while len(asked) < count and (genome := self._unseen.next(self._propose)) is not None:
            self._expect(genome)
            asked.append(genome)
        return to_matrix(asked, len(self._sizes))

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Passes outcomes on to the library.

        Args:
            genomes: Integers `(n, positions)`, also some that were never asked for.
            values: float64 `(n, objectives)`, or `(n,)` for one objective; higher is better, a candidate without values
                has −inf in all of them, and an infeasible one is below −10⁶ in the first (`search.objective.value`).

        Raises:
            ShapeError: If the shapes or the choices do not fit the space, or the number of objectives has changed.
            ValueError: If a value is NaN or +inf, or −inf beside a number.
        """
        matrix, table = checked_told(genomes, values, self._sizes)
        if not len(matrix):
            return
        self._require(table.shape[1])
        for row, told in zip(matrix.tolist(), table.tolist(), strict=True):
            genome = tuple(row)
            outcome = self._outcome(told)
            self._unseen.add(genome)
            self._known[genome] = outcome
            self._learn(genome, outcome)

    def use_costs(self, costs: Callable[[GenomeMatrix], npt.ArrayLike]) -> None:
        """Takes the objectives beside the first, genomes `(n, positions)` → `(n, k)`, to learn how many there are.

        Without it, that is learnt from the first values told.
        """
        self._require(1 + np.asarray(costs(np.zeros((1, len(self._sizes)), np.int64))).shape[1])

    def _require(self, objectives: int) -> None:
        if self._objectives not in (None, objectives):
            raise ShapeError(f"values of {objectives} objectives must have {self._objectives}, as those before had")
        if self._objectives is None:
            self._begin(objectives)
            self._objectives = objectives

    def _outcome(self, told: Sequence[float]) -> Outcome:
        if told[0] == -math.inf:
            return Outcome(values=None, violation=math.inf, told=tuple(told))
        if told[0] < -PENALTY:
            worst = self._worst or (0.0,) * len(told)
            return Outcome(values=worst, violation=told[0] / -PENALTY - 1, told=tuple(told))
        self._worst = tuple(map(min, self._worst or told, told))
        return Outcome(values=tuple(told), violation=0.0, told=tuple(told))

    def _nothing_left(self, waiting: int) -> bool:
        """Whether every genome is known or one of the `waiting` ones that were asked for."""
        return len(self._known) + waiting >= genome_count(self._sizes)

    @abstractmethod
    def _propose(self) -> Genome:
        """Returns what the library proposes; a repeat is answered at once."""

    @abstractmethod
    def _expect(self, genome: Genome) -> None:
        """Takes note that a genome is asked for, proposed by the library or not."""

    @abstractmethod
    def _begin(self, objectives: int) -> None:
        """Takes note of the number of objectives, at the latest before the first outcome is learnt."""

    @abstractmethod
    def _learn(self, genome: Genome, outcome: Outcome) -> None:
        """Tells the library what became of a genome, whoever proposed it."""


def import_extra(name: str, module: str | None = None) -> ModuleType:
    """Imports an optional library.

    Args:
        name: Of the library and of the extra that brings it.
        module: What to import; the library itself by default.

    Raises:
        AccelzooError: If it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(module or name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name:
            raise
        raise AccelzooError(f"the package {name} is not installed: pip install 'accelzoo[{name}]'") from None
