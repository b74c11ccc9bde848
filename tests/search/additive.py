"""Random additive problems, and brute force over every genome: Python sums from left to right."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelzoo import draw
from accelzoo.search.exact import AdditiveTable

Genome = tuple[int, ...]
Vector = tuple[float, ...]


@dataclass(frozen=True)
class Small:
    """A small problem as plain lists."""

    each: dict[str, list[list[float]]]
    between: dict[str, list[list[list[float]] | None]]
    better: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.each, *self.between]))

    def table(self) -> AdditiveTable:
        return AdditiveTable.of(self.each, self.between, higher_is_better=self.better)

    def every(self) -> dict[Genome, dict[str, float]]:
        """Totals of every genome in lexicographic order."""
        sizes = [len(values) for values in next(iter(self.each.values()))]
        return {genome: self.totals(genome) for genome in itertools.product(*map(range, sizes))}

    def totals(self, genome: Genome) -> dict[str, float]:
        found = {}
        for name in self.columns:
            total = 0.0
            for position, choice in enumerate(genome):
                added = self.each[name][position][choice] if name in self.each else 0.0
                table = self.between[name][position - 1] if position and name in self.between else None
                total += added + (table[genome[position - 1]][choice] if table else 0.0)
            found[name] = total
        return found


def small(seed: int, columns: int, *, joined: bool = False, better: Sequence[str] = ()) -> Small:
    """Draws a problem: whole numbers with many ties, or real ones, some negative; columns are called a to d."""
    rng = draw.generator(seed, columns, int(joined))
    sizes = [1 + draw.below(rng, 4) for _ in range(1 + draw.below(rng, 6))]
    whole = draw.below(rng, 2)

    def number() -> float:
        return float(draw.below(rng, 9) - 3) if whole else 4 * draw.uniform(rng) - 1

    names = "abcd"[:columns]
    each = {name: [[number() for _ in range(size)] for size in sizes] for name in names}
    between: dict[str, list[Any]] = {}
    for name in names if joined else "":
        between[name] = [
            [[number() for _ in range(second)] for _ in range(first)] if draw.below(rng, 3) else None
            for first, second in itertools.pairwise(sizes)
        ]
    return Small(each=each, between=between, better=tuple(better))


def within(values: Mapping[str, float], budgets: Mapping[str, Any], better: Sequence[str]) -> bool:
    for name, bound in budgets.items():
        least, most = bound if isinstance(bound, tuple) else (bound, None) if name in better else (None, bound)
        if (least is not None and values[name] < least) or (most is not None and values[name] > most):
            return False
    return True


def undominated(vectors: Sequence[Vector]) -> list[Vector]:
    """Every vector that no other is at least as small as everywhere and smaller somewhere, each once, ascending."""
    different = sorted(set(vectors))
    return [
        one
        for one in different
        if not any(other != one and all(x <= y for x, y in zip(other, one, strict=True)) for other in different)
    ]
