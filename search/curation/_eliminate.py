"""Leaving out whatever the exact front can do without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from accelzoo.errors import AccelzooError
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.curation.certificate import Loss
from accelzoo.search.exact import Front

Value = tuple[int, int]
"""A position and the index of one of its values."""
Used = Callable[[list[list[int]]], Counter[Value]]
"""Genomes → how many have each value, of the knobs that make a difference in them."""


def eliminated(kept: Kept, front_of: Callable[[Kept], Front], before: Front, used: Used, regret: float) -> Kept:
    """Returns the values that the front needs: each in turn is left out if the front then loses no more than `regret`.

    Values that no point has go first and at once; then the others, the least used first.

    Args:
        kept: The values there are.
        front_of: The exact front of some of them.
        before: The front that counts.
        used: Counts values.
        regret: The most extra cost, as a share, of reaching the quality of any of its points.
    """
    counts = used(front_of(kept).genomes.tolist())
    kept = tuple(
        tuple(value for value in left if counts[position, value]) or left[:1] for position, left in enumerate(kept)
    )
    order = sorted((count, value) for value, count in counts.items())
    for _, (position, value) in order:
        fewer = _without(kept, position, value)
        if fewer is not None and _loses_little(fewer, front_of, before, regret):
            kept = fewer
    return kept


def _without(kept: Kept, position: int, value: int) -> Kept | None:
    left = tuple(other for other in kept[position] if other != value)
    return (*kept[:position], left, *kept[position + 1 :]) if left and len(left) < len(kept[position]) else None


def _loses_little(kept: Kept, front_of: Callable[[Kept], Front], before: Front, regret: float) -> bool:
    try:
        after = front_of(kept)
    except AccelzooError:  # the target can run none of what is left
        return False
    return not len(Loss.between(before, after).beyond(regret))
