"""Which knobs matter: the share of a value's variance over the space that each position of a genome explains alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import DataError, ShapeError
from accelzoo.search.genomes import checked_matrix, checked_sizes

MINIMUM = 30
REPEATS = 10
TREES = 16
KEPT = 2 / 3  # of the candidates, in each repeat
PENALTIES = tuple(10.0**power for power in range(-3, 4))
MOST = 3000  # candidates; of more, so many are drawn
UNIFORM = 2048  # genomes over which interactions are averaged

Genomes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class TooFewError(DataError):
    """There are too few candidates to tell which knobs matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much of a value's variance each position explains alone; what is missing to 1 needs several together.

    Attributes:
        shares: float64 `(positions,)`, 0 … 1; NaN where only one choice has been tried.
        deviations: float64 `(positions,)`: the standard error of each share, as far as the choice of candidates goes.
        explained: How much of the candidates' variance models explain that have not seen them (R²). Near 0 or below it
            the shares say nothing.
        candidates: How many it rests on.
    """

    shares: Floats
    deviations: Floats
    explained: float
    candidates: int

    def ranked(self) -> list[int]:
        """Returns the positions that were varied, the most important first."""
        order = np.argsort(-self.shares, kind="stable")
        return [int(position) for position in order if not np.isnan(self.shares[position])]


def importance(genomes: npt.ArrayLike, values: npt.ArrayLike, sizes: Sequence[int], *, seed: int = 0) -> Importance:
    """Splits the variance of a value over a space by position.

    Functional analysis of variance on random forests (Hutter, Hoos & Leyton-Brown, "An Efficient Approach for Assessing
    Hyperparameter Importance", ICML 2014, §3): the value that a model predicts for one choice of one position, averaged
    over all choices of the others, is exact, because every leaf of a tree is a box. The variance of these averages over
    the position's choices, all equally likely, divided by the variance of the prediction over all genomes, is the
    position's share. So it is about the whole space, although a search looks more often where it is good.

    The model is a forest over what a sum of effects (ridge regression on one indicator per choice) leaves: forests
    alone need far more candidates where many knobs add up. It is fitted 10 times to two thirds of the candidates; the
    others judge it. The deviation is that of the delete-d jackknife (Shao & Wu, Annals of Statistics 17(3), 1989).

    Args:
        genomes: Integers `(n, positions)`, different ones; inactive positions as they were proposed.
        values: `(n,)`, finite.
        sizes: The number of choices of each position.
        seed: Draws samples and trees.

    Raises:
        ShapeError: If the shapes or choices do not fit.
        TooFewError: If there are fewer than 30 candidates, or all values are equal.
    """
    sizes = checked_sizes(sizes)
    matrix = np.array(checked_matrix(genomes, sizes), dtype=np.int64).reshape(-1, len(sizes))
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (len(matrix),):
        raise ShapeError(f"values of shape {column.shape} must have shape ({len(matrix)},): one for each genome")
    if len(matrix) < MINIMUM:
        raise TooFewError(f"{len(matrix)} candidates are too few to tell which knobs matter: {MINIMUM} are needed")
    if np.ptp(column) == 0:
        raise TooFewError(f"all {len(matrix)} candidates have the same value: no knob matters")
    rng = draw.generator(seed)
    if len(matrix) > MOST:
        drawn = draw.sample(rng, range(len(matrix)), MOST)
        matrix, column = matrix[drawn], column[drawn]
    return _repeated(matrix, column, sizes, rng)


def _repeated(genomes: Genomes, values: Floats, sizes: Sequence[int], rng: np.random.Generator) -> Importance:
    """Fits models to parts of the candidates and judges each by the others."""
    count, kept = len(genomes), round(len(genomes) * KEPT)
    uniform = np.array([[draw.below(rng, size) for size in sizes] for _ in range(UNIFORM)])
    shares, judged, times = np.zeros((REPEATS, len(sizes))), np.zeros(count), np.zeros(count)
    for number in range(REPEATS):
        order = draw.permutation(rng, count)
        model = _Model(genomes[order[:kept]], values[order[:kept]], sizes, seed=draw.below(rng, 1 << 31))
        shares[number] = model.shares(uniform)
        judged[order[kept:]] += model.predict(genomes[order[kept:]])
        times[order[kept:]] += 1
    shares[:, np.ptp(genomes, axis=0) == 0] = np.nan
    seen = times > 0
    errors = values[seen] - judged[seen] / times[seen]
    return Importance(
        shares=shares.mean(axis=0),
        # Samples that share much differ less than the candidates of another search would.
        deviations=shares.std(axis=0, ddof=1) * math.sqrt(kept / (count - kept)),
        explained=float(1 - np.mean(errors**2) / values[seen].var()),
        candidates=count,
    )


class _Model:
    """A value as the sum of one effect for each choice, and a forest over what these leave."""

    def __init__(self, genomes: Genomes, values: Floats, sizes: Sequence[int], seed: int) -> None:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.linear_model import RidgeCV

        self._sizes = sizes
        self._effects = RidgeCV(alphas=PENALTIES).fit(self._indicators(genomes), values)
        self._forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=seed)
        self._forest.fit(genomes, values - self._effects.predict(self._indicators(genomes)))

    def predict(self, genomes: Genomes) -> Floats:
        return self._effects.predict(self._indicators(genomes)) + self._forest.predict(genomes)

    def shares(self, uniform: Genomes) -> Floats:
        """Returns the share of each position in the variance of the predictions for uniform genomes."""
        marginals = np.split(self._effects.coef_.copy(), np.cumsum(self._sizes)[:-1])
        for tree in self._forest.estimators_:
            for total, marginal in zip(marginals, _marginals(tree.tree_, self._sizes), strict=True):
                total += marginal / len(self._forest.estimators_)
        centred = [marginal - marginal.mean() for marginal in marginals]
        together = self.predict(uniform) - sum(effect[uniform[:, at]] for at, effect in enumerate(centred))
        alone = np.array([effect.var() for effect in centred])
        # What positions do together is orthogonal to what they do alone, so that the two variances add up.
        return alone / max(alone.sum() + together.var(), np.finfo(float).tiny)

    def _indicators(self, genomes: Genomes) -> Floats:
        """Returns `(n, sum(sizes))`: 1 where a genome has a choice, else 0."""
        return np.concatenate([np.eye(size)[genomes[:, at]] for at, size in enumerate(self._sizes)], axis=1)


def _marginals(tree: Any, sizes: Sequence[int]) -> list[Floats]:
    """Returns for each position `(size,)`: a tree's prediction for a choice, averaged over those of the others."""
    low = np.zeros((tree.node_count, len(sizes)))  # of each node's box: the first choice in it
    high = np.tile(np.array(sizes, dtype=np.float64), (tree.node_count, 1))  # and the first after it
    for node in range(tree.node_count):  # parents come before their children
        left, right = tree.children_left[node], tree.children_right[node]
        if left < 0:
            continue
        position, first_right = tree.feature[node], np.floor(tree.threshold[node]) + 1
        for child in (left, right):
            low[child], high[child] = low[node], high[node]
        high[left, position] = min(high[node, position], first_right)
        low[right, position] = max(low[node, position], first_right)
    leaves = tree.children_left < 0
    low, high, predicted = low[leaves], high[leaves], tree.value[leaves, 0, 0]
    filled = (high - low) / np.array(sizes)  # the share of each position's choices that the box holds
    volume = filled.prod(axis=1)
    marginals = []
    for position, size in enumerate(sizes):
        inside = (low[:, position] <= np.arange(size)[:, None]) & (np.arange(size)[:, None] < high[:, position])
        marginals.append(inside @ (predicted * volume / filled[:, position]))
    return marginals
