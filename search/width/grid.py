"""The unknowns of a latency table: one entry per operators and widths; and which sums of them timings can tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel import Target, estimate, load_target
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.width.factors import Factor
from accelzoo.search.width.sampling import covering_genomes
from accelzoo.search.width.space import WidthSpace

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
_TOLERANCE = 1e-9  # of the largest eigenvalue, below which a direction counts as unseen


@dataclass(frozen=True, kw_only=True, eq=False)
class LatencyGrid:
    """The entries of a latency table. Runs of operators that are equal in all their shapes share one.

    A network's latency is the sum of its entries, one for every factor of the space. Entries are not identifiable: what
    one table gains another may lose without any network's sum changing. Only sums mean something.

    Attributes:
        space: The widths.
        index: For every factor the number of its entry, `(choices of its groups…,)`.
        entries: How many there are.
    """

    space: WidthSpace
    index: tuple[Indices, ...]
    entries: int

    @classmethod
    def of(cls, space: WidthSpace, *, seed: int = 0) -> LatencyGrid:
        """Numbers the entries of a space, by lowering networks that cover all of them.

        Args:
            space: The widths.
            seed: Draws which networks.
        """
        index = [np.zeros([space.sizes[group] for group in factor.groups], np.int64) for factor in space.factors]
        numbers: dict[object, int] = {}
        for genome in covering_genomes(space, seed=seed).tolist():
            ops = space.decode(tuple(genome)).lower().ops
            for factor, table in zip(space.factors, index, strict=True):
                key = tuple([(ops[op].kind, ops[op][3:]) for op in factor.operators])
                table[_place(factor, genome)] = numbers.setdefault(key, len(numbers))
        return cls(space=space, index=tuple(index), entries=len(numbers))

    def rows(self, genomes: npt.ArrayLike) -> Indices:
        """Returns the entries of each network, `(n, factors)`.

        Raises:
            ShapeError: If the genomes have the wrong shape or a choice is out of range.
        """
        checked = checked_matrix(genomes, self.space.sizes)
        matrix = np.array(checked, np.int64).reshape(len(checked), len(self.space.sizes))
        found = np.empty((len(matrix), len(self.index)), np.int64)
        for column, (factor, table) in enumerate(zip(self.space.factors, self.index, strict=True)):
            found[:, column] = table[tuple([matrix[:, group] for group in factor.groups])]
        return found

    def counts(self, genomes: npt.ArrayLike) -> Floats:
        """Returns how often each network runs each entry, `(n, entries)`; errors as for `rows`."""
        rows = self.rows(genomes)
        found = np.zeros((len(rows), self.entries))
        np.add.at(found, (np.arange(len(rows))[:, None], rows), 1.0)
        return found

    def identifiability(self) -> tuple[int, int]:
        """Returns rank and nullity of the system with a row for every network of the space.

        Rows of networks that differ from one network in the groups of a single factor span all rows, since a sum over
        factors has no higher interactions.
        """
        rank = rank_of(self.counts(np.array(list(_spanning(self.space)), np.int64)))
        return rank, self.entries - rank

    def priced(self, target: Target | str, *, seed: int = 0) -> Floats:
        """Returns what a target's estimator says of every entry, `(entries,)` seconds: the physics prior.

        Args:
            target: The accelerator, or its name; `accelzoo.hwmodel.calibrate` makes one of timings.
            seed: Draws the networks in which entries are priced.

        Raises:
            AccelzooError: If the target cannot run an operator, or takes an entry for free.
        """
        chosen = load_target(target) if isinstance(target, str) else target
        total, times = np.zeros(self.entries), np.zeros(self.entries)
        for genome in covering_genomes(self.space, seed=seed).tolist():
            cost = estimate(self.space.decode(tuple(genome)).lower(), chosen)
            if cost.unpriced:
                raise AccelzooError(f"target {chosen.name!r} cannot run {', '.join(cost.unpriced)}")
            for factor, table in zip(self.space.factors, self.index, strict=True):
                entry = int(table[_place(factor, genome)])
                total[entry] += sum([cost.by_op[op].latency_s for op in factor.operators])
                times[entry] += 1
        priced: Floats = total / times
        if not (priced > 0).all():
            raise AccelzooError(f"target {chosen.name!r} prices {int((priced <= 0).sum())} entries at nothing")
        return priced

    def places(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Yields every entry once, with the first factor that has it and its choices there."""
        known: set[int] = set()
        for number, table in enumerate(self.index):
            for place in np.ndindex(*table.shape):
                entry = int(table[place])
                if entry not in known:
                    known.add(entry)
                    yield entry, number, place

    def __repr__(self) -> str:
        return f"LatencyGrid({self.entries:,} entries in {len(self.index)} factors of {self.space!r})"


def rank_of(counts: Floats) -> int:
    """Returns the rank of a system of whole numbers, `(rows, unknowns)`, from the smaller of its Gram matrices."""
    gram = counts @ counts.T if len(counts) < counts.shape[1] else counts.T @ counts
    values = np.linalg.eigvalsh(gram)
    return int((values > _TOLERANCE * max(float(values[-1]), 1e-300)).sum()) if len(values) else 0


def _place(factor: Factor, genome: Sequence[int]) -> tuple[int, ...]:
    return tuple([genome[group] for group in factor.groups])


def _spanning(space: WidthSpace) -> Iterator[tuple[int, ...]]:
    base = (0,) * len(space.sizes)
    yield base
    known = {base}
    for scope in dict.fromkeys([factor.groups for factor in space.factors]):
        for choices in itertools.product(*[range(space.sizes[group]) for group in scope]):
            changed = list(base)
            for group, choice in zip(scope, choices, strict=True):
                changed[group] = choice
            if (genome := tuple(changed)) not in known:
                known.add(genome)
                yield genome
