"""The look-up of a cost table: from genomes to entries to sums, for a chunk of candidates at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError, ShapeError
from accelzoo.hwmodel._table_cut import FLOAT_FIELDS, PEAK_FIELD, SUM_FIELDS, CostTableError, Pieces, UncutError
from accelzoo.hwmodel._table_part import UNKNOWN, Part
from accelzoo.hwmodel._table_probe import Genome, Layout
from accelzoo.hwmodel.cost import Cost

MAX_CELLS = 1 << 25
COLUMN = {name: index for index, name in enumerate(Cost.fields())}

Columns = npt.NDArray[np.intp]
"""Genomes with one row per position, `(positions, n)`."""

Rows = npt.NDArray[np.intp]


class Prices(NamedTuple):
    """Prices of some rows of a chunk.

    `rows` are their numbers, `(m,)`; `values` float64 `(m, fields)`; `unpriced` int64 `(m,)`. The chunk's other rows
    have to be priced as whole networks.
    """

    rows: Rows
    values: npt.NDArray[np.float64]
    unpriced: npt.NDArray[np.int64]


class Lookup:
    """The parts of a space with everything learnt about them.

    Args:
        sizes: Number of choices of each position.
        layout: Which positions choose in which part.
        cutter: Genome → its network, priced and in parts.
        capacity: On-chip bytes for weights beyond which a network is priced as a whole; None without such a limit.
        max_entries: The most entries to learn.

    Raises:
        CostTableError: If a part has too many choices of its own.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        layout: Layout,
        cutter: Callable[[Genome], Pieces],
        capacity: int | None,
        max_entries: int,
    ) -> None:
        self._cutter = cutter
        self._capacity = capacity
        self._max_entries = max_entries
        self.shared = [(position, sizes[position]) for position in layout.shared]
        self.roots = np.full(math.prod([size for _, size in self.shared]), UNKNOWN, np.intp)
        self.parts = [Part(own, [sizes[position] for position in own], MAX_CELLS) for own in layout.local]

    @property
    def entries(self) -> int:
        """Number of entries learnt."""
        return sum(part.entries for part in self.parts)

    def learn(self, genome: Genome) -> Pieces:
        """Prices one network and notes all of its parts.

        Raises:
            ShapeError: If the genome makes no network.
            UncutError: If the network does not fall into parts.
            CostTableError: If it contradicts what was learnt before, or there are too many entries.
        """
        try:
            pieces = self._cutter(genome)
        except CostTableError:
            raise
        except AccelzooError as error:
            raise ShapeError(f"genome {genome} makes no network: {error}") from error
        shared = int(self._shared_code(genome))
        contexts = [part.context((shared, x.entering)) for part, x in zip(self.parts, pieces.parts, strict=True)]
        try:
            self._note_root(shared, contexts[0])
            variants = [
                part.learn_variant(contexts[i], int(part.code(genome)), pieces.parts[i], [*contexts, 0][i + 1])
                for i, part in enumerate(self.parts)
            ]
            if not pieces.streams:
                self._learn_entries(variants, pieces)
        except CostTableError as error:
            raise CostTableError(
                f"genome {genome}: {error}; earlier prices of this table may be wrong: price the space with whole=True"
            ) from None
        if self.entries > self._max_entries:
            each = ", ".join(f"{part.entries:,}" for part in self.parts)
            raise CostTableError(
                f"the table has {self.entries:,} entries ({each} in its parts), max_entries is {self._max_entries:,}: "
                "raise it, or give the space fewer choices per stage or for the whole network"
            )
        return pieces

    def price(self, columns: Columns) -> Prices:
        """Prices what the table can price of a chunk, learning what is missing.

        Raises:
            ShapeError, CostTableError: As `learn` does.
        """
        rows, variants = self.fitting(columns)
        while True:
            own = columns if len(rows) == columns.shape[1] else columns[:, rows]
            try:
                return Prices(rows, *self._sums(self._entries(own, variants)))
            except _AloneError as alone:
                rows, variants = np.delete(rows, alone.row), [np.delete(variant, alone.row) for variant in variants]

    def fitting(self, columns: Columns) -> tuple[Rows, list[Rows]]:
        """Returns the rows that fall into parts and whose weights fit on chip, `(m,)`, and their variants.

        Raises:
            ShapeError, CostTableError: As `learn` does.
        """
        rows = np.arange(columns.shape[1])
        while True:
            try:
                variants = self._variants(columns if len(rows) == columns.shape[1] else columns[:, rows])
            except _AloneError as alone:
                rows = np.delete(rows, alone.row)
                continue
            if self._capacity is not None:
                fits = self._weights(variants) <= self._capacity
                if not fits.all():
                    rows, variants = rows[fits], [variant[fits] for variant in variants]
            return rows, variants

    def _variants(self, columns: Columns) -> list[Rows]:
        """Returns the number of each part's variant, `(n,)` per part."""
        shared = self._shared_code(columns) + np.zeros(columns.shape[1], np.intp)
        context = self._found(columns, lambda: self.roots.take(shared), shared)
        found = []
        for part in self.parts:
            code = part.code(columns, context)
            variant = self._found(columns, partial(_variant, part, code), code)
            context = part.next_context.take(variant)
            found.append(variant)
        return found

    def _entries(self, columns: Columns, variants: Sequence[Rows]) -> list[Rows]:
        """Returns the number of each part's entry, `(n,)` per part, from the last part to the first."""
        following = np.zeros(columns.shape[1], np.intp)
        found = []
        for part, variant in zip(reversed(self.parts), reversed(variants), strict=True):
            key = variant * MAX_CELLS + following
            entry = self._found(columns, partial(_entry, part, variant, following), key)
            following = part.leading_of.take(entry)
            found.append(entry)
        return found[::-1]

    def _found(self, columns: Columns, look: Callable[[], Rows], key: Rows) -> Rows:
        """Looks up once more after learning what was not known; rows with equal keys need the same."""
        found = look()
        if len(found) and found.min() < 0:
            missing = np.flatnonzero(found < 0)
            self._learn_rows(columns, missing[np.unique(key[missing], return_index=True)[1]])
            found = look()
        return found

    def _learn_rows(self, columns: Columns, rows: Rows) -> None:
        for row in rows.tolist():
            try:
                self.learn(tuple(columns[:, row].tolist()))
            except UncutError:
                raise _AloneError(row) from None

    def _learn_entries(self, variants: Sequence[int], pieces: Pieces) -> None:
        for index in reversed(range(len(self.parts))):
            piece = pieces.parts[index]
            leading = self.parts[index - 1].following(piece.leading) if index else 0
            following = self.parts[index].following(piece.following)
            self.parts[index].learn_entry(variants[index], following, piece, leading)

    def _note_root(self, shared: int, context: int) -> None:
        if self.roots[shared] not in (UNKNOWN, context):
            raise CostTableError("equal knobs of the whole network made different inputs")
        self.roots[shared] = context

    def _shared_code(self, columns: Any) -> Any:
        code: Any = 0
        for position, size in self.shared:
            code = code * size + columns[position]
        return code

    def _weights(self, variants: Sequence[Rows]) -> npt.NDArray[np.int64]:
        total: Any = 0
        for part, variant in zip(self.parts, variants, strict=True):
            total = total + part.weight_bytes.take(variant)
        return total

    def _sums(self, entries: Sequence[Rows]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Adds up what the entries hold: prices operator by operator from the first to the last, as `estimate` does."""
        count = len(entries[0])
        priced = np.zeros(count, np.complex128)
        sums = np.zeros((count, len(SUM_FIELDS)), np.int64)
        peak_bytes, unpriced = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for part, entry in zip(self.parts, entries, strict=True):
            # Shorter entries end in zeros, which change no bit of a sum that began with 0.0.
            prices = part.prices.take(entry, axis=0)
            for operator in range(prices.shape[1]):
                priced += prices[:, operator]
            sums += part.sums.take(entry, axis=0)
            np.maximum(peak_bytes, part.peak_bytes.take(entry), out=peak_bytes)
            if part.misses:
                unpriced += part.unpriced.take(entry)
        values = np.empty((count, len(COLUMN)))
        for name, column in zip((*FLOAT_FIELDS, PEAK_FIELD), (priced.real, priced.imag, peak_bytes), strict=True):
            values[:, COLUMN[name]] = column
        for name, column in zip(SUM_FIELDS, sums.T, strict=True):
            values[:, COLUMN[name]] = column
        return values, unpriced


class _AloneError(Exception):
    """The network of one row of a chunk does not fall into parts."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def _variant(part: Part, code: Rows) -> Rows:
    return part.variant_of.reshape(-1).take(code)


def _entry(part: Part, variant: Rows, following: Rows) -> Rows:
    return part.entry_of.reshape(-1).take(variant * part.entry_of.shape[1] + following)
