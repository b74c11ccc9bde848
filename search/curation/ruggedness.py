"""Ruggedness: how often one step up costs nothing, or even less."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.knobs import Space
from accelzoo.search.curation._contexts import Drawer, Pricer
from accelzoo.search.curation._order import ascending, field_of
from accelzoo.search.curation._wishes import Kept

STEPS = 2048
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruggedness:
    """Single steps of ordered knobs, one value up with all else equal, by what they do to the cost.

    Attributes:
        flat: Steps that change it by no more than the tolerance.
        down: Steps that lower it by more.
        steps: All.
        every: Whether these are all steps of the space, not a sample.
        by_field: Field → (flat, down, all).
    """

    flat: int
    down: int
    steps: int
    every: bool
    by_field: Mapping[str, tuple[int, int, int]]

    @property
    def flat_share(self) -> float:
        """Share of the steps that cost nothing; 0 if there are no steps."""
        return self.flat / self.steps if self.steps else 0.0

    @property
    def down_share(self) -> float:
        """Share of the steps in the wrong direction; 0 if there are no steps."""
        return self.down / self.steps if self.steps else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        fields = {name: dict(zip(("flat", "down", "steps"), each, strict=True)) for name, each in self.by_field.items()}
        return {"flat": self.flat, "down": self.down, "steps": self.steps, "every": self.every, "by_field": fields}

    def __str__(self) -> str:
        how = "all steps" if self.every else "steps sampled"
        return f"{self.flat_share:.1%} flat, {self.down_share:.1%} down, of {self.steps:,} {how}"


def ruggedness(
    space: Space, price: Pricer, kept: Kept | None = None, *, tolerance: float = 0.0, steps: int = STEPS, seed: int = 0
) -> Ruggedness:
    """Measures the landscape of a space.

    Args:
        space: The space.
        price: Genomes → costs.
        kept: Values of each knob to step among; all by default.
        tolerance: The share of a genome's cost up to which a change counts as none.
        steps: How many steps to sample; all are taken where there are no more.
        seed: Draws them.
    """
    kept = kept or tuple(tuple(range(size)) for size in space.sizes)
    ladders = {}
    for position, (knob, left) in enumerate(zip(space.knobs, kept, strict=True)):
        order = ascending(knob)
        if order is not None and len(left) > 1:
            ladders[position] = [index for index in order if index in left]
    before, after, fields, every = _steps(space, kept, ladders, steps, seed)
    if not fields:
        return Ruggedness(flat=0, down=0, steps=0, every=True, by_field={})
    low, high = price(before), price(after)
    runs = np.isfinite(low) & np.isfinite(high)
    names, change, margin = np.array(fields)[runs], high[runs] - low[runs], low[runs] * max(tolerance, ROUNDING)
    flat, down = np.abs(change) <= margin, change < -margin
    by_field = {
        name: (int(flat[names == name].sum()), int(down[names == name].sum()), int((names == name).sum()))
        for name in sorted(set(names.tolist()))
    }
    return Ruggedness(
        flat=int(flat.sum()), down=int(down.sum()), steps=int(runs.sum()), every=every, by_field=by_field
    )


def _steps(space: Space, kept: Kept, ladders: Mapping[int, list[int]], limit: int, seed: int) -> tuple[Any, ...]:
    """Returns genomes, the same one step up, the fields of the knobs stepped, and whether these are all steps."""
    size = int(np.prod([float(len(left)) for left in kept]))
    every = size * max(1, len(ladders)) <= limit
    rng = draw.generator(seed)
    pairs = []
    if every:
        for genome in itertools.product(*kept):
            for position, ladder in ladders.items():
                place = ladder.index(genome[position])
                if place + 1 < len(ladder):
                    pairs.append((genome, position, ladder[place + 1]))
    elif ladders:
        drawer, positions = Drawer(space, rng), list(ladders)
        for genome in drawer.genomes(kept, limit):
            position = positions[draw.below(rng, len(positions))]
            ladder = ladders[position]
            place = draw.below(rng, len(ladder) - 1)
            low = (*genome[:position], ladder[place], *genome[position + 1 :])
            pairs.append((low, position, ladder[place + 1]))
    pairs = [pair for pair in pairs if space.knobs[pair[1]].name in space.values(pair[0])]
    before = np.array([genome for genome, _, _ in pairs], np.int64).reshape(len(pairs), len(kept))
    after = before.copy()
    for row, (_, position, value) in enumerate(pairs):
        after[row, position] = value
    return before, after, [field_of(space.knobs[position]) for _, position, _ in pairs], every
