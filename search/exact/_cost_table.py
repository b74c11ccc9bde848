"""From a cost table to an additive problem: its parts are the layers, what enters and follows them the states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from accelzoo import draw
from accelzoo.errors import AccelzooError, ConfigError, ShapeError, suggestion
from accelzoo.hwmodel import Cost
from accelzoo.hwmodel._table_cut import SUM_FIELDS, UncutError, weight_capacity
from accelzoo.hwmodel._table_lookup import Lookup
from accelzoo.hwmodel._table_part import UNKNOWN, Part
from accelzoo.hwmodel.table import CostTable
from accelzoo.search.exact.table import AdditiveTable, Layer

PEAK, WEIGHTS = "peak_activation_bytes", "weight_bytes"
TRIES = 8

Indices = npt.NDArray[np.int64]
Partial = dict[int, int]
"""Choices by position."""


def from_cost_table(
    table: CostTable,
    fields: Sequence[str] = ("latency_s",),
    *,
    peak_activation_bytes: int | None = None,
    on_chip: bool = False,
) -> AdditiveTable:
    """Makes an additive problem of a cost table: every genome's price is a path's sum, whatever the neighbours decide.

    A state is what enters a part and, where the target looks beyond an operator, what follows it: all that the table
    knows prices to depend on. Everything that any genome may need is learnt now. Genomes with an operator that the
    target cannot run are left out. Sums over parts may differ from `CostTable.price`, which sums over operators, in the
    last bits.

    Args:
        table: Priced by parts.
        fields: The columns: fields of `Cost` that are sums.
        peak_activation_bytes: Leave out genomes that have more alive at once (a maximum over parts, so no column).
        on_chip: Leave out genomes whose weights exceed the target's `weight_sram_bytes`, whose prices are no sums.

    Raises:
        AccelzooError: If prices are not sums over parts, saying why.
        NothingLeftError: If no genome is left.
        ConfigError: If a field is unknown or no sum.
        CostTableError: If the table would grow beyond its `max_entries`.
    """
    _check_fields(fields)
    if table.whole_because:
        raise AccelzooError(f"prices are not additive: the table prices every genome as a whole: {table.whole_because}")
    table.build()
    walk = table.with_lookup(lambda lookup: _Walk(lookup, table.sizes, fields, peak_activation_bytes))
    columns = (*fields, *(() if WEIGHTS in fields else (WEIGHTS,)))
    made = AdditiveTable(columns=columns, sizes=table.sizes, layers=walk.layers)
    capacity = weight_capacity(table.target)
    if capacity is not None and (walk.left_out or _largest(made, columns.index(WEIGHTS)) > capacity):
        if not on_chip:
            raise AccelzooError(
                f"prices are not additive: the weights of some genomes exceed the {capacity:,} weight_sram_bytes of "
                f"{table.target.name!r}, and then each operator's price depends on all others; on_chip=True leaves "
                "these genomes out"
            )
        return replace(made, limits={WEIGHTS: float(capacity)})
    if WEIGHTS in fields:
        return made
    layers = tuple(replace(layer, values=layer.values[:, :-1]) for layer in made.layers)
    return AdditiveTable(columns=tuple(fields), sizes=table.sizes, layers=layers)


class NothingLeftError(AccelzooError):
    """No genome of the space is within the limits that a table was made under, or can be run."""


class _Walk:
    """Goes through the parts forwards for what enters them, then backwards for what follows and what it costs.

    Args:
        lookup: What the table knows; it learns what is missing.
        sizes: The number of choices of each position.
        fields: Fields to sum.
        most_alive: Arcs with more activation bytes are left out.
    """

    def __init__(self, lookup: Lookup, sizes: tuple[int, ...], fields: Sequence[str], most_alive: int | None) -> None:
        self._lookup = lookup
        self._sizes = sizes
        self._fields = (*fields, *(() if WEIGHTS in fields else (WEIGHTS,)))
        self._most_alive = most_alive
        self._rng = draw.generator(len(sizes))
        self.left_out = False  # whether some genome's weights do not fit on chip
        # For every part: entering context → the lightest choices that lead to it, and their weights.
        self._heads: list[dict[int, tuple[int, Partial]]] = [self._roots()]
        for index in range(len(lookup.parts)):
            self._heads.append(self._entered(index))
        self.layers = self._priced()

    def _roots(self) -> dict[int, tuple[int, Partial]]:
        lookup = self._lookup
        heads = {}
        for number in range(len(lookup.roots)):
            choices = _digits(number, [position for position, _ in lookup.shared], [size for _, size in lookup.shared])
            self._met(choices, partial(_root, lookup, number))
            heads[_root(lookup, number)] = (0, choices)
        return heads

    def _entered(self, index: int) -> dict[int, tuple[int, Partial]]:
        """Returns the contexts of the next part, every own choice of this part known."""
        part = self._lookup.parts[index]
        heads: dict[int, tuple[int, Partial]] = {}
        for context, (weights, before) in self._heads[index].items():
            for code in range(part.choices):
                choices = before | _digits(code, part.positions, part.sizes)
                variant = self._met(choices, partial(_variant, part, context, code))
                entering, total = int(part.next_context[variant]), weights + int(part.weight_bytes[variant])
                if entering not in heads or total < heads[entering][0]:
                    heads[entering] = (total, choices)
        return heads

    def _met(self, choices: Partial, look: partial[int]) -> int:
        """Returns what `look` finds, learning a network with the choices if it finds nothing.

        Raises:
            AccelzooError: If no network with these choices falls into parts.
        """
        reason: AccelzooError | None = None
        for _ in range(TRIES):
            if (found := look()) != UNKNOWN:
                return found
            drawn = [draw.below(self._rng, size) for size in self._sizes]
            try:
                self._lookup.learn(tuple(choices.get(position, choice) for position, choice in enumerate(drawn)))
            except (ShapeError, UncutError) as error:
                reason = error
        if (found := look()) != UNKNOWN:
            return found
        raise AccelzooError(f"prices are not additive: no network was found with choices {choices}; {reason}")

    def _priced(self) -> tuple[Layer, ...]:
        """Returns the layers: arcs of a part are its entries, states pairs of what enters and what follows."""
        lookup = self._lookup
        tails: dict[tuple[int, int], tuple[int, Partial]] = {(0, 0): (0, {})}
        states = {(0, 0): 0}
        layers = []
        for index in reversed(range(len(lookup.parts))):
            part = lookup.parts[index]
            arcs = self._arcs(index, tails)
            pairs = sorted({(context, lead) for context, lead, *_ in arcs})
            before = {pair: number for number, pair in enumerate(pairs)}
            layers.append(
                Layer(
                    positions=part.positions,
                    choices=_choices([code for _, _, code, *_ in arcs], part),
                    source=np.array([before[context, lead] for context, lead, *_ in arcs], np.int64),
                    target=np.array([states[behind] for *_, behind, _ in arcs], np.int64),
                    values=np.array([self._values(part, entry) for *_, entry in arcs]).reshape(-1, len(self._fields)),
                )
            )
            tails, states = self._followed(part, arcs, tails), before
        if lookup.shared:
            layers.append(self._shared(states))
        return tuple(layers[::-1])

    def _arcs(
        self, index: int, tails: dict[tuple[int, int], tuple[int, Partial]]
    ) -> list[tuple[int, int, int, tuple[int, int], int]]:
        """Returns context, what the part before sees, own choices, state behind and entry of every arc."""
        part = self._lookup.parts[index]
        followings: dict[int, list[int]] = {}
        for context, following in tails:
            followings.setdefault(context, []).append(following)
        arcs = []
        for context, (_, head) in self._heads[index].items():
            for code in range(part.choices):
                variant = _variant(part, context, code)
                entering = int(part.next_context[variant])
                for following in followings.get(entering, ()):
                    behind = (entering, following)
                    choices = head | _digits(code, part.positions, part.sizes) | tails[behind][1]
                    entry = self._entry(part, variant, following, choices)
                    if entry == UNKNOWN or part.unpriced[entry] or self._too_much(int(part.peak_bytes[entry])):
                        continue
                    arcs.append((context, int(part.leading_of[entry]), code, behind, entry))
        if not arcs:
            raise NothingLeftError("no genome is left: the target cannot run or hold any of them")
        return arcs

    def _entry(self, part: Part, variant: int, following: int, choices: Partial) -> int:
        """Returns an entry, learnt from the lightest network that has it; UNKNOWN if that does not fit on chip."""
        if part.entry_of.shape[1] <= following or part.entry_of[variant, following] == UNKNOWN:
            pieces = self._lookup.learn(tuple(choices[position] for position in range(len(self._sizes))))
            if pieces.streams:
                self.left_out = True
                return UNKNOWN
        if part.entry_of.shape[1] <= following or part.entry_of[variant, following] == UNKNOWN:
            raise AccelzooError(f"prices are not additive: what follows a part is not what its choices {choices} say")
        return int(part.entry_of[variant, following])

    def _too_much(self, alive_bytes: int) -> bool:
        return self._most_alive is not None and alive_bytes > self._most_alive

    def _followed(
        self,
        part: Part,
        arcs: Sequence[tuple[int, int, int, tuple[int, int], int]],
        tails: dict[tuple[int, int], tuple[int, Partial]],
    ) -> dict[tuple[int, int], tuple[int, Partial]]:
        """Returns for every state before a part the lightest choices from there on."""
        found: dict[tuple[int, int], tuple[int, Partial]] = {}
        for context, lead, code, behind, _ in arcs:
            weights, choices = tails[behind]
            total = weights + int(part.weight_bytes[_variant(part, context, code)])
            if (context, lead) not in found or total < found[context, lead][0]:
                found[context, lead] = (total, _digits(code, part.positions, part.sizes) | choices)
        return found

    def _shared(self, states: dict[tuple[int, int], int]) -> Layer:
        """Returns the layer of the knobs of the whole network, which choose what enters the first part."""
        shared = self._lookup.shared
        positions, sizes = [position for position, _ in shared], [size for _, size in shared]
        arcs = [
            (number, state)
            for number in range(len(self._lookup.roots))
            for (context, _), state in states.items()
            if context == _root(self._lookup, number)
        ]
        choices = [list(_digits(number, positions, sizes).values()) for number, _ in arcs]
        return Layer(
            positions=tuple(positions),
            choices=np.array(choices, np.int64),
            source=np.zeros(len(arcs), np.int64),
            target=np.array([state for _, state in arcs], np.int64),
            values=np.zeros((len(arcs), len(self._fields))),
        )

    def _values(self, part: Part, entry: int) -> list[float]:
        prices = part.prices[entry]
        floats = {"latency_s": prices.real, "energy_j": prices.imag}
        row = []
        for name in self._fields:
            if name not in floats:
                row.append(float(part.sums[entry, SUM_FIELDS.index(name)]))
                continue
            total = 0.0  # left to right, as everything that adds up prices does
            for price in floats[name].tolist():
                total += price
            row.append(total)
        return row


def _check_fields(fields: Sequence[str]) -> None:
    known = [name for name in Cost.fields() if name != PEAK]
    faults = [] if fields else ["fields: name at least one"]
    for name in fields:
        if name == PEAK:
            faults.append(f"fields: {PEAK} is a maximum over operators, no sum: pass {PEAK}=LIMIT instead")
        elif name not in known:
            faults.append(f"fields: unknown {name!r}; allowed: {', '.join(known)}{suggestion(name, known)}")
    if faults:
        raise ConfigError(faults)


def _largest(table: AdditiveTable, column: int) -> float:
    """Returns the largest total of a column."""
    best = np.zeros(1)
    for layer in reversed(table.layers):
        before = np.full(int(layer.source.max()) + 1, -np.inf)
        np.maximum.at(before, layer.source, layer.values[:, column] + best[layer.target])
        best = before
    return float(best[0])


def _root(lookup: Lookup, number: int) -> int:
    return int(lookup.roots[number])


def _variant(part: Part, context: int, code: int) -> int:
    return int(part.variant_of[context, code]) if context < len(part.variant_of) else UNKNOWN


def _digits(code: int, positions: Sequence[int], sizes: Sequence[int]) -> Partial:
    """Returns the choices that a number stands for, the last position fastest."""
    found = {}
    for position, size in zip(reversed(positions), reversed(sizes), strict=True):
        code, found[position] = divmod(code, size)
    return {position: found[position] for position in positions}


def _choices(codes: Sequence[int], part: Part) -> Indices:
    return np.array([list(_digits(code, part.positions, part.sizes).values()) for code in codes], np.int64).reshape(
        len(codes), len(part.positions)
    )
