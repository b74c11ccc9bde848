"""The least a space can cost, proven: for spaces too large to look at every genome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel.table import CostTable
from accelzoo.search import exact
from accelzoo.search.exact import AdditiveTable, NothingLeftError
from accelzoo.search.objective import Budgets
from accelzoo.search.space import Genome

MAX_ENTRIES = 100_000  # of a proof's table: a minute's work
MAX_LABELS = 2_000_000
_PEAK = "peak_activation_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is proven about budgets.

    Attributes:
        within: A genome that meets all of them; None: there is none.
        least: If there is none, each budgeted field → the genome that has the least of it; left out where that is what
            was seen before.
    """

    within: Genome | None
    least: Mapping[str, Genome]


def prove(table: CostTable, budgets: Budgets, seen: Mapping[str, float] | None = None) -> Proof:
    """Finds a genome within budgets, or proves that there is none.

    Sums are minimised by `accelzoo.search.exact`, which looks at every genome without making any; the peak of
    activations, a maximum over the network's parts, by bisection over the parts' peaks.

    Args:
        table: A table of the space; one of the same space and target, which may not grow beyond 100,000 entries, is
            filled.
        budgets: What must be met.
        seen: The least that was seen of each field, to begin with.

    Raises:
        AccelzooError: If prices are not sums over parts, the table would be too large, or the proof too long.
    """
    return _Prover(CostTable(table.space, table.target, max_entries=MAX_ENTRIES), budgets, seen or {}).proof()


class _Prover:
    def __init__(self, table: CostTable, budgets: Budgets, seen: Mapping[str, float]) -> None:
        self._table = table
        self._seen = seen.get(_PEAK, math.inf)
        self._maxima = dict(budgets)
        self._sums = tuple(name for name in self._maxima if name != _PEAK)

    def proof(self) -> Proof:
        most_alive = self._maxima.get(_PEAK)
        additive = self._additive(most_alive)
        if additive is not None:
            limits = {name: self._maxima[name] for name in self._sums}
            solution = exact.solve(additive, limits, objective=additive.columns[0], max_labels=MAX_LABELS)
            if solution.points:
                return Proof(within=solution.points[0].genome, least={})
            if solution.status != "infeasible":
                raise AccelzooError(solution.message)
        return Proof(within=None, least=self._least())

    def _least(self) -> dict[str, Genome]:
        everything = self._additive(None)
        assert everything is not None  # with no limit on it, the table raises where nothing is left
        found = {name: _lightest(everything, name) for name in self._sums}
        if _PEAK in self._maxima and (quietest := self._quietest()) is not None:
            found[_PEAK] = quietest
        return found

    def _quietest(self) -> Genome | None:
        """Returns a genome with the lowest peak; None if no genome has a lower one than was seen."""
        known = self._table.with_lookup(
            lambda lookup: {int(peak) for part in lookup.parts for peak in part.peak_bytes[: part.entries]}
        )
        peaks = sorted(peak for peak in known if peak < self._seen)
        best = self._additive(peaks[-1]) if peaks else None
        if best is None:
            return None
        low, high = 0, len(peaks) - 1
        while low < high:
            middle = (low + high) // 2
            found = self._additive(peaks[middle])
            if found is None:
                low = middle + 1
            else:
                high, best = middle, found
        return _lightest(best, best.columns[0])

    def _additive(self, most_alive: float | None) -> AdditiveTable | None:
        """Returns the problem of the genomes whose peak is within a limit; None if there are none."""
        limit = None if most_alive is None else int(most_alive)
        try:
            return exact.from_cost_table(self._table, self._sums or ("weight_bytes",), peak_activation_bytes=limit)
        except NothingLeftError:
            return None


def _lightest(table: AdditiveTable, name: str) -> Genome:
    solution = exact.solve(table, objective=name, max_labels=MAX_LABELS)
    return solution.best.genome
