"""Genomes as rows of an integer matrix: checking, drawing, changing, and never proposing one twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import ShapeError
from accelzoo.search.space import Genome, GenomeMatrix


def checked_sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    """Returns the numbers of choices as a tuple.

    Raises:
        ShapeError: If there is no position, or one without a choice.
    """
    checked = tuple(int(size) for size in sizes)
    if not checked or min(checked) < 1:
        raise ShapeError(f"sizes (={checked}) must give at least one position, each with at least one choice")
    return checked


def genome_count(sizes: tuple[int, ...]) -> int:
    """Returns how many genomes there are."""
    return math.prod(sizes)


def random_genome(sizes: tuple[int, ...], rng: np.random.Generator) -> Genome:
    """Draws every position uniformly."""
    return tuple(draw.below(rng, size) for size in sizes)


def mutated(genome: Genome, sizes: tuple[int, ...], rng: np.random.Generator) -> Genome:
    """Returns `genome` with one randomly drawn position changed to another choice, drawn uniformly.

    Positions with a single choice are never drawn; a genome without any other position is returned as it is.
    """
    free = [position for position, size in enumerate(sizes) if size > 1]
    if not free:
        return genome
    position = free[draw.below(rng, len(free))]
    choice = draw.below(rng, sizes[position] - 1)
    choice += choice >= genome[position]
    return (*genome[:position], choice, *genome[position + 1 :])


def all_genomes(sizes: tuple[int, ...], first: Genome | None = None) -> Iterator[Genome]:
    """Yields every genome once, the last position fastest, from `first` on and round to before it."""
    current = list(first if first is not None else (0,) * len(sizes))
    for _ in range(genome_count(sizes)):
        yield tuple(current)
        for position in reversed(range(len(sizes))):
            current[position] = (current[position] + 1) % sizes[position]
            if current[position]:
                break


def to_matrix(genomes: Sequence[Genome], positions: int) -> GenomeMatrix:
    """Returns genomes as int64 `(len(genomes), positions)`, also when there are none."""
    return np.array(genomes, dtype=np.int64).reshape(len(genomes), positions)


def checked_matrix(genomes: npt.ArrayLike, sizes: tuple[int, ...]) -> list[Genome]:
    """Returns the rows of a genome matrix as tuples of int.

    Raises:
        ShapeError: If it is no integer matrix `(n, len(sizes))`, or a choice is outside its position's range.
    """
    matrix = np.asarray(genomes)
    if matrix.ndim != 2 or matrix.shape[1] != len(sizes) or matrix.dtype.kind not in "iu":
        raise ShapeError(
            f"genomes of shape {matrix.shape} and type {matrix.dtype} must be integers of shape (n, {len(sizes)})"
        )
    rows = [tuple(row) for row in matrix.tolist()]
    for row in rows:
        for position, (choice, size) in enumerate(zip(row, sizes, strict=True)):
            if not 0 <= choice < size:
                raise ShapeError(f"choice {choice} at position {position} of genome {row} must be in 0 … {size - 1}")
    return rows


def checked_batch(genomes: npt.ArrayLike, values: npt.ArrayLike, sizes: tuple[int, ...]) -> list[tuple[Genome, float]]:
    """Returns what `tell` was given as pairs of genome and value.

    Args:
        genomes: int64 `(n, len(sizes))`.
        values: float64 `(n,)`, higher is better, −inf for a candidate without a value.
        sizes: The number of choices of each position.

    Raises:
        ShapeError: If the shapes or the choices do not fit `sizes`.
        ValueError: If a value is NaN or +inf.
    """
    rows = checked_matrix(genomes, sizes)
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (len(rows),):
        raise ShapeError(f"values of shape {column.shape} must have shape ({len(rows)},): one for each genome")
    pairs = list(zip(rows, column.tolist(), strict=True))
    for row, value in pairs:
        if not value < math.inf:
            raise ValueError(f"the value of genome {row} is {value}: it must be a number or -inf")
    return pairs


class Unseen:
    """Remembers the genomes it has handed out and hands out each only once, until there are no more.

    Args:
        sizes: The number of choices of each position.
        rng: Where the fallback draws come from.
        tries: How many proposals, and then how many uniform draws, may be repeats before the space is scanned.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator, tries: int = 32) -> None:
        self._sizes = sizes
        self._rng = rng
        self._tries = tries
        self._count = genome_count(sizes)
        self._seen: set[Genome] = set()

    def add(self, genome: Genome) -> None:
        """Marks a genome as handed out."""
        self._seen.add(genome)

    def next(self, propose: Callable[[], Genome]) -> Genome | None:
        """Returns a new genome: a proposal, else a uniform draw, else the next one in order; None when none is left."""
        if len(self._seen) >= self._count:
            return None
        genome = next((genome for genome in self._attempts(propose) if genome not in self._seen), None)
        if genome is not None:
            self._seen.add(genome)
        return genome

    def _attempts(self, propose: Callable[[], Genome]) -> Iterator[Genome]:
        for _ in range(self._tries):
            yield propose()
        for _ in range(self._tries):
            yield random_genome(self._sizes, self._rng)
        # At most len(seen) + 1 steps: among that many different genomes one is new.
        yield from all_genomes(self._sizes, first=random_genome(self._sizes, self._rng))
