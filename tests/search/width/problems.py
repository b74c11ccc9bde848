"""Random factor graphs with few widths, and brute force over every network: plain Python sums."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.search.width import WidthCosts

Genome = tuple[int, ...]
Scope = tuple[int, ...]
SHAPES = ("chain", "tree", "loops")


@dataclass(frozen=True)
class Small:
    """A small problem: column → groups of a factor → values."""

    sizes: tuple[int, ...]
    columns: dict[str, dict[Scope, Any]]

    def costs(self) -> WidthCosts:
        return WidthCosts.of([range(8, 8 * size + 8, 8) for size in self.sizes], self.columns)

    def every(self) -> dict[Genome, dict[str, float]]:
        return self._every

    @cached_property
    def _every(self) -> dict[Genome, dict[str, float]]:
        return {genome: self.totals(genome) for genome in itertools.product(*map(range, self.sizes))}

    def totals(self, genome: Genome) -> dict[str, float]:
        return {
            name: float(sum([values[tuple([genome[group] for group in scope])] for scope, values in factors.items()]))
            for name, factors in self.columns.items()
        }


def small(seed: int, shape: str, columns: tuple[str, ...]) -> Small:
    """Draws a problem; whole numbers with many ties, or eighths, so that sums in any order are the same bits."""
    rng = draw.generator(seed, len(columns), SHAPES.index(shape))
    groups = 2 + draw.below(rng, 5)
    sizes = tuple(1 + draw.below(rng, 4) for _ in range(groups))
    joined: list[Scope]
    if shape == "chain":
        joined = list(itertools.pairwise(range(groups)))
    elif shape == "tree":
        joined = [(draw.below(rng, group), group) for group in range(1, groups)]
    else:
        joined = list(itertools.combinations(range(groups), 2))
        joined = [pair for pair in joined if draw.below(rng, 3)] or joined[:1]
        if groups > 2:
            joined.append((0, 1, groups - 1))
    grain = (1.0, 0.125)[draw.below(rng, 2)]

    def values(scope: Scope) -> np.ndarray[Any, Any]:
        shape = tuple(sizes[group] for group in scope)
        drawn = [grain * (draw.below(rng, 40) - 8) for _ in range(math.prod(shape))]
        return np.array(drawn).reshape(shape)

    made = {}
    for name in columns:
        scopes = [(group,) for group in range(groups)] + ([] if name == "error" else joined)
        made[name] = {scope: values(scope) for scope in scopes}
    return Small(sizes, made)


def within(values: Mapping[str, float], budgets: Mapping[str, float]) -> bool:
    return all(values[name] <= most for name, most in budgets.items())
