"""CostTable: every part of a space priced once, candidates priced by look-up, equal bit for bit to `estimate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.hwmodel._table_build import build
from accelzoo.hwmodel._table_cut import (
    CostTableError,
    Estimator,
    MakersMatterError,
    Pieces,
    Place,
    UncutError,
    cut,
    weight_capacity,
)
from accelzoo.hwmodel._table_lookup import Columns, Lookup, Prices
from accelzoo.hwmodel._table_probe import Genome, Layout, find_layout, random_genome
from accelzoo.hwmodel._table_reach import looks_around
from accelzoo.hwmodel.cost import Cost
from accelzoo.hwmodel.estimate import estimate as estimate_graph
from accelzoo.hwmodel.target import Target, load_target

CHUNK = 2048  # candidates whose look-ups stay in the second-level cache
CHECKS = 16
MAX_ENTRIES = 500_000

T = TypeVar("T")

__all__ = ["CostTable", "CostTableError", "PricedSpace"]


class PricedSpace(Protocol):
    """What a table needs of a space; `knobs` that say where they stand (`accelzoo.knobs.Space`) make it fast."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of choices of each position."""

    def decode(self, genome: Any) -> Any:
        """Returns the architecture of a genome; its `lower()` gives the graph."""


class CostTable:
    """Prices the genomes of a space by look-up.

    The network is cut into parts: the stem, every stage with knobs of its own, the head. What a part costs is fixed by
    its own choices, by what enters it (shapes, knobs of the whole network such as `width_multiplier` or `input_size`,
    and what the target's `context_radius` reaches before it) and by what follows it (what that reaches behind it). Each
    such entry is priced once, inside a network that has it, by `estimate` itself; a candidate is the sum of its parts'
    operators from left to right, which are the additions that `estimate` makes, in its order.

    Entries are learnt when a candidate first needs them, or ahead with `build`. Two sorts of genomes are priced by
    `estimate` as a whole, exact and slow: those whose weights do not fit the target's `weight_sram_bytes`, so that
    every operator's price depends on all others, and networks that do not fall into parts. So is the whole space if its
    knobs do not say where they stand: then `whole_because` says why.

    What it rests on: a knob's `path` says which part it concerns, and prices do not look further than `context_radius`
    operators. Both are tried at the start (every choice of every knob is changed once in two random networks; knobs
    that reach further are treated as concerning the whole network) and whenever a network is learnt.

    Args:
        space: The space.
        target: The accelerator, or its name. Its `context_radius` is how many operators (of a learned target:
            subgraphs) to either side an operator's price depends on; 0 for the analytic estimator.
        estimate: Prices a graph on a target; totals must be sums of rows.
        whole: Whether to price every genome as a whole, for spaces that break what the table rests on.
        max_entries: The most entries to learn.
        seed: Draws the genomes of the checks.

    Raises:
        CostTableError: If the table disagrees with `estimate`, or would be too large.
    """

    def __init__(
        self,
        space: PricedSpace,
        target: Target | str,
        *,
        estimate: Estimator = estimate_graph,
        whole: bool = False,
        max_entries: int = MAX_ENTRIES,
        seed: int = 0,
    ) -> None:
        self.space = space
        self.target = load_target(target) if isinstance(target, str) else target
        self.sizes = tuple([int(size) for size in space.sizes])
        self._estimate = estimate
        self._makers = False
        self._max_entries = max_entries
        self._seed = seed
        self._layout = Layout(whole_because="asked for" if whole else "")
        try:
            self._start()
        except MakersMatterError:
            self._makers = True
            self._start()

    @property
    def whole_because(self) -> str:
        """Why every genome is priced as a whole; empty if the table is made of parts."""
        return self._layout.whole_because

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns of `price`."""
        return Cost.fields()

    @property
    def entries(self) -> int:
        """Number of entries learnt so far, over all parts."""
        return self._lookup.entries

    def __repr__(self) -> str:
        how = f"as a whole: {self.whole_because}" if self.whole_because else f"{len(self._lookup.parts)} parts"
        return f"CostTable({self.space!r}, {self.target.name!r}, {how}, {self.entries:,} entries)"

    def price(self, genomes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Prices genomes.

        Operators that the target cannot run add nothing here either, as in `Cost`: ask `unpriced` for them.

        Args:
            genomes: Integers `(n, positions)`, one choice per position.

        Returns:
            float64 `(n, fields)`, in the order of `Cost.fields()`: seconds, joules, bytes, MACs.

        Raises:
            ShapeError: If the genomes have the wrong shape or a choice is out of range, or a genome makes no network.
            CostTableError: If the table grew too large, or what it rests on does not hold.
        """
        return self._price(genomes)[0]

    def unpriced(self, genomes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Returns how many operators of each genome the target cannot run, `(n,)`: where not 0, prices are too low.

        Raises:
            ShapeError, CostTableError: As `price` does.
        """
        return self._price(genomes)[1]

    def totals(self, genomes: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Returns what `price` and `unpriced` return, for one look-up.

        Raises:
            ShapeError, CostTableError: As `price` does.
        """
        return self._price(genomes)

    def tabulated(self, genomes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tells which genomes `price` looks up, `(n,)`; the others, whose weights do not fit on chip, take it long.

        A search that has no use for those asks here first.

        Raises:
            ShapeError, CostTableError: As `price` does.
        """
        matrix = self._checked(genomes)
        found = np.zeros(len(matrix), np.bool_)
        for chunk, columns in self._chunks(matrix):
            if not self.whole_because:
                found[chunk][self._restarting(partial(self._fitting, columns))] = True
        return found

    def build(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Learns ahead what genomes may need, so that none of them waits.

        Walks through the parts from the first to the last, every own choice under every context met; then, for a target
        that looks beyond an operator, in front of every next part. What it misses is learnt when it is needed.

        Args:
            progress: Called with the number of combinations done and of those known of so far, which grows as new
                shapes are met.

        Raises:
            CostTableError: If there are more entries than `max_entries`; what was learnt is kept.
        """
        if not self.whole_because:
            self._restarting(lambda: build(self._lookup, self.sizes, looks_around(self.target), progress or _silent))

    def _start(self) -> None:
        rng = draw.generator(self._seed)
        if not self.whole_because:
            self._layout = find_layout(self.space, self.sizes, self._cut, rng)
        capacity = weight_capacity(self.target)
        self._lookup = Lookup(self.sizes, self._layout, self._pieces, capacity, self._max_entries)
        if not self.whole_because:
            self._check(rng)

    def with_lookup(self, call: Callable[[Lookup], T]) -> T:
        """Calls with what is known of the parts, which learns on demand; again from the start if that sees too little.

        Args:
            call: Takes the look-up; it must not keep it.
        """
        return self._restarting(lambda: call(self._lookup))

    def _restarting(self, call: Callable[[], T]) -> T:
        """Calls; where parts turn out to depend on what makes their inputs, starts anew with that seen first.

        What was priced until then did not depend on it.
        """
        try:
            return call()
        except MakersMatterError:
            self._makers = True
            self._start()
            return call()

    def _price(self, genomes: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        matrix = self._checked(genomes)
        values = np.empty((len(matrix), len(self.fields)))
        unpriced = np.empty(len(matrix), np.int64)
        for chunk, columns in self._chunks(matrix):
            found = None if self.whole_because else self._restarting(partial(self._looked_up, columns))
            if found is not None and len(found.rows) == columns.shape[1]:
                values[chunk], unpriced[chunk] = found.values, found.unpriced
            else:
                values[chunk], unpriced[chunk] = self._completed(columns, found)
        return values, unpriced

    def _chunks(self, matrix: npt.NDArray[Any]) -> Iterator[tuple[slice, Columns]]:
        for start in range(0, len(matrix), CHUNK):
            chunk = slice(start, start + CHUNK)
            columns = np.ascontiguousarray(matrix[chunk].T, dtype=np.intp)
            self._check_range(columns, start)
            yield chunk, columns

    def _fitting(self, columns: Columns) -> npt.NDArray[np.intp]:
        return self._lookup.fitting(columns)[0]

    def _looked_up(self, columns: Columns) -> Prices:
        return self._lookup.price(columns)

    def _completed(
        self, columns: Columns, found: Prices | None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Prices the rows of a chunk that the look-up leaves out as whole networks, equal ones once."""
        values = np.empty((columns.shape[1], len(self.fields)))
        unpriced = np.empty(columns.shape[1], np.int64)
        left = np.arange(columns.shape[1])
        if found is not None:
            values[found.rows], unpriced[found.rows] = found.values, found.unpriced
            left = np.setdiff1d(left, found.rows)
        genomes, groups = np.unique(columns[:, left], axis=1, return_inverse=True)
        groups = groups.reshape(-1)
        for group, genome in enumerate(genomes.T.tolist()):
            cost = self._whole(tuple(genome))
            values[left[groups == group]] = [getattr(cost, name) for name in self.fields]
            unpriced[left[groups == group]] = len(cost.unpriced)
        return values, unpriced

    def _checked(self, genomes: npt.ArrayLike) -> npt.NDArray[Any]:
        matrix = np.asarray(genomes)
        positions = len(self.sizes)
        if matrix.ndim != 2 or matrix.shape[1] != positions or not np.issubdtype(matrix.dtype, np.integer):
            raise ShapeError(
                f"genomes of shape {matrix.shape} and type {matrix.dtype} must be integers of shape (n, {positions})"
            )
        return matrix

    def _check_range(self, columns: Columns, first: int) -> None:
        # Read as unsigned, what is negative is larger than any size.
        wrong = columns.view(np.uintp) >= np.array(self.sizes, np.uintp)[:, None]
        if wrong.any():
            row, position = np.argwhere(wrong.T)[0].tolist()
            knobs = getattr(self.space, "knobs", None)
            name = f" ({getattr(knobs[position], 'name', '')})" if knobs else ""
            raise ShapeError(
                f"row {first + row}: choice {columns[position, row]} at position {position}{name} must be in "
                f"0 … {self.sizes[position] - 1}"
            )

    def _whole(self, genome: Genome) -> Cost:
        try:
            return self._estimate(self.space.decode(genome).lower(), self.target)
        except AccelzooError as error:
            raise ShapeError(f"genome {genome} makes no network: {error}") from error

    def _cut(self, genome: Genome, places: Sequence[Place]) -> Pieces:
        return cut(self.space.decode(genome).lower(), self.target, self._estimate, places, self._makers)

    def _pieces(self, genome: Genome) -> Pieces:
        return self._cut(genome, self._layout.places)

    def _check(self, rng: np.random.Generator) -> None:
        """Prices random genomes both ways, once all that they need is known."""
        costs: dict[Genome, Cost] = {}
        for _ in range(CHECKS):
            genome = random_genome(self.sizes, rng)
            try:
                costs[genome] = self._lookup.learn(genome).cost
            except (ShapeError, UncutError):
                continue  # refused, or priced as a whole
        for genome, cost in costs.items():
            wanted = np.array([getattr(cost, name) for name in self.fields], np.float64)
            (values,), (unpriced,) = self._price([genome])
            if values.tobytes() != wanted.tobytes() or unpriced != len(cost.unpriced):
                raise CostTableError(f"genome {genome}: the table says {values}, estimate says {wanted}")


def _silent(done: int, known: int) -> None:
    """Reports nothing."""
