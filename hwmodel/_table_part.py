"""What a cost table remembers of one part, in arrays that candidates are looked up in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo.hwmodel._table_cut import SUM_FIELDS, CostTableError, Piece

Indices = npt.NDArray[np.intp]
UNKNOWN = -1


class Part:
    """One part of a space: every variant and entry of it that has been met.

    A *variant* is the part's own choices under one entering context: its operators, its weights and the context it
    hands on are known. An *entry* is a variant together with what follows, as far as the target looks: it has a price.
    Both are numbered from 0 in the order in which they were met.

    Args:
        positions: The positions of a genome that choose in this part.
        sizes: The number of choices of each.
        max_cells: The most cells that an array of the index may have.
    """

    def __init__(self, positions: Sequence[int], sizes: Sequence[int], max_cells: int) -> None:
        self.positions = tuple(positions)
        self.sizes = tuple(sizes)
        self.choices = math.prod(sizes)
        self._max_cells = max_cells
        self._contexts: dict[Any, int] = {}
        self._followings: dict[Any, int] = {}
        self._contents: list[int] = []
        self._priced: list[Any] = []
        self.variant_of = np.full((0, self.choices), UNKNOWN, np.intp)  # (entering contexts, own choices)
        self.entry_of = np.full((1, 1), UNKNOWN, np.intp)  # (variants, followings)
        self.next_context = np.zeros(1, np.intp)  # (variants,): the entering context of the next part
        self.weight_bytes = np.zeros(1, np.int64)  # (variants,)
        self.leading_of = np.zeros(1, np.intp)  # (entries,): the following of the part before
        self.sums = np.zeros((1, len(SUM_FIELDS)), np.int64)  # (entries, sum fields)
        self.peak_bytes = np.zeros(1, np.int64)  # (entries,)
        self.unpriced = np.zeros(1, np.int64)  # (entries,)
        self.misses = False  # whether any entry has an operator without a price
        self.prices = np.zeros((1, 0), np.complex128)  # (entries, operators): latency_s + energy_j · 1j

    @property
    def variants(self) -> int:
        """Number of variants met."""
        return len(self._contents)

    @property
    def entries(self) -> int:
        """Number of entries met."""
        return len(self._priced)

    def code(self, columns: Sequence[Any] | npt.NDArray[np.intp], like: Any = 0) -> Any:
        """Returns the number of the part's own choices, in 0 … choices − 1; `columns` holds one value per position."""
        code = like
        for position, size in zip(self.positions, self.sizes, strict=True):
            code = code * size + columns[position]
        return code

    def context(self, content: Any) -> int:
        """Returns the number of an entering context, a new one if it has not been met."""
        number = self._contexts.setdefault(content, len(self._contexts))
        self.variant_of = self._grown(self.variant_of, (number + 1, self.choices), UNKNOWN)
        return number

    def following(self, content: Any) -> int:
        """Returns the number of what follows the part, a new one if it has not been met."""
        number = self._followings.setdefault(content, len(self._followings))
        self.entry_of = self._grown(self.entry_of, (len(self.entry_of), number + 1), UNKNOWN)
        return number

    def learn_variant(self, context: int, code: int, piece: Piece, next_context: int) -> int:
        """Notes a variant, or checks it against what is known of it; returns its number.

        Raises:
            CostTableError: If equal choices under an equal context made different operators.
        """
        number = int(self.variant_of[context, code])
        if number == UNKNOWN:
            number = self.variants
            self._contents.append(piece.content)
            self.variant_of[context, code] = number
            self.entry_of = self._grown(self.entry_of, (number + 1, self.entry_of.shape[1]), UNKNOWN)
            self.next_context = self._grown(self.next_context, (number + 1,), 0)
            self.weight_bytes = self._grown(self.weight_bytes, (number + 1,), 0)
            self.next_context[number] = next_context
            self.weight_bytes[number] = piece.weight_bytes
        elif (self._contents[number], self.next_context[number]) != (piece.content, next_context):
            raise CostTableError("equal choices made different operators: some other knob reaches into this part")
        return number

    def learn_entry(self, variant: int, following: int, piece: Piece, leading: int) -> None:
        """Notes the price of a variant in front of what follows, or checks it against what is known of it.

        Raises:
            CostTableError: If the price differs.
        """
        number = int(self.entry_of[variant, following])
        priced = (piece.prices, piece.sums, piece.peak_bytes, piece.unpriced, leading)
        if number != UNKNOWN:
            if self._priced[number] != hash(priced):
                raise CostTableError("equal operators among equal neighbours were priced differently")
            return
        number = self.entries
        self._priced.append(hash(priced))
        self.entry_of[variant, following] = number
        self.leading_of = self._grown(self.leading_of, (number + 1,), 0)
        self.sums = self._grown(self.sums, (number + 1, len(SUM_FIELDS)), 0)
        self.peak_bytes = self._grown(self.peak_bytes, (number + 1,), 0)
        self.unpriced = self._grown(self.unpriced, (number + 1,), 0)
        self.prices = self._grown(self.prices, (number + 1, len(piece.prices)), 0)
        self.leading_of[number] = leading
        self.sums[number] = piece.sums
        self.peak_bytes[number] = piece.peak_bytes
        self.unpriced[number] = piece.unpriced
        self.misses = self.misses or piece.unpriced > 0
        self.prices[number, : len(piece.prices)] = piece.prices

    def _grown(self, array: npt.NDArray[Any], shape: tuple[int, ...], fill: int) -> npt.NDArray[Any]:
        """Returns the array with room for `shape`; the first axis doubles, so that growing costs little."""
        if all(have >= need for have, need in zip(array.shape, shape, strict=True)):
            return array
        rows = len(array) if len(array) >= shape[0] else max(shape[0], 2 * len(array))
        wanted = (rows, *[max(have, need) for have, need in zip(array.shape[1:], shape[1:], strict=True)])
        if math.prod(wanted) > self._max_cells:
            cells = " × ".join(f"{size:,}" for size in wanted)
            raise CostTableError(
                f"a part with {self.choices:,} choices of its own, {len(self._contexts):,} entering contexts and "
                f"{len(self._followings):,} followings needs {cells} cells; the limit is {self._max_cells:,}"
            )
        grown = np.full(wanted, fill, array.dtype)
        grown[tuple([slice(size) for size in array.shape])] = array
        return grown
