"""What one question asks of an additive table: its columns turned so that less is better, and bounds on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.exact.limits import Limit
from accelzoo.search.exact.table import AdditiveTable

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One layer of a problem.

    Attributes:
        source: State before each arc, `(arcs,)`, ascending.
        target: State behind each arc, `(arcs,)`.
        values: What each arc adds, `(columns, arcs)`, less is better.
    """

    source: Indices
    target: Indices
    values: Floats

    @property
    def starts(self) -> Indices:
        """Index of the first arc of every state that has any."""
        found: Indices = np.flatnonzero(np.diff(self.source, prepend=-1))
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Objectives to minimise under upper bounds.

    Attributes:
        table: The table asked.
        columns: The table's column of each of the problem's; objectives come first.
        signs: What each is multiplied with so that less is better, `(columns,)`.
        bounds: The most each may reach after that, inf where nothing is asked, `(columns,)`.
        slack: What sums in another order may differ by, `(columns,)`; 0 for whole numbers.
        objectives: How many columns are objectives.
        steps: The layers.
    """

    table: AdditiveTable
    columns: tuple[int, ...]
    signs: Floats
    bounds: Floats
    slack: Floats
    objectives: int
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, table: AdditiveTable, objectives: Sequence[tuple[str, int]], limits: Sequence[Limit]) -> Problem:
        """Makes a problem of pairs (column, sign) to minimise and of limits."""
        wanted = list(dict.fromkeys([*objectives, *[(limit.column, limit.sign) for limit in limits]]))
        columns = tuple(table.columns.index(name) for name, _ in wanted)
        signs = np.array([float(sign) for _, sign in wanted])
        bounds = np.full(len(wanted), math.inf)
        for limit in limits:
            place = wanted.index((limit.column, limit.sign))
            bounds[place] = min(bounds[place], limit.sign * limit.bound)
        rounding = 4 * len(table.layers) * np.finfo(np.float64).eps
        slack = np.where(table.whole(), 0.0, rounding * table.magnitudes())[list(columns)]
        steps = tuple(
            Step(
                source=layer.source,
                target=layer.target,
                values=np.ascontiguousarray((layer.values[:, columns] * signs).T),
            )
            for layer in table.layers
        )
        return cls(table=table, columns=columns, signs=signs, bounds=bounds, slack=slack,
                   objectives=len(dict.fromkeys(objectives)), steps=steps)  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the problem's columns."""
        return tuple(self.table.columns[column] for column in self.columns)

    def potentials(self, weights: Floats) -> list[Floats]:
        """Returns the least weighted sum from every state to the end, `(problems, states)` before every layer.

        Args:
            weights: One row per weighting, `(problems, columns)`.
        """
        found = [np.zeros((len(weights), 1))]
        for step in reversed(self.steps):
            ahead = weights @ step.values + found[-1][:, step.target]
            best = np.full((len(weights), int(step.source[-1]) + 1), math.inf)
            best[:, step.source[step.starts]] = np.minimum.reduceat(ahead, step.starts, axis=1)
            found.append(best)
        return found[::-1]

    def best_arcs(self, weights: Floats) -> Iterator[tuple[Indices, Floats]]:
        """Yields, from the last layer to the first, each state's best arc and the sums of the path it begins.

        Args:
            weights: `(columns,)`.

        Yields:
            The step's arc of every state, `(states,)`, −1 without any; sums from there to the end, `(columns, states)`.
        """
        sums = np.zeros((len(weights), 1))
        for step in reversed(self.steps):
            ahead = step.values + sums[:, step.target]
            # Stable: of equally good arcs the first.
            order = np.lexsort((weights @ ahead, step.source))
            best = order[step.starts]
            arcs = np.full(int(step.source[-1]) + 1, -1)
            arcs[step.source[best]] = best
            sums = np.full((len(weights), len(arcs)), math.inf)
            sums[:, step.source[best]] = ahead[:, best]
            yield arcs, sums

    def path(self, weights: Floats) -> Indices:
        """Returns the step's arcs of the path of least weighted sum, `(steps,)`."""
        best = [arcs for arcs, _ in self.best_arcs(weights)][::-1]
        return self.completed(best, 0, 0)

    def completed(self, best: Sequence[Indices], layer: int, state: int) -> Indices:
        """Returns the arcs of the path that `best` arcs make from a state before a layer to the end."""
        arcs = []
        for step, choice in zip(self.steps[layer:], best[layer:], strict=True):
            arcs.append(int(choice[state]))
            state = int(step.target[arcs[-1]])
        return np.array(arcs, np.int64)

    def sums(self, arcs: Indices) -> Floats:
        """Returns what a path adds up to from the first layer to the last, `(columns,)`."""
        total = np.zeros(len(self.columns))
        for step, arc in zip(self.steps, arcs.tolist(), strict=True):
            total = total + step.values[:, arc]
        return total

    def genomes(self, arcs: Indices) -> Indices:
        """Returns the genomes of paths, `(n, positions)`, from their arcs, `(n, steps)`."""
        found = np.zeros((len(self.table.sizes), len(arcs)), np.int64)
        for taken, layer in zip(arcs.T, self.table.layers, strict=True):
            for position, choices in zip(layer.positions, layer.choices.T, strict=True):
                found[position] = choices[taken]
        return found.T

    def feasible(self, sums: Floats) -> bool:
        """Whether sums `(columns,)` are within the bounds."""
        return bool((sums <= self.bounds).all())


def checked_column(table: AdditiveTable, what: str, name: str) -> tuple[str, int]:
    """Returns a column and the sign that makes less better.

    Raises:
        ConfigError: If there is no such column.
    """
    if name not in table.columns:
        known = ", ".join(table.columns)
        raise ConfigError([f"{what}: unknown column {name!r}; allowed: {known}{suggestion(name, table.columns)}"])
    return name, -1 if name in table.higher_is_better else 1
