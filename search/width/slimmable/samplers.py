"""Which widths are trained when: all alike, one layer at a time, or those that may be chosen (narrowing)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from accelzoo import config
from accelzoo.errors import ConfigError
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.model import WidthModel
from accelzoo.search.width.narrowing import Narrowing
from accelzoo.search.width.slimmable.errors import AdditiveErrors
from accelzoo.search.width.space import WidthSpace

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
_MANTISSA_BITS = 53


@runtime_checkable
class WidthSampler(Protocol):
    """Draws the networks to train; a function of progress, generator and errors, and of what `state` returns."""

    def draw(self, progress: float, count: int, rng: np.random.Generator, errors: AdditiveErrors) -> Indices:
        """Returns genomes, int64 `(count, groups)`, at a progress of 0 … 1."""

    def state(self) -> Mapping[str, Floats]:
        """Returns what a checkpoint must hold."""

    def load_state(self, state: Mapping[str, Floats]) -> None:
        """Puts back what `state` returned."""

    def to_config(self) -> dict[str, Any]:
        """Returns plain values that say which sampler it is: a checkpoint of another is not resumed."""


class _Stateless:
    def state(self) -> Mapping[str, Floats]:
        """Returns nothing: there is no state."""
        return {}

    def load_state(self, state: Mapping[str, Floats]) -> None:
        """Does nothing: there is no state."""


class UniformWidths(_Stateless):
    """Every group at a width of its own, all equally likely.

    Args:
        space: The widths.
    """

    def __init__(self, space: WidthSpace) -> None:
        self._sizes = np.array(space.sizes, np.int64)

    def draw(self, progress: float, count: int, rng: np.random.Generator, errors: AdditiveErrors) -> Indices:
        """Returns genomes, int64 `(count, groups)`."""
        return uniform_choices(self._sizes, count, rng)

    def to_config(self) -> dict[str, Any]:
        """Returns plain values that say which sampler it is."""
        return {"kind": "uniform"}


class OneLayerWidths(_Stateless):
    """One group of each network at a random width, the others at their largest: the article's simpler form.

    Its losses show what a width of a layer costs on its own, and nothing of what several cost together
    (Berman et al. 2020).

    Args:
        space: The widths.
    """

    def __init__(self, space: WidthSpace) -> None:
        self._sizes = np.array(space.sizes, np.int64)

    def draw(self, progress: float, count: int, rng: np.random.Generator, errors: AdditiveErrors) -> Indices:
        """Returns genomes, int64 `(count, groups)`."""
        chosen = uniform_choices(np.array([len(self._sizes)]), count, rng)
        drawn = uniform_choices(self._sizes, count, rng)
        return np.where(np.arange(len(self._sizes)) == chosen, drawn, self._sizes - 1)

    def to_config(self) -> dict[str, Any]:
        """Returns plain values that say which sampler it is."""
        return {"kind": "one_layer"}


class NarrowedWidths:
    """Networks that may be chosen within budgets, ever more of them as the temperature falls.

    The model is asked anew `turns` times in a training, with the errors as they are known then.

    Args:
        narrowing: Budgets, schedule of the temperature, joint draws or by marginals.
        costs: What is budgeted; the narrowing's objective is added as a column.
        turns: How many times errors are looked at; the more, the more time it takes.

    Raises:
        ConfigError: If `turns` is not positive.
    """

    def __init__(self, narrowing: Narrowing, costs: WidthCosts, *, turns: int = 100) -> None:
        if turns < 1:
            raise ConfigError([f"turns (={turns}) must be at least 1"])
        self._narrowing, self._costs, self._turns = narrowing, costs, turns
        self._sizes = np.array(costs.sizes, np.int64)
        self._turn = -1
        self._tables = np.zeros(int(self._sizes.sum()))
        self._model: WidthModel | None = None

    def draw(self, progress: float, count: int, rng: np.random.Generator, errors: AdditiveErrors) -> Indices:
        """Returns genomes, int64 `(count, groups)`.

        Raises:
            BudgetError: If nothing meets the budgets.
        """
        turn = math.floor(progress * self._turns)
        if turn != self._turn:
            self._turn, self._tables, self._model = turn, np.concatenate(errors.tables()), None
        if self._model is None:
            known = self._costs.with_errors(np.split(self._tables, np.cumsum(self._sizes)[:-1]), self._objective)
            self._model = self._narrowing.model(known, min(1.0, turn / self._turns))
        if self._model.temperature == math.inf and self._model.most_peak == math.inf:
            return uniform_choices(self._sizes, count, rng)
        return self._model.sample(count, rng) if self._narrowing.joint else self._model.sample_apart(count, rng)

    @property
    def _objective(self) -> str:
        return self._narrowing.objective

    def state(self) -> Mapping[str, Floats]:
        """Returns the turn and the errors as they were known when it began."""
        return {"turn": np.array([self._turn], np.float64), "tables": self._tables.copy()}

    def load_state(self, state: Mapping[str, Floats]) -> None:
        """Puts back what `state` returned."""
        self._turn, self._tables, self._model = int(state["turn"][0]), state["tables"].copy(), None

    def to_config(self) -> dict[str, Any]:
        """Returns plain values that say which sampler it is."""
        narrowing = config.to_config(self._narrowing)
        return {"kind": "narrowed", "turns": self._turns, "narrowing": narrowing, "costs": self._costs.digest()}


def uniform_choices(sizes: Indices, count: int, rng: np.random.Generator) -> Indices:
    """Draws int64 `(count, positions)` below `sizes`, from raw generator bits alone."""
    words = rng.bit_generator.random_raw(count * len(sizes)).reshape(count, len(sizes))
    found: Indices = ((words >> np.uint64(64 - _MANTISSA_BITS)) * (sizes / 2.0**_MANTISSA_BITS)).astype(np.int64)
    return found
