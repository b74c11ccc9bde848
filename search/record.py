"""What a search keeps of one candidate: its genome, its price, what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from accelzoo.search.space import Genome

Status = Literal["ok", "infeasible", "failed", "duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The numbers of an `accelzoo.hwmodel` cost, without its operators: what a budget or an objective can name."""

    latency_s: float
    energy_j: float
    peak_activation_bytes: float
    weight_bytes: float
    dram_bytes: float
    macs: float

    @classmethod
    def of(cls, cost: Any) -> Price:
        """Copies the fields of a cost, read by name.

        Raises:
            ValueError: If a field is negative, infinite or NaN.
        """
        return cls(**{name: _plain_number(name, getattr(cost, name)) for name in COST_FIELDS})


COST_FIELDS: tuple[str, ...] = tuple(item.name for item in fields(Price))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One candidate, as the trace holds it.

    Attributes:
        index: Its place in the search, from 0.
        genome: As the algorithm proposed it.
        status: `ok`; `infeasible` (over budget, never given to the signal); `failed` (see `reason`);
            `duplicate` (the same architecture as `duplicate_of`, whose results are copied).
        evaluated: Whether the signal was called for it.
        arch: The architecture's digest.
        cost: Its price, when costs are given.
        accuracy: What the signal returned.
        score: The objective; higher is better.
        violation: How far over budget: the sum of `cost / budget − 1` over the budgets it breaks.
        reason: Why there is no score.
        duplicate_of: The index of the first record of this architecture.
    """

    index: int
    genome: Genome
    status: Status
    evaluated: bool = False
    arch: str | None = None
    cost: Price | None = None
    accuracy: float | None = None
    score: float | None = None
    violation: float | None = None
    reason: str | None = None
    duplicate_of: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data without the fields that are None."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        data["genome"] = list(self.genome)
        data["cost"] = None if self.cost is None else {name: getattr(self.cost, name) for name in COST_FIELDS}
        return {name: value for name, value in data.items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of `to_json`.

        Raises:
            ValueError: If a field is unknown or missing, or the status is.
        """
        try:
            cost = None if "cost" not in data else Price(**data["cost"])
            record = cls(**{**data, "genome": tuple(data["genome"]), "cost": cost})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a candidate record: {error}") from error
        if record.status not in get_args(Status):
            raise ValueError(f"status {record.status!r} must be one of {', '.join(get_args(Status))}")
        return record


def _plain_number(name: str, value: Any) -> float:
    # Integers stay integers (a byte count reads as one in the trace); numpy's numbers become Python's.
    number: float = value if isinstance(value, int) else value.item() if hasattr(value, "item") else float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} (={number}) must be a finite number, not below 0")
    return number
