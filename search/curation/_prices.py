"""What genomes of a space cost on a target: as an additive problem where that can be had, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from accelzoo.errors import AccelzooError, ConfigError, ShapeError
from accelzoo.hwmodel import Cost, Target, estimate
from accelzoo.hwmodel.table import CostTable
from accelzoo.knobs import Space
from accelzoo.search.curation._contexts import Floats
from accelzoo.search.curation._wishes import Kept
from accelzoo.search.curation.space import restricted
from accelzoo.search.exact import AdditiveTable, Layer, from_cost_table
from accelzoo.search.space import GenomeMatrix

MACS = "macs"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Prices of a space's genomes.

    Attributes:
        space: The space.
        target: The accelerator, or a cost table of the space.
        additive: The prices of all genomes within the wishes as sums over parts; None where they are none.
        reason: Why they are none.
    """

    space: Space
    target: Target | CostTable
    additive: AdditiveTable | None
    reason: str = ""

    @classmethod
    def of(cls, space: Space, target: Target | CostTable, wishes: Kept, field: str, max_entries: int) -> Prices:
        """Prices a space within wishes, in a table of parts if that takes no more than `max_entries` entries."""
        if not max_entries:
            return cls(space=space, target=target, additive=None, reason="no exact front was asked for")
        columns = (field,) if field == MACS else (field, MACS)
        try:
            if isinstance(target, CostTable):
                additive = from_cost_table(target, columns)
            else:
                start = Space(space.name, restricted(space, wishes))
                table = CostTable(start, target, max_entries=max_entries)
                additive = _in_space(from_cost_table(table, columns), space, start, wishes)
        except AccelzooError as error:
            return cls(space=space, target=target, additive=None, reason=str(error))
        return cls(space=space, target=target, additive=additive)

    def column(self, genomes: GenomeMatrix, field: str) -> Floats:
        """Prices genomes `(n, positions)`: `(n,)`, inf for those that the target cannot run or that make no network."""
        if self.additive is not None:
            try:
                totals: Floats = self.additive.totals(genomes)[:, self.additive.columns.index(field)]
                return totals
            except ShapeError:
                pass  # some cannot be run
        if isinstance(self.target, CostTable):
            values = self.target.price(genomes)[:, self.target.fields.index(field)]
            values[self.target.unpriced(genomes) > 0] = np.inf
            return values
        different, places = np.unique(genomes, axis=0, return_inverse=True)
        found = np.array([self._one(genome, field) for genome in different.tolist()])
        return found[places.reshape(-1)]

    def _one(self, genome: Sequence[int], field: str) -> float:
        assert isinstance(self.target, Target)
        try:
            cost: Cost = estimate(self.space.decode(genome).lower(), self.target)
        except (ConfigError, ShapeError):
            return float("inf")
        return float("inf") if cost.unpriced else float(getattr(cost, field))


def _in_space(table: AdditiveTable, space: Space, start: Space, wishes: Kept) -> AdditiveTable:
    """Returns the problem of a restricted space with the positions and choices of the whole one."""
    place = {knob.path: position for position, knob in enumerate(space.knobs)}
    positions = [place[knob.path] for knob in start.knobs]
    layers = []
    for layer in table.layers:
        choices = np.empty_like(layer.choices)
        for column, position in enumerate(layer.positions):
            choices[:, column] = np.array(wishes[positions[position]])[layer.choices[:, column]]
        moved = tuple(positions[position] for position in layer.positions)
        layers.append(replace(layer, positions=moved, choices=choices))
    fixed = tuple(position for position in range(len(space.knobs)) if position not in positions)
    if fixed:
        first = Layer(
            positions=fixed,
            choices=np.array([[wishes[position][0] for position in fixed]], np.int64),
            source=np.zeros(1, np.int64),
            target=np.zeros(1, np.int64),
            values=np.zeros((1, len(table.columns))),
        )
        layers.insert(0, first)
    return replace(table, sizes=tuple(space.sizes), layers=tuple(layers))
