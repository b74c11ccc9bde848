"""NSGA-II (Deb et al. 2002): keep the best fronts, and of the last one the loneliest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, ShapeError
from accelzoo.search.algorithms import _draws
from accelzoo.search.algorithms._distinct import Distinct, Rows
from accelzoo.search.algorithms._told import checked_told
from accelzoo.search.genomes import checked_sizes
from accelzoo.search.pareto import rank_and_crowd
from accelzoo.search.space import GenomeMatrix


class NSGA2:
    """"A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans. Evol. Comput. 6(2), 2002, §III.

    For any number of objectives, all maximised; one makes it an elitist genetic algorithm. The first `population`
    candidates are random. Then each child has two parents, each the better of two random members by rank, then by
    crowding distance; it takes each position from either of them, and each position is changed to another choice with
    probability `mutations / positions`. After every `offspring` values, the best `population` of members and children
    live on. A candidate without values (−inf) ranks behind all that have some. Infeasible ones are to be told one value
    in all objectives, below those of every feasible candidate and the lower the more they violate (as
    `search.objective.value` does): that is the paper's constrained domination (§VI).

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        population: Members alive.
        offspring: Children between two selections; None: as many as members, as in the paper. 1 is the steady-state
            form, which needs fewer evaluations (Durillo et al., EMO 2009).
        crossover_probability: Of mixing two parents; else the child is a mutated copy of one. The paper takes 0.9.
        mutations: Expected number of changed positions. The paper takes 1.
        avoid_duplicates: Ask for each genome only once (not in the paper). When 32 attempts are repeats, a random new
            genome takes their place.

    Raises:
        ConfigError: If an option is out of range.
    """

    several_objectives = True

    def __init__(
        self,
        sizes: tuple[int, ...],
        rng: np.random.Generator,
        population: int = 25,
        offspring: int | None = None,
        crossover_probability: float = 0.9,
        mutations: float = 1.0,
        avoid_duplicates: bool = True,
    ) -> None:
        self._sizes = checked_sizes(sizes)
        free = sum(size > 1 for size in self._sizes)
        _check_options(population, offspring, crossover_probability, mutations)
        self._rng = rng
        self._population_size = population
        self._offspring = population if offspring is None else offspring
        self._crossover_probability = crossover_probability
        self._mutation_rate = min(1.0, mutations / max(free, 1))
        self._fixed = free < len(self._sizes)
        self._others = np.array(self._sizes, np.int64) - 1  # choices to change to
        self._avoid_duplicates = avoid_duplicates
        self._distinct = Distinct(self._sizes, rng)
        self._all_bits = np.array(np.iinfo(self._distinct.dtype).max, self._distinct.dtype)
        self._queue = self._distinct.uniform(0)
        self._asked = self._queue
        self._members = self._queue
        self._values: list[npt.NDArray[np.float64]] = []  # of the members, one table, once there are any
        self._places = np.empty(0, np.int64)  # of the members, equals sharing one; the lower the better
        self._told: list[tuple[Rows, npt.NDArray[np.float64]]] = []
        self._missing = population  # values until the next selection

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome has been asked for."""
        if len(self._queue) < count:
            self._refill(count)
        self._asked, self._queue = self._queue[:count], self._queue[count:]
        return self._asked.astype(np.int64)

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Collects candidates in the order given; whenever there are `offspring` of them, the best live on.

        Args:
            genomes: Integers `(n, positions)`.
            values: float64 `(n, objectives)`, or `(n,)` for one objective; higher is better, a candidate without values
                has −inf in all of them.

        Raises:
            ShapeError: If the shapes or the choices do not fit the space, or the number of objectives has changed.
            ValueError: If a value is NaN or +inf, or −inf beside a number.
        """
        matrix, table = checked_told(genomes, values, self._sizes)
        if not len(matrix):
            return
        self._check_objectives(table)
        rows = self._distinct.compact(matrix)
        if not np.array_equal(rows, self._asked):
            self._remember(rows)
        while len(rows):
            taken = self._missing
            self._told.append((rows[:taken], table[:taken].copy()))
            rows, table = rows[taken:], table[taken:]
            self._missing -= len(self._told[-1][0])
            if not self._missing:
                self._select()

    def _check_objectives(self, table: npt.NDArray[np.float64]) -> None:
        known = next((values.shape[1] for values in [*self._values, *(values for _, values in self._told)]), None)
        if known not in (None, table.shape[1]):
            raise ShapeError(f"values of {table.shape[1]} objectives must have {known}, as those told before had")

    def _select(self) -> None:
        rows = np.concatenate([self._members, *(rows for rows, _ in self._told)])
        values = np.concatenate([*self._values, *(values for _, values in self._told)])
        ranks, crowding = rank_and_crowd(values, self._population_size)
        order = np.lexsort((-crowding, ranks))[: self._population_size]
        ranks, crowding = ranks[order], crowding[order]
        self._members, self._values = rows[order], [values[order]]
        self._places = np.zeros(len(order), np.int64)
        self._places[1:] = np.cumsum((ranks[1:] != ranks[:-1]) | (crowding[1:] != crowding[:-1]))
        self._told, self._missing = [], self._offspring
        if self._avoid_duplicates and len(self._queue):
            self._distinct.forget(self._queue)
        self._queue = self._queue[:0]

    def _refill(self, count: int) -> None:
        """Lengthens the queue to `count` genomes and to the rest of a generation, if there are so many new ones."""
        propose = self._children if len(self._members) else self._distinct.uniform
        more = max(count, self._missing) - len(self._queue)
        rows = self._distinct.take(more, propose) if self._avoid_duplicates else propose(more)
        self._queue = np.concatenate((self._queue, rows))

    def _remember(self, rows: Rows) -> None:
        """Sees to it that genomes are not asked for which come as a head start."""
        if not self._avoid_duplicates:
            return
        self._distinct.add(rows)
        told = {row.tobytes() for row in rows}
        self._queue = self._queue[[row.tobytes() not in told for row in self._queue]]

    def _children(self, count: int) -> Rows:
        parents = self._members[self._winners(2 * count)]
        children, others = parents[:count], parents[count:]
        # Bits: a position is taken from the other parent where a coin says so and the child is mixed at all.
        mixed = _draws.hits(self._rng, self._crossover_probability, count) * self._all_bits
        others ^= children
        others &= _draws.coins(self._rng, count, len(self._sizes)) * mixed[:, None]
        children ^= others
        self._mutate(children)
        return children

    def _winners(self, count: int) -> npt.NDArray[np.int64]:
        """Returns the winners of `count` tournaments of two; equals win at random, by who was drawn first."""
        drawn = _draws.below(self._rng, len(self._members), 2 * count)
        one, other = drawn[:count], drawn[count:]
        return np.where(self._places[other] < self._places[one], other, one)

    def _mutate(self, children: Rows) -> None:
        changed = np.flatnonzero(_draws.hits(self._rng, self._mutation_rate, children.size))
        others = self._others[changed % len(self._sizes)]
        if self._fixed:
            changed, others = changed[others > 0], others[others > 0]
        flat = children.reshape(-1)
        choices = _draws.below(self._rng, others, len(changed))
        choices += choices >= flat[changed]
        flat[changed] = choices


def _check_options(population: int, offspring: int | None, crossover_probability: float, mutations: float) -> None:
    faults = []
    if population < 2:
        faults.append(f"population (={population}) must be at least 2")
    if offspring is not None and offspring < 1:
        faults.append(f"offspring (={offspring}) must be at least 1, or None for as many as members")
    if not 0 <= crossover_probability <= 1:
        faults.append(f"crossover_probability (={crossover_probability}) must be from 0 to 1")
    if not 0 < mutations < float("inf"):
        faults.append(f"mutations (={mutations}) must be positive")
    if faults:
        raise ConfigError(faults)


ALGORITHM = NSGA2
