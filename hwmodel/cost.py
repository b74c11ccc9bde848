"""What running a graph on a target takes: an additive value with the unit in every field, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from accelzoo.errors import DataError, suggestion

Bound = Literal["compute", "sram", "dram", "overhead", "fused", "unpriced"]


class OpCost(NamedTuple):
    """The price of one operator.

    `latency_s = max(compute_s, memory_s) + overhead_s`. `bound` names the term that decides it; `fused` marks an
    activation that its producer applies on the way out, `unpriced` an operator that the target cannot run: the times,
    energy and traffic of both are zero and their rows stay, so that nothing is missing without notice.
    """

    name: str
    kind: str
    latency_s: float
    compute_s: float  # time of the MAC array or of the vector unit alone
    memory_s: float  # the longer of the on-chip and the off-chip transfers
    overhead_s: float  # start of the operator, whatever its size
    energy_j: float
    macs: int
    weight_bytes: int  # stored, once per operator
    sram_bytes: int  # moved to and from on-chip memory
    dram_bytes: int  # moved to and from off-chip memory
    utilization: float  # MACs used / MAC slots of the array, over the cycles in which the operator computes
    bound: Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The price of a graph, or of any part of one; `+` joins parts that run one after the other.

    Adding sums every field except `peak_activation_bytes`, whose larger value wins, and concatenates `unpriced` and
    `by_op`. Totals are sums of the rows from left to right, so the same rows give the same bits anywhere; note that
    the builtin `sum` rounds floats differently from Python 3.12 on.

    Attributes:
        latency_s: Seconds for one inference at batch 1.
        energy_j: Joules for one inference.
        peak_activation_bytes: Largest number of activation bytes alive at once.
        weight_bytes: Bytes of stored weights and biases.
        dram_bytes: Bytes moved to and from off-chip memory in one inference.
        macs: Multiply-accumulates of one inference, those of unpriced operators included.
        unpriced: `name (kind)` of every operator that the target cannot run; their time and energy are NOT in the
            totals, so a cost that has any is a lower bound.
        by_op: One row per operator in execution order; empty where only totals are known.
        extrapolated: Names of operators so far from everything that the target was fitted to that their price falls
            back towards the analytic one.
    """

    latency_s: float = 0.0
    energy_j: float = 0.0
    peak_activation_bytes: int = 0
    weight_bytes: int = 0
    dram_bytes: int = 0
    macs: int = 0
    unpriced: tuple[str, ...] = ()
    by_op: tuple[OpCost, ...] = ()
    extrapolated: tuple[str, ...] = ()

    @classmethod
    def zero(cls) -> Cost:
        """Returns the price of nothing: the start of a sum."""
        return cls()

    @staticmethod
    def fields() -> tuple[str, ...]:
        """Returns the names of the numeric fields, the ones a budget or an objective can name."""
        return _NUMERIC_FIELDS

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(
            latency_s=self.latency_s + other.latency_s,
            energy_j=self.energy_j + other.energy_j,
            peak_activation_bytes=max(self.peak_activation_bytes, other.peak_activation_bytes),
            weight_bytes=self.weight_bytes + other.weight_bytes,
            dram_bytes=self.dram_bytes + other.dram_bytes,
            macs=self.macs + other.macs,
            unpriced=self.unpriced + other.unpriced,
            by_op=self.by_op + other.by_op,
            extrapolated=self.extrapolated + other.extrapolated,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the cost as plain JSON data; `from_json` is the inverse."""
        data: dict[str, Any] = {name: getattr(self, name) for name in _NUMERIC_FIELDS}
        data |= {"unpriced": list(self.unpriced), "by_op": [row._asdict() for row in self.by_op]}
        return data | ({"extrapolated": list(self.extrapolated)} if self.extrapolated else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cost:
        """Rebuilds a cost from `to_json`'s data.

        Raises:
            DataError: If a field is missing or unknown.
        """
        known = (*_NUMERIC_FIELDS, "unpriced", "by_op")
        _check_keys("cost", data, (*known, "extrapolated") if "extrapolated" in data else known)
        for row in data["by_op"]:
            _check_keys("row of a cost", row, OpCost._fields)
        rows = tuple([OpCost(**row) for row in data["by_op"]])
        names = {name: tuple(data.get(name, ())) for name in ("unpriced", "extrapolated")}
        return cls(**{**data, **names, "by_op": rows})


_NUMERIC_FIELDS = ("latency_s", "energy_j", "peak_activation_bytes", "weight_bytes", "dram_bytes", "macs")


def _check_keys(what: str, data: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in data:
        if name not in allowed:
            raise DataError(f"{what}: unknown field {name!r}{suggestion(name, allowed)}; allowed: {', '.join(allowed)}")
    missing = [name for name in allowed if name not in data]
    if missing:
        raise DataError(f"{what}: missing {', '.join(missing)}")
