"""What the widths of a space cost and lose: columns of numbers over the factors of its graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.hwmodel import Cost, Target, load_target
from accelzoo.hwmodel._table_cut import weight_capacity
from accelzoo.search.exact import AdditiveTable, Layer
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.width._priced import price_factors
from accelzoo.search.width._sweep import Sweep, best_order, reading_order
from accelzoo.search.width.space import WidthSpace

Floats = npt.NDArray[np.float64]
PEAK, WEIGHTS = "peak_activation_bytes", "weight_bytes"
UNLIMITED = 1 << 60
SUMS = tuple(name for name in Cost.fields() if name != PEAK)


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthCosts:
    """Additive columns over a factor graph, less is better: a genome's total is the sum over the factors.

    Make one with `of` from arrays, or with `priced` from a space and a target; then add what is learnt about errors
    with `with_column`.

    Attributes:
        widths: The channel counts of every group.
        names: What the groups are called.
        scopes: The groups of every factor, ascending, each set of groups at most once.
        columns: Column → for every factor its values, `(choices of its groups…,)`.
        limits: The most that columns may reach whatever else is asked, such as on-chip memory.
        peaks: For every factor the most activation bytes alive in it, or None where that is not known. A network's peak
            is the largest of them, so it can be budgeted but is no column.
    """

    widths: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    scopes: tuple[tuple[int, ...], ...]
    columns: Mapping[str, tuple[Floats, ...]]
    limits: Mapping[str, float] = field(default_factory=dict)
    peaks: tuple[Floats, ...] | None = None

    @classmethod
    def of(
        cls,
        widths: Sequence[Sequence[int]],
        columns: Mapping[str, Mapping[tuple[int, ...], npt.ArrayLike]],
        *,
        names: Sequence[str] | None = None,
    ) -> WidthCosts:
        """Makes costs of plain arrays.

        Args:
            widths: The channel counts of every group.
            columns: Column → groups of a factor, ascending → its values, `(choices of its groups…,)`.
            names: What the groups are called; `group 0` … by default.

        Raises:
            ConfigError: All faults: no group or column, unknown groups, shapes that do not fit, numbers that are not
                finite.
        """
        grid = tuple([tuple(map(int, choices)) for choices in widths])
        labels = tuple(names) if names is not None else tuple([f"group {index}" for index in range(len(grid))])
        if len(labels) != len(grid):
            raise ConfigError([f"names: {len(labels)} for {len(grid)} groups"])
        faults = [f"{labels[index]}: no width to choose" for index, choices in enumerate(grid) if not choices]
        if not grid or not columns:
            faults.append("costs need at least one group and one column")
        checked: dict[str, dict[tuple[int, ...], Floats]] = {name: {} for name in columns}
        for name, factors in columns.items():
            for scope, values in factors.items():
                array = _checked(name, scope, values, grid, faults)
                if array is not None:
                    checked[name][tuple(scope)] = array
        if faults:
            raise ConfigError(faults)
        return cls(widths=grid, names=labels, scopes=(), columns={}).joined(checked)

    @classmethod
    def priced(
        cls,
        space: WidthSpace,
        target: Target | str,
        columns: Sequence[str] = ("latency_s",),
        *,
        on_chip: bool = True,
        seed: int = 0,
    ) -> WidthCosts:
        """Prices every operator at every width on a target, by networks that cover all pairs of widths.

        Exact where an operator's price depends on its own shapes and what is alive beside it. Where a target looks at
        its neighbours (`context_radius`), sums are near `estimate`, not equal to it: what that makes of the chosen
        networks, `close_loop` finds and mends, whoever measures.

        Args:
            space: The widths.
            target: The accelerator, or its name.
            columns: Fields of `Cost` that are sums; peak activation memory is always known besides.
            on_chip: On a target with `weight_sram_bytes`, price all networks as if their weights fitted and limit
                `weight_bytes` to what does, so that prices are sums; else as they come, some networks streaming theirs.
            seed: Draws which networks are priced.

        Raises:
            ConfigError: If a column is none of the fields.
            AccelzooError: If the target cannot run an operator of the network.
        """
        unknown = [name for name in columns if name not in SUMS]
        if unknown or not columns:
            raise ConfigError([f"columns: {name!r} is none of {', '.join(SUMS)}" for name in unknown or [""]])
        chosen = load_target(target) if isinstance(target, str) else target
        capacity = weight_capacity(chosen) if on_chip else None
        if capacity is not None:
            chosen = replace(chosen, weight_sram_bytes=UNLIMITED)
        names = tuple(dict.fromkeys([*columns, *([] if capacity is None else [WEIGHTS])]))
        tables, peaks = price_factors(space, chosen, names, seed)
        made = cls(widths=space.widths, names=tuple([group.name for group in space.groups]), scopes=(), columns={})
        scopes = [factor.groups for factor in space.factors]
        made = made.joined({name: list(zip(scopes, values, strict=True)) for name, values in tables.items()})
        made = made._with_peaks(list(zip(scopes, peaks, strict=True)))
        return made if capacity is None else made._limited(capacity, WEIGHTS in columns)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of widths of each group."""
        return tuple([len(choices) for choices in self.widths])

    def digest(self) -> str:
        """`sha256:…` over widths, columns, limits and peaks.

        Values have nine significant digits in it, so that sums in another order make no other costs.
        """
        parts = {**self.columns, **({} if self.peaks is None else {"peaks": self.peaks})}
        facts = {
            "widths": [list(choices) for choices in self.widths],
            "scopes": [list(scope) for scope in self.scopes],
            "limits": dict(self.limits),
            "columns": {name: [_rounded(table) for table in tables] for name, tables in parts.items()},
        }
        return config.digest(facts)

    def with_column(self, name: str, factors: Mapping[tuple[int, ...], npt.ArrayLike]) -> WidthCosts:
        """Returns the costs with a column more, or with another one in the place of that name.

        Args:
            name: What to call it.
            factors: Groups of a factor, ascending → values, `(choices of its groups…,)`.

        Raises:
            ConfigError: As `of`.
        """
        faults: list[str] = []
        arrays = {tuple(s): _checked(name, s, values, self.widths, faults) for s, values in factors.items()}
        if faults:
            raise ConfigError(faults)
        kept = self._changed(columns={key: value for key, value in self.columns.items() if key != name})
        return kept.joined({name: {scope: array for scope, array in arrays.items() if array is not None}})

    def with_errors(self, errors: Sequence[npt.ArrayLike], name: str = "error") -> WidthCosts:
        """Returns the costs with a column that is a sum over groups: `(choices,)` for each."""
        if len(errors) != len(self.widths):
            raise ConfigError([f"column {name!r}: {len(errors)} arrays for {len(self.widths)} groups"])
        return self.with_column(name, {(index,): values for index, values in enumerate(errors)})

    def joined(
        self,
        columns: Mapping[str, Mapping[tuple[int, ...], Floats] | Iterable[tuple[tuple[int, ...], Floats]]],
    ) -> WidthCosts:
        """Returns the costs with more columns; values of one set of groups are added up."""
        pairs = {
            name: list(given.items()) if isinstance(given, Mapping) else list(given) for name, given in columns.items()
        }
        scopes = list(dict.fromkeys([*self.scopes, *[scope for given in pairs.values() for scope, _ in given]]))
        blank = [np.zeros([self.sizes[group] for group in scope]) for scope in scopes]
        made: dict[str, tuple[Floats, ...]] = {}
        for name, old in self.columns.items():
            made[name] = (*old, *blank[len(old) :])
        for name, given in pairs.items():
            fresh = [array.copy() for array in blank]
            for scope, values in given:
                fresh[scopes.index(scope)] += values
            made[name] = tuple(fresh)
        peaks = None if self.peaks is None else (*self.peaks, *blank[len(self.peaks) :])
        return self._changed(scopes=tuple(scopes), columns=made, peaks=peaks)

    def totals(self, genomes: npt.ArrayLike) -> Floats:
        """Adds up genomes, `(n, groups)` → `(n, columns)`, in the exact methods' order: to the same bits.

        Raises:
            ShapeError: If the genomes have the wrong shape or a choice is out of range.
        """
        matrix = self._checked(genomes)
        found = np.zeros((len(matrix), len(self.columns)))
        for _, numbers in self._reading:
            step = np.zeros_like(found)
            for number in numbers:
                place = tuple([matrix[:, group] for group in self.scopes[number]])
                for column, tables in enumerate(self.columns.values()):
                    step[:, column] += tables[number][place]
            found += step
        return found

    def peak_of(self, genomes: npt.ArrayLike) -> Floats:
        """Returns the most activation bytes alive at once, `(n,)`.

        Raises:
            AccelzooError: If it is not known.
            ShapeError: As `totals`.
        """
        matrix = self._checked(genomes)
        if self.peaks is None:
            raise AccelzooError(f"these costs know nothing of {PEAK}: make them with WidthCosts.priced")
        rows = [table[tuple([matrix[:, g] for g in s])] for s, table in zip(self.scopes, self.peaks, strict=True)]
        return np.max([np.broadcast_to(row, len(matrix)) for row in rows], axis=0)

    def forbidden(self, most_peak: float) -> list[Floats]:
        """Returns for every factor inf where it has more activation bytes alive, else 0."""
        if self.peaks is None or most_peak == math.inf:
            return [np.zeros(table.shape) for table in next(iter(self.columns.values()))]
        return [np.where(table > most_peak, math.inf, 0.0) for table in self.peaks]

    @cached_property
    def _reading(self) -> list[tuple[int, list[int]]]:
        return reading_order(best_order(self.sizes, self.scopes)[0], self.scopes)

    @cached_property
    def sweep(self) -> Sweep:
        """The steps of dynamic programming over the factors.

        Raises:
            TooWideError: If the graph has too many loops.
        """
        return Sweep(self.sizes, self.scopes)

    def additive(self, most_peak: float = math.inf) -> AdditiveTable:
        """Returns the problem as layers whose paths are the genomes, for `accelzoo.search.exact`.

        Args:
            most_peak: Leave out what has more activation bytes alive.

        Raises:
            TooWideError: If the graph has too many loops.
            AccelzooError: If nothing is left.
        """
        return self._table if most_peak == math.inf or self.peaks is None else self._layers(most_peak)

    @cached_property
    def _table(self) -> AdditiveTable:
        return self._layers(math.inf)

    def _layers(self, most_peak: float) -> AdditiveTable:
        sweep = self.sweep
        values = [sweep.arc_values(tables) for tables in self.columns.values()]
        open_arcs = sweep.arc_values(self.forbidden(most_peak))
        layers = []
        for index, step in enumerate(sweep.steps):
            kept = np.flatnonzero(open_arcs[index] == 0)
            layers.append(
                Layer(
                    positions=(step.group,),
                    choices=step.choice[kept, None],
                    source=step.source[kept],
                    target=step.target[kept],
                    values=np.column_stack([column[index][kept] for column in values]),
                )
            )
        return AdditiveTable(columns=tuple(self.columns), sizes=self.sizes, layers=tuple(layers))

    def _changed(self, **changes: Any) -> WidthCosts:
        """Returns the costs with other fields; errors that are learnt again and again do not need other steps."""
        found = replace(self, **changes)
        if found.scopes == self.scopes:
            found.__dict__.update({x: self.__dict__[x] for x in ("sweep", "_reading") if x in self.__dict__})
        return found

    def _limited(self, capacity: int, asked: bool) -> WidthCosts:
        """Limits the weights if some network has more; else drops their column unless it was asked for."""
        most = sum([float(table.max()) for table in self.columns[WEIGHTS]])
        if most > capacity:
            return replace(self, limits={WEIGHTS: float(capacity)})
        kept = {name: tables for name, tables in self.columns.items() if asked or name != WEIGHTS}
        return replace(self, columns=kept)

    def _with_peaks(self, given: Sequence[tuple[tuple[int, ...], Floats]]) -> WidthCosts:
        fresh = [np.zeros([self.sizes[group] for group in scope]) for scope in self.scopes]
        for scope, values in given:
            at = self.scopes.index(scope)
            fresh[at] = np.maximum(fresh[at], values)
        return replace(self, peaks=tuple(fresh))

    def _checked(self, genomes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        rows = checked_matrix(genomes, self.sizes)
        return np.array(rows, np.int64).reshape(len(rows), len(self.sizes))

    def __repr__(self) -> str:
        names = ", ".join(self.columns)
        return f"WidthCosts({names}; {len(self.widths)} groups, {len(self.scopes)} factors)"


def _checked(
    name: str, scope: Sequence[int], values: npt.ArrayLike, widths: Sequence[Sequence[int]], faults: list[str]
) -> Floats | None:
    what = f"column {name!r}, groups {tuple(scope)}"
    if list(scope) != sorted(set(scope)) or any(not 0 <= group < len(widths) for group in scope):
        faults.append(f"{what}: groups must be numbers from 0 to {len(widths) - 1}, ascending, each once")
        return None
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        faults.append(f"{what}: {values!r} are no numbers")
        return None
    wanted = tuple([len(widths[group]) for group in scope])
    if array.shape != wanted:
        faults.append(f"{what}: shape {array.shape} must be {wanted}: the widths of its groups")
        return None
    if not np.isfinite(array).all():
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        faults.append(f"{what}, choices {place}: {array[place]} is no finite number")
        return None
    return array


__all__ = ["PEAK", "SUMS", "WidthCosts"]


def _rounded(table: Floats) -> list[str]:
    return [f"{value:.9g}" for value in table.reshape(-1).tolist()]
