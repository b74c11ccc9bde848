"""Finds out where a space's knobs act, by changing one at a time and looking at the networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelzoo import draw
from accelzoo.errors import AccelzooError
from accelzoo.hwmodel._table_cut import STEM, CostTableError, Piece, Pieces, Place, UncutError, place_of

BASES = 2
TRIES = 32
MAX_SHARED = 1 << 20

Genome = tuple[int, ...]
Cutter = Callable[[Genome, Sequence[Place]], Pieces]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which positions of a genome choose in which part.

    Attributes:
        places: Where each part begins.
        local: Positions that concern one part alone, for each part.
        shared: Positions that concern the whole network: they are part of every context.
        whole_because: Why the space cannot be cut into parts; empty if it can.
    """

    places: tuple[Place, ...] = (STEM,)
    local: tuple[tuple[int, ...], ...] = ((),)
    shared: tuple[int, ...] = ()
    whole_because: str = ""


def find_layout(space: Any, sizes: Sequence[int], cutter: Cutter, rng: np.random.Generator) -> Layout:
    """Lays out the space by where its knobs stand, then makes those shared that reach further.

    Two random genomes are changed in every position to every other choice. A knob whose change alters the operators
    of a part other than its own, under equal entering shapes, concerns the whole network.

    Args:
        space: Its `knobs` say by their `path` where they stand.
        sizes: Number of choices of each position.
        cutter: Genome, places → the network in parts.
        rng: Draws the genomes.

    Raises:
        CostTableError: If an operator's price depends on more than the target says it looks at.
    """
    knobs = getattr(space, "knobs", None)
    if knobs is None or len(knobs) != len(sizes):
        return Layout(whole_because="the space has no knobs that say where in the network they stand")
    spots = [place_of(knob) for knob in knobs]
    while True:
        layout = _layout(spots)
        if (shared := math.prod([sizes[position] for position in layout.shared])) > MAX_SHARED:
            names = ", ".join(_name(knobs, position) for position in layout.shared)
            reason = f"{shared:,} settings of knobs that concern the whole network ({names}) are too many to tabulate"
            return Layout(whole_because=reason)
        try:
            reaching = _reaching(layout, sizes, cutter, rng)
        except UncutError as error:
            return Layout(whole_because=str(error))
        if not reaching:
            return layout
        for position in reaching:
            spots[position] = None


def random_genome(sizes: Sequence[int], rng: np.random.Generator) -> Genome:
    """Draws every position uniformly."""
    return tuple([draw.below(rng, size) for size in sizes])


def _layout(spots: Sequence[Place | None]) -> Layout:
    places = tuple(sorted({spot for spot in spots if spot is not None})) or (STEM,)
    local = tuple([tuple([i for i, spot in enumerate(spots) if spot == place]) for place in places])
    return Layout(places=places, local=local, shared=tuple([i for i, spot in enumerate(spots) if spot is None]))


def _reaching(layout: Layout, sizes: Sequence[int], cutter: Cutter, rng: np.random.Generator) -> set[int]:
    """Returns the local positions that alter another part than their own."""
    reaching: set[int] = set()
    for _ in range(BASES):
        genome, base = _base(layout, sizes, cutter, rng)
        for own, positions in enumerate(layout.local):
            for position in positions:
                for choice in range(sizes[position]):
                    changed = (*genome[:position], choice, *genome[position + 1 :])
                    if choice == genome[position] or position in reaching:
                        continue
                    try:
                        other = cutter(changed, layout.places)
                    except CostTableError:
                        continue  # it is priced as a whole
                    except AccelzooError:
                        continue  # choices that do not go together
                    if _reaches(base, other, own):
                        reaching.add(position)
    return reaching


def _base(layout: Layout, sizes: Sequence[int], cutter: Cutter, rng: np.random.Generator) -> tuple[Genome, Pieces]:
    failure: AccelzooError | None = None
    for _ in range(TRIES):
        genome = random_genome(sizes, rng)
        try:
            return genome, cutter(genome, layout.places)
        except AccelzooError as error:
            failure = error
    if isinstance(failure, UncutError):
        raise failure
    raise CostTableError(f"none of {TRIES} random genomes makes a network; the last reason: {failure}") from failure


def _reaches(base: Pieces, other: Pieces, own: int) -> bool:
    """Whether a change in part `own` shows elsewhere, other than through the shapes it hands on."""
    handed_on = False  # whether the part before makes or hands on something else
    for index, (piece, changed) in enumerate(zip(base.parts, other.parts, strict=True)):
        if piece.entering != changed.entering:
            if not handed_on:
                return True
            continue
        handed_on = index == own
        if piece.content != changed.content:
            if index != own:
                return True
        elif piece.following == changed.following and not (base.streams or other.streams):
            _check_price(piece, changed)
    return False


def _check_price(piece: Piece, other: Piece) -> None:
    facts = (piece.prices, piece.sums, piece.peak_bytes, piece.unpriced)
    if facts != (other.prices, other.sums, other.peak_bytes, other.unpriced):
        raise CostTableError(
            "equal operators among equal neighbours were priced differently: the estimator looks further than the "
            "target's context_radius, or at the whole network; price the space with whole=True"
        )


def _name(knobs: Sequence[Any], position: int) -> str:
    return str(getattr(knobs[position], "name", position))
