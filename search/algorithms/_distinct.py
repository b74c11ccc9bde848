"""Proposing many genomes at once, none of them twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.search.algorithms import _draws
from accelzoo.search.genomes import all_genomes, genome_count
from accelzoo.search.space import Genome

Rows = npt.NDArray[np.unsignedinteger]
"""Genomes in the smallest type that holds every choice: `(n, positions)`."""


class Distinct:
    """Remembers genomes and finds ones it does not know, whole matrices at a time.

    Args:
        sizes: The number of choices of each position.
        rng: Where the fallback draws come from.
        tries: How many rounds of proposals, and then how many of uniform draws, may hold repeats before the space is
            scanned.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator, tries: int = 32) -> None:
        self.dtype = np.min_scalar_type(max(sizes) - 1)
        self._sizes = sizes
        self._bounds = np.array(sizes, np.int64)
        self._rng = rng
        self._tries = tries
        self._count = genome_count(sizes)
        self._seen: set[bytes] = set()
        self._none = np.empty((0, len(sizes)), self.dtype)

    def compact(self, genomes: npt.NDArray[np.integer]) -> Rows:
        """Returns genomes in the smallest type."""
        return np.ascontiguousarray(genomes, self.dtype)

    def uniform(self, count: int) -> Rows:
        """Draws every position uniformly: `(count, positions)`."""
        bounds = np.broadcast_to(self._bounds, (count, len(self._sizes))).ravel()
        return self.compact(_draws.below(self._rng, bounds, bounds.size).reshape(count, len(self._sizes)))

    def add(self, rows: Rows) -> None:
        """Remembers genomes."""
        self._seen.update(_keys(rows))

    def forget(self, rows: Rows) -> None:
        """Forgets genomes, so that they may be taken again."""
        self._seen.difference_update(_keys(rows))

    def take(self, count: int, propose: Callable[[int], Rows]) -> Rows:
        """Returns up to `count` different genomes that it does not remember, and remembers them.

        Args:
            count: How many; fewer are returned only if there are no more.
            propose: Number of genomes → that many, of which some may be repeats.
        """
        count = min(count, self._count - len(self._seen))
        found: list[Rows] = [self._none]
        missing = count
        for attempt in range(2 * self._tries):
            if missing <= 0:
                break
            wanted = missing + missing // 4 + 8  # some will be repeats, and a round costs more than a row
            rows = propose(wanted) if attempt < self._tries else self.uniform(wanted)
            found.append(self._new(rows, missing))
            missing -= len(found[-1])
        if missing > 0:
            found.append(self._scanned(missing))
        return np.concatenate(found)

    def _new(self, rows: Rows, limit: int) -> Rows:
        """Returns up to `limit` of the genomes that it does not remember, each once, and remembers them."""
        index = dict(zip(_keys(rows), range(len(rows)), strict=True))  # in the order of first occurrence
        for key in self._seen.intersection(index):
            del index[key]
        if len(index) > limit:
            index = dict(itertools.islice(index.items(), limit))
        self._seen.update(index)
        return rows[list(index.values())]

    def _scanned(self, count: int) -> Rows:
        """Returns the next new genomes in order, from a random one on: at most len(seen) + count steps."""
        first: Genome = tuple(self.uniform(1)[0].tolist())
        order = (np.array([genome], self.dtype) for genome in all_genomes(self._sizes, first=first))
        new = (row for row in (self._new(row, 1) for row in order) if len(row))
        return np.concatenate(list(itertools.islice(new, count)))


def _keys(rows: Rows) -> list[bytes]:
    """Returns the bytes of each genome."""
    keys: list[Any] = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel().tolist()
    return keys
