"""Networks worth timing: every pair of widths that meets in some operators, each at least once, then evenly often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ConfigError
from accelzoo.search.width._sweep import Sweep
from accelzoo.search.width.space import WidthSpace

Indices = npt.NDArray[np.int64]
_JITTER = 0.5  # of one sighting, in all: it decides between networks that are seen equally little


def covering_genomes(space: WidthSpace, count: int | None = None, *, seed: int = 0) -> Indices:
    """Draws networks through the least-seen pairs of widths.

    Each network is a path of least total sightings through the factors' tables (Viterbi, with random ties), as in AOWS
    (Berman et al. 2020, latency model). The first ones so cover every entry of every table about as fast as can be,
    the later ones see all of them equally often.

    Args:
        space: The widths.
        count: How many; as many as it takes to see every entry if not given. Fewer may leave some unseen.
        seed: Of the draws.

    Returns:
        Genomes, int64 `(count, groups)`.

    Raises:
        ConfigError: If `count` is not positive.
        TooWideError: If the factor graph has too many loops.
    """
    if count is not None and count < 1:
        raise ConfigError([f"count (={count}) must be at least 1"])
    scopes = list(dict.fromkeys([factor.groups for factor in space.factors]))
    sweep = Sweep(space.sizes, scopes)
    seen = [np.zeros([space.sizes[group] for group in scope]) for scope in scopes]
    unseen = sum([table.size for table in seen])
    rng = draw.generator(seed)
    found: list[tuple[int, ...]] = []
    while (unseen if count is None else len(found) < count):
        jitter = _jitters(rng, [table.size for table in seen], _JITTER / len(scopes))
        costs = [_weighed(table, noise) for table, noise in zip(seen, jitter, strict=True)]
        _, genome = sweep.least(sweep.arc_values(costs))
        for scope, table in zip(scopes, seen, strict=True):
            place = tuple([genome[group] for group in scope])
            unseen -= int(table[place] == 0)
            table[place] += 1
        found.append(genome)
    return np.array(found, np.int64).reshape(len(found), len(space.sizes))


def _weighed(table: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sightings beyond the least seen entry's; an entry seen as little as any costs nothing but its noise."""
    found: npt.NDArray[np.float64] = np.minimum(table - table.min(), 1.0) + noise.reshape(table.shape)
    return found


def _jitters(rng: np.random.Generator, sizes: list[int], scale: float) -> list[npt.NDArray[np.float64]]:
    """Draws uniform numbers below `scale`, from raw generator bits alone."""
    words = rng.bit_generator.random_raw(sum(sizes))
    numbers = (words >> np.uint64(11)).astype(np.float64) * (scale / 2**53)
    return np.split(numbers, np.cumsum(sizes)[:-1])
