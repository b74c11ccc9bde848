"""An additive problem: what every choice adds to every column, as a network of layers whose paths are the genomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.search.exact._arrays import layers_of, numbers
from accelzoo.search.space import GenomeMatrix

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One step of every path: arcs from the states before it to the states behind it.

    A state is what the layers before it hand on, as far as the layers behind it depend on it: nothing where costs are
    sums over positions, the last choice where neighbours cost something together, the entering shape in a network.

    Attributes:
        positions: The positions of a genome that this layer sets.
        choices: What each arc sets them to, `(arcs, len(positions))`.
        source: State before each arc, `(arcs,)`.
        target: State behind each arc, `(arcs,)`.
        values: What each arc adds, `(arcs, columns)`.
    """

    positions: tuple[int, ...]
    choices: Indices
    source: Indices
    target: Indices
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdditiveTable:
    """An additive problem over one or several columns (objectives and costs); `of` makes one from plain arrays.

    Values are float64 and a genome's total is the sum over its layers from the first to the last, in that order, so
    totals are the same bits on every machine. Whole numbers are summed without any rounding.

    Attributes:
        columns: Names of the columns.
        sizes: The number of choices of each position.
        layers: The layers in order; the first begins in state 0, the last ends in state 0.
        higher_is_better: The columns of which more is better; of the others less is.
        limits: The most that columns may reach whatever else is asked, such as on-chip memory.

    Raises:
        AccelzooError: If no path leads from the first to the last layer.
        ConfigError: If a name in `higher_is_better` or `limits` is no column.
    """

    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    layers: tuple[Layer, ...]
    higher_is_better: frozenset[str] = frozenset()
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted({*self.higher_is_better, *self.limits} - set(self.columns))
        if unknown:
            raise ConfigError([f"no column is called {name!r}; columns: {', '.join(self.columns)}" for name in unknown])
        object.__setattr__(self, "layers", _trimmed(self.layers))
        for index, layer in enumerate(self.layers):
            bad = np.argwhere(~np.isfinite(layer.values))
            if len(bad):
                arc, column = bad[0].tolist()
                what = f"column {self.columns[column]!r}, positions {layer.positions}, choices {layer.choices[arc]}"
                raise ConfigError([f"layer {index}: {what}: {layer.values[arc, column]} is no finite number"])
        with np.errstate(over="ignore"):
            sizes = self.magnitudes()
        for name, largest, whole in zip(self.columns, sizes.tolist(), self.whole().tolist(), strict=True):
            if not math.isfinite(largest) or (whole and largest > 2**53):
                raise ConfigError([f"column {name!r}: totals up to {largest:.3g} are beyond what float64 can add up"])

    @classmethod
    def of(
        cls,
        each: Mapping[str, Sequence[npt.ArrayLike]],
        between: Mapping[str, Sequence[npt.ArrayLike | None]] | None = None,
        *,
        higher_is_better: Sequence[str] = (),
    ) -> AdditiveTable:
        """Makes a problem from plain arrays.

        Args:
            each: Column → for every position `i` what its choices add, `(choices_i,)`.
            between: Column → for every pair of neighbours `i`, `i + 1` what their choices add together,
                `(choices_i, choices_{i + 1})`, or None; one fewer than positions. A new name is a column of its own.
            higher_is_better: Columns of which more is better.

        Raises:
            ConfigError: All faults: empty positions, shapes that do not fit, NaN or infinite values and where they are.
        """
        columns, sizes, singles, pairs = numbers(each, between or {})
        layers = [
            Layer(positions=(i,), choices=choices, source=source, target=target, values=values)
            for i, (choices, source, target, values) in enumerate(layers_of(columns, sizes, singles, pairs))
        ]
        better = frozenset(higher_is_better)
        return cls(columns=columns, sizes=sizes, layers=tuple(layers), higher_is_better=better)

    def with_column(
        self, name: str, each: Sequence[npt.ArrayLike], *, higher_is_better: bool = False
    ) -> AdditiveTable:
        """Returns the table with one more column, a sum over positions.

        Args:
            name: What to call it.
            each: For every position what its choices add, `(choices_i,)`.
            higher_is_better: Whether more of it is better.

        Raises:
            ConfigError: If the name is taken or the values do not fit.
        """
        _, sizes, singles, _ = numbers({name: each}, {})
        if name in self.columns or sizes != self.sizes:
            fault = "there is one already" if name in self.columns else f"choices {sizes} must be {self.sizes}"
            raise ConfigError([f"column {name!r}: {fault}"])
        layers = []
        for layer in self.layers:
            added = np.zeros(len(layer.source))
            for place, position in enumerate(layer.positions):
                added += singles[name][position][layer.choices[:, place]]
            layers.append(replace(layer, values=np.column_stack([layer.values, added])))
        better = self.higher_is_better | ({name} if higher_is_better else set())
        return replace(self, columns=(*self.columns, name), layers=tuple(layers), higher_is_better=better)

    def totals(self, genomes: npt.ArrayLike) -> Floats:
        """Adds up genomes.

        Args:
            genomes: Integers `(n, positions)`.

        Returns:
            float64 `(n, columns)`.

        Raises:
            ShapeError: If the shape is wrong, or the table has no such genome.
        """
        matrix = np.asarray(genomes)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.sizes) or not np.issubdtype(matrix.dtype, np.integer):
            wanted = f"integers of shape (n, {len(self.sizes)})"
            raise ShapeError(f"genomes of shape {matrix.shape} and type {matrix.dtype} must be {wanted}")
        inside = ((matrix >= 0) & (matrix < np.array(self.sizes))).all(axis=1)
        rows = np.flatnonzero(inside)
        states, sums = np.zeros(len(rows), np.int64), np.zeros((len(rows), len(self.columns)))
        for layer in self.layers:
            rows, arcs, sums = self._step(layer, matrix, rows, states, sums)
            states = layer.target[arcs]
        found = np.zeros((len(matrix), len(self.columns)))
        found[rows] = sums
        missing = np.setdiff1d(np.arange(len(matrix)), rows)
        if len(missing):
            genome = tuple(matrix[missing[0]].tolist())
            raise ShapeError(f"row {missing[0]}: the table has no genome {genome} (choices per position: {self.sizes})")
        return found

    def _step(
        self, layer: Layer, matrix: GenomeMatrix, rows: Indices, states: Indices, sums: Floats
    ) -> tuple[Indices, Indices, Floats]:
        """Follows every row through one layer; where its next state depends on later choices, into every such state."""
        sizes = [self.sizes[position] for position in layer.positions]
        arc_keys = _keys(layer.source, layer.choices, sizes)
        order = np.argsort(arc_keys, kind="stable")
        keys = _keys(states, matrix[rows][:, layer.positions], sizes)
        first = np.searchsorted(arc_keys[order], keys, side="left")
        counts = np.searchsorted(arc_keys[order], keys, side="right") - first
        parents = np.repeat(np.arange(len(rows)), counts)
        arcs = order[spans(first, counts)]
        return rows[parents], arcs, sums[parents] + layer.values[arcs]

    def magnitudes(self) -> Floats:
        """Returns a bound on the magnitude of any partial sum, `(columns,)`."""
        total = np.zeros(len(self.columns))
        for layer in self.layers:
            total += np.abs(layer.values).max(axis=0)
        return total

    def whole(self) -> npt.NDArray[np.bool_]:
        """Tells which columns hold whole numbers alone, `(columns,)`."""
        return np.logical_and.reduce([(layer.values == np.floor(layer.values)).all(axis=0) for layer in self.layers])

    def __repr__(self) -> str:
        arcs = sum(len(layer.source) for layer in self.layers)
        names = ", ".join(self.columns)
        return f"AdditiveTable({names}; {len(self.sizes)} positions, {len(self.layers)} layers, {arcs:,} arcs)"


def spans(first: Indices, counts: Indices) -> Indices:
    """Returns `first[0], first[0] + 1, …` for `counts[0]` numbers, then the same for the next, in one array."""
    ends = np.cumsum(counts)
    found: Indices = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - counts), counts)
    return found


def _keys(states: Indices, choices: Indices, sizes: Sequence[int]) -> Indices:
    key = states.astype(np.int64)
    for place, size in enumerate(sizes):
        key = key * size + choices[:, place]
    return key


def _trimmed(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Returns the layers without arcs that lie on no path from state 0 to state 0, ordered by source."""
    if not layers:
        raise AccelzooError("an additive problem needs at least one position")
    kept = []
    reached = np.array([0])
    for layer in layers:
        used = np.flatnonzero(np.isin(layer.source, reached))
        kept.append(used)
        reached = np.unique(layer.target[used])
    wanted = np.array([0])
    trimmed = []
    for layer, used in zip(reversed(layers), reversed(kept), strict=True):
        arcs = used[np.isin(layer.target[used], wanted)]
        arcs = arcs[np.argsort(layer.source[arcs], kind="stable")]
        if not len(arcs):
            raise AccelzooError("the additive problem has no genome at all: every path ends before the last layer")
        trimmed.append(
            replace(
                layer,
                choices=layer.choices[arcs],
                source=layer.source[arcs],
                target=layer.target[arcs],
                values=np.asarray(layer.values[arcs], np.float64),
            )
        )
        for array in (trimmed[-1].choices, trimmed[-1].source, trimmed[-1].target, trimmed[-1].values):
            array.flags.writeable = False
        wanted = np.unique(layer.source[arcs])
    return tuple(trimmed[::-1])
