"""Regression forests as flat arrays: evaluated with numpy alone, stored without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees whose leaf values add up; several sums (models) may share the arrays.

    A node sends a row to `left` when the row's feature is at most the threshold, else to `left + 1`. A leaf has its own
    index as `left` and an infinite threshold, so that walking on stays where it is.

    Attributes:
        feature: Column that a node looks at, uint8, (nodes,).
        threshold: float64, (nodes,).
        left: int32, (nodes,).
        value: Of leaves, float64, (nodes,).
        roots: First nodes of the trees of each model, int32, (models, trees), padded with 0, the leaf of nothing.
            leaf of nothing.
        base: Added to every sum, float64, (models,).
        depth: Longest way from a root to a leaf.
    """

    feature: npt.NDArray[np.uint8]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    base: npt.NDArray[np.float64]
    depth: int

    def predict(self, rows: npt.NDArray[np.float64], models: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Returns the sum of model `models[i]` for row i, one after the other tree, so that equal rows give equal bits.

        Args:
            rows: Features, (n, features).
            models: (n,).
        """
        node = self.roots[models]
        start = (np.arange(len(rows)) * rows.shape[1])[:, None]
        flat = rows.ravel()
        for _ in range(self.depth):
            values = flat[start + self.feature[node]]
            node = self.left[node] + (values > self.threshold[node])
        # The last axis of a sum is added in an order that depends on its length alone, which is that of `roots`.
        total: npt.NDArray[np.float64] = self.value[node].sum(axis=1) + self.base[models]
        return total

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns the arrays to store; `from_arrays` is the inverse."""
        names = ("feature", "threshold", "left", "value", "roots", "base")
        return {name: getattr(self, name) for name in names} | {"depth": np.array(self.depth)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuilds a forest from stored arrays."""
        return cls(
            feature=arrays["feature"].astype(np.uint8),
            threshold=arrays["threshold"].astype(np.float64),
            left=arrays["left"].astype(np.int32),
            value=arrays["value"].astype(np.float64),
            roots=arrays["roots"].astype(np.int32),
            base=arrays["base"].astype(np.float64),
            depth=int(arrays["depth"]),
        )


def flatten(models: Sequence[Any]) -> Forest:
    """Packs fitted scikit-learn `HistGradientBoostingRegressor`s into one forest, in order; None predicts zero."""
    nodes: list[tuple[int, float, int, float]] = [(0, np.inf, 0, 0.0)]  # node 0: the leaf of nothing
    roots: list[list[int]] = []
    depth = 0
    for model in models:
        starts = []
        for (tree,) in [] if model is None else model._predictors:
            starts.append(_append(tree.nodes, nodes))
            depth = max(depth, int(tree.nodes["depth"].max()))
        roots.append(starts)
    widest = max(map(len, roots), default=0)
    padded = [starts + [0] * (widest - len(starts)) for starts in roots]
    feature, threshold, left, value = (np.array(column) for column in zip(*nodes, strict=True))
    return Forest(
        feature.astype(np.uint8),
        threshold.astype(np.float32).astype(np.float64),  # as they are stored
        left.astype(np.int32),
        value.astype(np.float32).astype(np.float64),
        np.array(padded, np.int32).reshape(len(roots), widest),
        np.array([0.0 if model is None else float(model._baseline_prediction[0, 0]) for model in models]),
        depth,
    )


def _append(tree: npt.NDArray[Any], nodes: list[tuple[int, float, int, float]]) -> int:
    """Appends one tree, children side by side; returns the index of its root."""
    root = len(nodes)
    nodes.append((0, np.inf, root, 0.0))
    waiting = [(0, root)]
    while waiting:
        source, place = waiting.pop()
        node = tree[source]
        if node["is_leaf"]:
            nodes[place] = (0, np.inf, place, float(node["value"]))
            continue
        left = len(nodes)
        nodes.append((0, np.inf, left, 0.0))
        nodes.append((0, np.inf, left + 1, 0.0))
        nodes[place] = (int(node["feature_idx"]), float(node["num_threshold"]), left, 0.0)
        waiting += [(int(node["left"]), left), (int(node["right"]), left + 1)]
    return root
