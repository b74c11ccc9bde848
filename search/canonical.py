"""The canonical genomes of many genomes at once, by look-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.search.genomes import checked_sizes, random_genome
from accelzoo.search.space import GenomeMatrix, SearchSpace

CHECKS = 64
MOST_CHOICES = 1 << 20
_UNKNOWN = -1


class CanonicalTable:
    """Maps genomes to the canonical ones, as `SearchSpace.canonical` does, a part of the space at a time.

    What makes a knob inactive (`kind`, `repeats`) stands in its own part of the template, a stage or the stem or the
    head; so what becomes of a part's choices is asked of the space once per combination of them. That is tried on
    random genomes at the start; a space that fails, or whose knobs do not say where they stand, is asked for every
    genome.

    Args:
        space: Says what is canonical.
        seed: Draws the genomes of the check.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._sizes = checked_sizes(space.sizes)
        self._parts = [_Part(positions, self._sizes) for positions in _positions(space)]
        rng = draw.generator(seed)
        genomes = np.array([random_genome(self._sizes, rng) for _ in range(CHECKS)], np.int64)
        if max(part.count for part in self._parts) > MOST_CHOICES or (self(genomes) != self._one_by_one(genomes)).any():
            self._parts = []

    @property
    def by_parts(self) -> bool:
        """Whether genomes are looked up, not asked for one by one."""
        return bool(self._parts)

    def __call__(self, genomes: GenomeMatrix) -> GenomeMatrix:
        """Returns the canonical genomes: int64 `(n, positions)` for `(n, positions)`."""
        if not self._parts:
            return self._one_by_one(genomes)
        canonical = np.empty_like(genomes)
        for part in self._parts:
            codes = part.codes(genomes)
            missing = np.unique(codes[part.entry[codes] == _UNKNOWN])
            if missing.size:
                self._learn(part, missing)
            canonical[:, part.positions] = np.array(part.rows, np.int64)[part.entry[codes]]
        return canonical

    def _learn(self, part: _Part, codes: npt.NDArray[np.int64]) -> None:
        genome = [0] * len(self._sizes)
        for code in codes.tolist():
            rest = code
            for position in reversed(part.positions):
                rest, genome[position] = divmod(rest, self._sizes[position])
            found = self._space.canonical(tuple(genome))
            part.entry[code] = len(part.rows)
            part.rows.append([int(found[position]) for position in part.positions])

    def _one_by_one(self, genomes: GenomeMatrix) -> GenomeMatrix:
        found = [[int(choice) for choice in self._space.canonical(tuple(row))] for row in genomes.tolist()]
        return np.array(found, np.int64).reshape(genomes.shape)


class _Part:
    """Positions that stand in one part of the template, and what is known of their combinations."""

    def __init__(self, positions: Sequence[int], sizes: tuple[int, ...]) -> None:
        self.positions = list(positions)
        self._sizes = [sizes[position] for position in positions]
        self.count = 1
        for size in self._sizes:
            self.count *= size
        self.entry = np.full(min(self.count, MOST_CHOICES), _UNKNOWN)
        self.rows: list[list[int]] = []

    def codes(self, genomes: GenomeMatrix) -> npt.NDArray[np.int64]:
        code = np.zeros(len(genomes), np.int64)
        for position, size in zip(self.positions, self._sizes, strict=True):
            code = code * size + genomes[:, position]
        return code


def _positions(space: SearchSpace) -> list[list[int]]:
    """Positions by part; all in one if the space does not say where its knobs stand."""
    parts: dict[tuple[object, ...], list[int]] = {}
    knobs = getattr(space, "knobs", None) or [None] * len(space.sizes)
    for position, knob in enumerate(knobs):
        path = getattr(knob, "path", ())
        parts.setdefault(tuple(path[: 2 if path and path[0] == "stages" else 1]), []).append(position)
    return list(parts.values())


def packed(genomes: GenomeMatrix, sizes: tuple[int, ...]) -> npt.NDArray[np.uint64]:
    """Packs each genome into as few 64-bit words as its choices need, `(n, words)`: equal words, equal genomes."""
    words: list[npt.NDArray[np.uint64]] = []
    room = 0
    for position, size in enumerate(sizes):
        bits = max(1, (size - 1).bit_length())
        if bits > room:
            words.append(np.zeros(len(genomes), np.uint64))
            room = 64
        words[-1] = (words[-1] << np.uint64(bits)) | genomes[:, position].astype(np.uint64)
        room -= bits
    return np.stack(words, axis=1)


def first_of_each(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Returns the rows that are the first of their kind, in order: int64 `(distinct,)` for `(n, words)`."""
    if words.shape[1] == 1:
        _, first = np.unique(words[:, 0], return_index=True)
    else:
        records = np.ascontiguousarray(words).view([("", np.uint64)] * words.shape[1])
        _, first = np.unique(records[:, 0], return_index=True)
    found: npt.NDArray[np.int64] = np.sort(first)
    return found
