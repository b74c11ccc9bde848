"""Search algorithms: one module each, found by its file; each asks for genomes and is told their values."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, suggestion, unknown_name
from accelzoo.search.space import GenomeMatrix

_GIVEN = ("self", "sizes", "rng")


class Algorithm(Protocol):
    """Proposes genomes and learns from their values.

    An implementation draws from its generator only (through `accelzoo.draw`) and keeps no clock, file or set order
    in its state: told the same values it asks for the same genomes anywhere, which is how a trace is resumed.
    `accelzoo.search.conformance` tests all of that. One that takes several objectives says `several_objectives = True`
    in its class; a search asks no other one for several.

    A search hands over what it knows before the first turn, to those that have the method:

    - `use_canonical(canonical)`: `SearchSpace.canonical`, genome → the one that stands for its architecture.
    - `use_features(features)`: genomes `(n, positions)` → `(n, k)`, what is known of them untrained (`space_features`).
    - `use_violation(violation)`: genomes → `(n,)`, how far they are over budget, 0 within, +inf without a price.
    - `use_costs(costs)`: genomes → `(n, objectives − 1)`, the known values of the objectives after the first, −inf
      without a price.
    - `use_pool(genomes)`: int64 `(n, positions)`, the only genomes that may be asked for.

    Args:
        sizes: The number of choices of each position.
        rng: The only source of randomness.
        options: Keyword arguments with defaults, plain numbers, booleans, strings or mappings of these; they go into
            the trace's header.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator, **options: Any) -> None: ...

    def ask(self, count: int) -> GenomeMatrix:
        """Returns int64 `(count, positions)`; fewer rows only when every genome of the space has been asked for."""

    def tell(self, genomes: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Learns values: float64 `(n,)` for `(n, positions)`, higher is better, −inf for a candidate without one.

        Those for several objectives are told `(n, objectives)` where there are several (`search.objective.values`): a
        row of −inf for a candidate without values, one below −10⁶ in the first for a candidate over budget.
        Genomes that were never asked for are welcome: they are a head start.
        """


def algorithm_names() -> list[str]:
    """Returns the name of every algorithm: the modules of this package."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def get_algorithm(name: str) -> type[Algorithm]:
    """Returns the class that the module `name` of this package names as its `ALGORITHM`.

    Raises:
        UnknownNameError: If there is no such algorithm.
    """
    names = algorithm_names()
    if name not in names:
        raise unknown_name("search algorithm", name, names)
    found: type[Algorithm] = import_module(f"{__name__}.{name}").ALGORITHM
    return found


def complete_options(algorithm: type[Algorithm], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns every option of an algorithm: the given ones and the defaults of the others.

    Raises:
        ConfigError: If an option is unknown, or has no default and is not given.
    """
    given = dict(given or {})
    parameters = inspect.signature(algorithm.__init__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name not in _GIVEN}
    unknown = f"unknown option of {algorithm.__name__}; allowed: {', '.join(defaults) or 'none'}"
    faults = [
        f"algorithm_options.{name}: {unknown}{suggestion(name, defaults)}" for name in given if name not in defaults
    ]
    complete = {**defaults, **given}
    missing = [name for name, value in complete.items() if value is inspect.Parameter.empty]
    faults += [f"algorithm_options.{name}: {algorithm.__name__} needs this option" for name in missing]
    if faults:
        raise ConfigError(faults)
    return complete
