"""What decides the records of a search before the first is made: the header of its trace says all of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from accelzoo import draw
from accelzoo.search.algorithms import Algorithm, complete_options, get_algorithm
from accelzoo.search.evaluator import Evaluator
from accelzoo.search.feasible import feasible_genome
from accelzoo.search.space import Genome

# Streams of the seed: what one part draws never shifts another part's draws.
_ALGORITHM, _FEASIBILITY = 0, 1


class Plan:
    """The settings of one search.

    Args:
        evaluator: Genome → record.
        algorithm: A name of `algorithm_names()`, or a class.
        algorithm_options: Its keyword arguments.
        seed: Seeds everything that is drawn.

    Raises:
        ConfigError: If an option is unknown, missing or out of range.
        UnknownNameError: If there is no such algorithm.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        algorithm: str | type[Algorithm],
        algorithm_options: Mapping[str, Any] | None,
        seed: int,
    ) -> None:
        named = isinstance(algorithm, str)
        self._kind = get_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
        self._name = algorithm if named else identity(algorithm)
        self._options = complete_options(self._kind, algorithm_options)
        self._evaluator = evaluator
        self._seed = seed

    def algorithm(self) -> Algorithm:
        """Returns the algorithm as it is before the first candidate.

        One that can tell architectures apart rather than genomes (`use_canonical`) is told how.
        """
        algorithm = self._kind(self._evaluator.sizes, draw.generator(self._seed, _ALGORITHM), **self._options)
        if hasattr(algorithm, "use_canonical"):
            algorithm.use_canonical(self._evaluator.space.canonical)
        return algorithm

    def header(self) -> dict[str, Any]:
        """Returns the settings as plain data."""
        return {
            "algorithm": {"name": self._name, "options": self._options},
            "budgets": dict(self._evaluator.budgets.maxima),
            "objective": asdict(self._evaluator.objective),
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
        """
        budgets = self._evaluator.budgets
        if not budgets:
            return []
        rng = draw.generator(self._seed, _FEASIBILITY)
        return [feasible_genome(self._evaluator.sizes, self._evaluator.quote, budgets, rng)]


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
        return identity(thing.func)
    digest = getattr(thing, "digest", None)
    if digest is not None and not isinstance(thing, type):
        return str(digest() if callable(digest) else digest)
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"
