"""Label setting: every prefix that may still lead to an answer, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.search.exact._dominance import layers_of_dominance, undominated
from accelzoo.search.exact._problem import Problem, Step
from accelzoo.search.exact.table import spans

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Undominated prefixes before a layer, ordered by state.

    Attributes:
        sums: What each adds up to, `(columns, labels)`.
        first: Index of the first label of every state, `(states + 1,)`.
        parent: The label of the layer before that it continues, `(labels,)`.
        arc: The arc that it continues it by, `(labels,)`.
    """

    sums: Floats
    first: Indices
    parent: Indices
    arc: Indices


@dataclass(slots=True, kw_only=True, eq=False)
class Cut:
    """An upper bound on the value sought, and the weights of the relaxation that prunes with it.

    Attributes:
        weights: Weights of the columns: 1 for the objective, the multipliers for the bounded ones, `(columns,)`.
        constant: What the multipliers take off: the relaxation's value is `weights · sums − constant`.
        value: The best value known so far; inf before any.
        arcs: The path that has it, if it is one path.
    """

    weights: Floats
    constant: float
    value: float = math.inf
    arcs: Indices | None = None


class TooManyLabelsError(Exception):
    """More labels than allowed were made."""


class Search:
    """One run over the layers.

    A prefix is dropped if another prefix of the same state is at least as good in every column (rounded sums keep that
    order, so nothing is lost to rounding); if no completion keeps the bounds; or if the Lagrangian bound of its
    completions is above the value of a known answer (Handler and Zang 1980, §3; Dumitrescu and Boland 2003, §3).

    Args:
        problem: What is asked.
        count: How many best answers are wanted; each prefix then stays unless `count` others dominate it.
        cut: What to prune with, improved by completing prefixes along the relaxation's best paths; None for fronts.
        max_labels: The most labels to make.
    """

    def __init__(self, problem: Problem, *, count: int = 1, cut: Cut | None = None, max_labels: int) -> None:
        self.problem = problem
        self.made = self.kept = 0
        self._count = count
        self._cut = cut
        self._max_labels = max_labels
        self._layers: list[Labels] = []
        self._memory = np.empty(0)
        bounded = np.flatnonzero(problem.bounds < math.inf)
        self._bounded = bounded
        self._ahead = problem.potentials(np.eye(len(problem.columns))[bounded])
        if cut is not None:
            self._weighted = [row[0] for row in problem.potentials(cut.weights[None])]
            # Prefixes are completed along the relaxation's best path, or along the cheapest in a bounded column.
            guides = [cut.weights, *np.eye(len(problem.columns))[bounded]]
            self._guides = [list(problem.best_arcs(weights))[::-1] for weights in guides]
            self._rounding = float(np.abs(cut.weights) @ self._magnitudes()) + problem.slack[0]

    def run(self) -> Labels:
        """Returns the labels behind the last layer, those within the bounds.

        Raises:
            TooManyLabelsError: If there are more than allowed.
        """
        width = len(self.problem.columns)
        nothing = np.zeros(1, np.int64)
        labels = Labels(np.zeros((width, 1)), np.array([0, 1]), nothing, nothing)
        for index, step in enumerate(self.problem.steps):
            labels = self._extended(index, step, labels)
            self._layers.append(labels)
            self.kept += labels.sums.shape[1]
            if self._cut is not None and index + 1 < len(self.problem.steps):
                self._improve(index + 1, labels)
        return labels

    def paths(self, layer: int, labels: Indices) -> Indices:
        """Returns the arcs of labels behind a layer, `(n, layer + 1)`."""
        arcs = np.empty((layer + 1, len(labels)), np.int64)
        for index in range(layer, -1, -1):
            self._layers[index].arc.take(labels, out=arcs[index])
            labels = self._layers[index].parent.take(labels)
        return arcs.T

    def _magnitudes(self) -> Floats:
        table = self.problem.table
        return 8 * len(table.layers) * np.finfo(np.float64).eps * table.magnitudes()[list(self.problem.columns)]

    def _extended(self, index: int, step: Step, labels: Labels) -> Labels:
        useful = self._useful(step)
        order = useful[np.argsort(step.target[useful], kind="stable")]
        states = int(step.target.max()) + 1
        groups = np.searchsorted(step.target[order], np.arange(states + 1))
        parts = [
            self._joined(index, step, labels, order[groups[state] : groups[state + 1]], state)
            for state in range(states)
        ]
        first = np.concatenate([[0], np.cumsum([len(arc) for _, _, arc in parts])])
        sums, parent, arc = (np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True))
        return Labels(sums, first, parent, arc)

    def _joined(
        self, index: int, step: Step, labels: Labels, arcs: Indices, state: int
    ) -> tuple[Floats, Indices, Indices]:
        """Returns sums, parents and arcs of the labels that reach one state."""
        sources = step.source[arcs]
        counts = labels.first[sources + 1] - labels.first[sources]
        self.made += int(counts.sum())
        if self.made > self._max_labels:
            raise TooManyLabelsError
        if len(arcs) and (sources == sources[0]).all():
            # Runs in order, one per arc: no gathering, and a stable sort merges them.
            begin, size = int(labels.first[sources[0]]), int(counts[0])
            own = labels.sums[:, begin : begin + size]
            shape = (len(own), len(arcs), size)
            sums = np.add(step.values[:, arcs, None], own[:, None, :], out=self._room(shape)).reshape(len(own), -1)
            kept = self._kept(index + 1, sums, state, len(arcs))
            run = kept // max(size, 1)
            return sums.take(kept, axis=1), begin + kept - run * size, arcs.take(run)
        parent = spans(labels.first[sources], counts)
        arc = np.repeat(arcs, counts)
        sums = labels.sums.take(parent, axis=1) + step.values.take(arc, axis=1)
        kept = self._kept(index + 1, sums, state)
        return sums.take(kept, axis=1), parent[kept], arc[kept]

    def _room(self, shape: tuple[int, int, int]) -> Floats:
        """Returns memory used before: fresh pages would cost more than the sums written to them."""
        size = shape[0] * shape[1] * shape[2]
        if len(self._memory) < size:
            self._memory = np.empty(2 * size)
        return self._memory[:size].reshape(shape)

    def _kept(self, layer: int, sums: Floats, state: int, runs: int = 1) -> Indices:
        alive = self._alive(layer, sums, state)
        if alive is not None:
            sums = sums.take(alive, axis=1)
        if not sums.shape[1]:
            return np.zeros(0, np.int64)
        if layer == len(self.problem.steps) and self._cut is None:
            sums = sums[: self.problem.objectives]
        if self._count > 1:
            kept = layers_of_dominance(sums, self._count)
        else:
            kept = undominated(sums, runs if alive is None else 1)
        return kept if alive is None else alive[kept]

    def _alive(self, layer: int, sums: Floats, state: int) -> Indices | None:
        """Returns which labels keep the bounds and may still be better than what is known; None for all."""
        problem = self.problem
        if not len(self._bounded) and self._cut is None:
            return None
        last = layer == len(problem.steps)
        alive = np.ones(sums.shape[1], np.bool_)
        for row, column in enumerate(self._bounded.tolist()):
            slack = 0.0 if last else problem.slack[column]
            alive &= sums[column] + self._ahead[layer][row, state] <= problem.bounds[column] + slack
        if self._cut is not None and self._cut.value < math.inf:
            bound = self._cut.weights @ sums + (self._weighted[layer][state] - self._cut.constant)
            alive &= bound <= self._cut.value + self._rounding
        return np.flatnonzero(alive)

    def _useful(self, step: Step) -> Indices:
        """Returns the arcs that no other arc between the same states dominates."""
        key = step.source * (int(step.target.max()) + 1) + step.target
        order = np.argsort(key, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
        if len(groups) == len(order):
            return order
        return np.concatenate([self._best_arcs(step, group) if len(group) > 1 else group for group in groups])

    def _best_arcs(self, step: Step, group: Indices) -> Indices:
        values = step.values[:, group]
        return group[undominated(values) if self._count == 1 else layers_of_dominance(values, self._count)]

    def _improve(self, layer: int, labels: Labels) -> None:
        """Lowers the known value: completes every label along the relaxation's best path from its state."""
        assert self._cut is not None
        states = np.repeat(np.arange(len(labels.first) - 1), np.diff(labels.first))
        for guide in self._guides:
            whole = labels.sums + guide[layer][1][:, states]
            fits = np.flatnonzero((whole <= (self.problem.bounds - self.problem.slack)[:, None]).all(axis=0))
            if len(fits) < self._count:
                continue
            rank = fits[np.argsort(whole[0, fits], kind="stable")[self._count - 1]]
            if whole[0, rank] >= self._cut.value:
                continue
            self._cut.value = float(whole[0, rank])
            if self._count == 1:
                rest = self.problem.completed([arcs for arcs, _ in guide], layer, int(states[rank]))
                begun = self.paths(layer - 1, np.array([rank]))[0]
                self._cut.arcs = np.concatenate([begun, rest])


def answers(search: Search, labels: Labels) -> Iterator[tuple[Floats, Indices]]:
    """Yields sums `(columns,)` and arcs `(steps,)` of the final labels, best objective first, then as they stand."""
    order = np.lexsort(labels.sums[::-1])
    arcs = search.paths(len(search.problem.steps) - 1, order)
    for place, path in zip(order.tolist(), arcs, strict=True):
        yield labels.sums[:, place], path
