"""What decides the records of a search before the first is made: the header of its trace says all of it."""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.algorithms import Algorithm, algorithm_names, complete_options, get_algorithm
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.feasible import feasible_genome, feasible_of, require_network
from accelzoo.search.genomes import checked_matrix, to_matrix
from accelzoo.search.prices import Prices
from accelzoo.search.space import Genome, GenomeMatrix

if TYPE_CHECKING:
    from accelzoo.search.features import SpaceFeatures

# Streams of the seed: what one part draws never shifts another part's draws.
_ALGORITHM, _FEASIBILITY, _NETWORK = 0, 1, 2


class Plan:
    """The settings of one search.

    Args:
        evaluator: Genome → record.
        algorithm: A name of `algorithm_names()`, or a class.
        algorithm_options: Its keyword arguments.
        seed: Seeds everything that is drawn.
        pool: Integers `(n, positions)`: the only genomes that may be asked for; None: all of the space.
        pending: How many candidates may be proposed and not yet told; None: `workers`, or as a resumed trace has it.
        workers: How many are evaluated at once.

    Attributes:
        allowed: The pool's genomes, in order and each once; None without one.

    Raises:
        ConfigError: If an option is unknown, missing or out of range, or the algorithm takes no pool, or not so many
            objectives.
        ShapeError: If the pool does not fit the space.
        UnknownNameError: If there is no such algorithm.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        algorithm: str | type[Algorithm],
        algorithm_options: Mapping[str, Any] | None,
        seed: int,
        *,
        pool: npt.ArrayLike | None = None,
        pending: int | None = None,
        workers: int = 1,
    ) -> None:
        named = isinstance(algorithm, str)
        self._kind = get_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
        self._name = algorithm if named else identity(algorithm)
        self._options = complete_options(self._kind, algorithm_options)
        self._evaluator = evaluator
        self._seed = operator.index(seed)
        self.pending = pending.item() if isinstance(pending, np.generic) else pending
        self.workers = workers
        self._pool = None if pool is None else _checked_pool(pool, evaluator.sizes)
        self.allowed = None if self._pool is None else dict.fromkeys(checked_matrix(self._pool, evaluator.sizes))
        self._prices = Prices(evaluator)
        self._require_fit()
        self._made()  # what its options or a missing package make it refuse, it refuses before a trace is begun

    def _require_fit(self) -> None:
        columns = self._evaluator.objective.columns
        faults = []
        if self._pool is not None and not hasattr(self._kind, "use_pool"):
            able = _names(lambda kind: hasattr(kind, "use_pool"))
            faults.append(f"pool: algorithm {self._name} cannot be kept to given genomes; those that can: {able}")
        if len(columns) > 1 and not takes_several(self._kind):
            faults.append(
                f"objective: algorithm {self._name} takes one objective, not {len(columns)} ({', '.join(columns)}); "
                f"those that take several: {_names(takes_several)}; objective=Objective() asks for accuracy alone"
            )
        if self.pending is not None and (not isinstance(self.pending, int) or self.pending < 1):
            faults.append(f"pending (={self.pending}) must be at least 1, and whole")
        if faults:
            raise ConfigError(faults)

    def algorithm(self, *, informed: bool = True) -> Algorithm:
        """Returns the algorithm as it is before the first candidate, told ahead whatever its methods take.

        These are, each optional: `use_canonical(canonical)`, genome → the one that stands for its architecture;
        `use_features(features)`, genomes `(n, positions)` → `(n, k)`, where the space has any (`space_features`);
        under budgets `use_violation(violation)`, genomes → `(n,)`, how far over budget, +inf without a price; with
        costs that are objectives `use_costs(costs)`, genomes → `(n, costs)`, minus each cost, −inf without a price;
        with a pool `use_pool(genomes)`, int64 `(n, positions)`.

        Args:
            informed: Whether to tell more than `use_canonical`; traces begun before there was more go on without.
        """
        algorithm = self._made()
        if hasattr(algorithm, "use_canonical"):
            algorithm.use_canonical(self._evaluator.space.canonical)
        if informed:
            if self._features is not None:
                algorithm.use_features(self._features)
            if self._evaluator.budgets and hasattr(algorithm, "use_violation"):
                algorithm.use_violation(self._prices.violation)
            if self._evaluator.objective.minimise and hasattr(algorithm, "use_costs"):
                algorithm.use_costs(self._prices.objectives)
            if self._pool is not None:
                algorithm.use_pool(self._pool.copy())
        told: Algorithm = algorithm
        return told

    def _made(self) -> Any:
        return self._kind(self._evaluator.sizes, draw.generator(self._seed, _ALGORITHM), **self._options)

    @cached_property
    def _features(self) -> SpaceFeatures | None:
        if not hasattr(self._kind, "use_features"):
            return None
        from accelzoo.search.features import space_features

        return space_features(self._evaluator.space)

    def header(self) -> dict[str, Any]:
        """Returns the settings as plain data."""
        objective = self._evaluator.objective
        return {
            "algorithm": {"name": self._name, "options": self._options},
            "budgets": dict(self._evaluator.budgets.maxima),
            "features": None if self._features is None else list(self._features.names),
            "objective": {**asdict(objective), "minimise": list(objective.minimise)},
            "pending": self.workers if self.pending is None else self.pending,
            "pool": None if self._pool is None else _digest(self._pool),
            "seed": self._seed,
            "signal": identity(self._evaluator.signal),
            "sizes": list(self._evaluator.sizes),
            "space": self._evaluator.space.digest(),
            "target": identity(self._evaluator.costs),
        }

    def find_start(self) -> list[Genome]:
        """Returns the genomes to begin with: under budgets one that meets them.

        Raises:
            BudgetError: If none does.
            ShapeError: If no genome makes a network with a price.
        """
        evaluator, budgets = self._evaluator, self._evaluator.budgets
        require_network(evaluator.space, evaluator.quote_ahead, self.allowed, draw.generator(self._seed, _NETWORK))
        if not budgets:
            return []
        if self._pool is not None:
            return [self._start_of(self._pool)]
        rng = draw.generator(self._seed, _FEASIBILITY)
        return [feasible_genome(evaluator.sizes, evaluator.quote_ahead, budgets, rng, lambda: self._prices.table)]

    def _start_of(self, pool: GenomeMatrix) -> Genome:
        """Returns the first genome of the pool within budgets; priced in bulk, so that a large pool is no wait."""
        within = np.flatnonzero(self._prices.violation(pool) == 0)
        outside = np.setdiff1d(np.arange(len(pool)), within)
        genomes = checked_matrix(pool[np.concatenate([within, outside])], self._evaluator.sizes)
        return feasible_of(genomes, self._evaluator.quote_ahead, self._evaluator.budgets)


def takes_several(algorithm: type[Algorithm]) -> bool:
    """Tells whether an algorithm says that it takes several objectives."""
    return bool(getattr(algorithm, "several_objectives", False))


def _names(wanted: Callable[[type[Algorithm]], bool]) -> str:
    return ", ".join(name for name in algorithm_names() if wanted(get_algorithm(name))) or "none"


def _checked_pool(pool: npt.ArrayLike, sizes: tuple[int, ...]) -> GenomeMatrix:
    matrix = np.asarray(pool)
    if not len(matrix):
        raise ConfigError(["pool: there is no genome in it"])
    checked_matrix(matrix, sizes)
    return to_matrix(matrix.tolist(), len(sizes))


def _digest(pool: GenomeMatrix) -> str:
    """Returns `sha256:…` over the shape and the genomes in their order."""
    return "sha256:" + hashlib.sha256(f"{pool.shape}".encode() + pool.astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Named:
    """A signal or costs under a name of its own, which the trace holds and a resumed search must repeat.

    Attributes:
        call: The callable.
        digest: The name: a digest of everything that decides its results, a version, or a sentence.
    """

    call: Callable[[Any], Any]
    digest: str

    def __call__(self, arch: Any) -> Any:
        """Returns what the callable returns."""
        return self.call(arch)


def identity(thing: Any) -> str | None:
    """Names a callable the same way in every process: by its `digest`, or else by where it is defined.

    Args:
        thing: A class, a signal, or costs; its `digest` may be a string or a method; None has no identity.
    """
    if thing is None:
        return None
    if isinstance(thing, functools.partial):
        bound = [*map(repr, thing.args), *(f"{name}={value!r}" for name, value in sorted(thing.keywords.items()))]
        return f"{identity(thing.func)}({', '.join(bound)})" if bound else identity(thing.func)
    digest = getattr(thing, "digest", None)
    if digest is not None and not isinstance(thing, type):
        return str(digest() if callable(digest) else digest)
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"
