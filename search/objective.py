"""What a search maximises: the one place where accuracy, cost and budgets become a value."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.record import COST_FIELDS, Price, Record

# Every feasible score is above −PENALTY (scores below it are refused), every infeasible value is below it.
PENALTY = 1e6
# The same for costs that are objectives: no network takes 10⁶ seconds or joules, or 10¹⁸ bytes or MACs.
_PENALTIES = {name: PENALTY if name in ("latency_s", "energy_j") else 1e18 for name in COST_FIELDS}
_CONTEXT = decimal.Context(prec=34)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`score = accuracy × (cost / reference) ^ exponent`, higher is better; and costs that are objectives beside it.

    The soft form of MnasNet's weighted product (Tan et al. 2019, §3.1, equations 2 and 3 with α = β = `exponent`):
    with −0.07, a network twice as slow has to be 5 % more accurate. Exponent 0, the default, is accuracy alone.

    With `minimise`, a search looks for the whole Pareto front of the score and these costs.

    Attributes:
        exponent: Zero or negative.
        cost_field: Which field of the cost is in the score.
        reference: The cost at which the score equals the accuracy, in the unit of `cost_field`.
        minimise: Fields of the cost that are objectives of their own.

    Raises:
        ValueError: If the exponent is positive or infinite, a field is unknown or twice in `minimise`, or the reference
            is not positive.
    """

    exponent: float = 0.0
    cost_field: str = "latency_s"
    reference: float | None = None
    minimise: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponent", float(self.exponent))  # numpy's numbers are no JSON
        if self.reference is not None:
            object.__setattr__(self, "reference", float(self.reference))
        if not -math.inf < self.exponent <= 0:
            raise ValueError(f"exponent (={self.exponent}) must be zero or negative: cost never earns score")
        if self.cost_field not in COST_FIELDS:
            raise ValueError(_unknown_field(f"cost_field (={self.cost_field!r})", self.cost_field))
        if self.reference is not None and not 0 < self.reference < math.inf:
            raise ValueError(f"reference (={self.reference}) must be positive")
        if self.exponent and self.reference is None:
            raise ValueError(f"an exponent (={self.exponent}) needs a reference {self.cost_field}")
        if not isinstance(self.minimise, tuple) or len(set(self.minimise)) < len(self.minimise):
            raise ValueError(f"minimise (={self.minimise!r}) must be a tuple of cost fields, each once")
        for name in self.minimise:
            if name not in COST_FIELDS:
                raise ValueError(_unknown_field(f"minimise (={name!r})", name))

    @property
    def columns(self) -> tuple[str, ...]:
        """The objectives by name: `score`, which is maximised, and the costs that are minimised."""
        return ("score", *self.minimise)

    def score(self, accuracy: float, cost: Price | None) -> float:
        """Returns the score.

        Raises:
            ValueError: If the accuracy is not finite, or is negative under an exponent (a slower network would score
                higher), or the score is below −1e6, where the values of infeasible candidates begin.
        """
        if not math.isfinite(accuracy):
            raise ValueError(f"the signal returned {accuracy}")
        if not self.exponent:
            score = accuracy
        elif accuracy < 0:
            raise ValueError(f"the signal returned {accuracy}: below 0, a product with cost would reward cost")
        else:
            score = accuracy * self._factor(cost)
        if not -PENALTY <= score < math.inf:
            raise ValueError(f"the score is {score}: it must be a finite number, not below {-PENALTY:.0f}")
        return score

    def _factor(self, cost: Price | None) -> float:
        value = 0.0 if cost is None or self.reference is None else getattr(cost, self.cost_field)
        if value <= 0:
            raise ValueError(f"{self.cost_field} is {value}: the objective needs a positive one")
        # Not `**`: the last bit of the C library's pow differs between machines, decimal's ln and exp are exact to it.
        ratio = _CONTEXT.divide(decimal.Decimal(value), decimal.Decimal(self.reference or 1.0))
        return float(_CONTEXT.exp(_CONTEXT.multiply(decimal.Decimal(self.exponent), _CONTEXT.ln(ratio))))


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most that a candidate may cost, field by field; `Budgets.of` reads a mapping.

    Attributes:
        maxima: Pairs of cost field and maximum, in the order of `COST_FIELDS`.
    """

    maxima: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, float] | Budgets | None) -> Budgets:
        """Reads a mapping from cost field to maximum.

        Raises:
            ConfigError: All faults: unknown fields, maxima that are not positive finite numbers.
        """
        if isinstance(given, Budgets):
            return given
        given = given or {}
        faults = [
            _unknown_field(f"budgets.{name}: unknown cost field", name) for name in given if name not in COST_FIELDS
        ]
        for name, maximum in given.items():
            if isinstance(maximum, bool) or not isinstance(maximum, (int, float)) or not 0 < maximum < math.inf:
                faults.append(f"budgets.{name}: {maximum!r} must be a positive finite number")
        if faults:
            raise ConfigError(faults)
        return cls(tuple((name, float(given[name])) for name in COST_FIELDS if name in given))

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(self.maxima)

    def __bool__(self) -> bool:
        return bool(self.maxima)

    def violation(self, cost: Price) -> float:
        """Returns the sum of `cost / maximum − 1` over the budgets that `cost` breaks; 0.0 if it meets them all."""
        total = 0.0  # not `sum`: it rounds floats differently from Python 3.12 on
        for name, maximum in self:
            excess = getattr(cost, name) - maximum
            if excess > 0:
                total += excess / maximum
        return total


def value(record: Record, records: list[Record]) -> float:
    """Returns what an algorithm is told of a candidate: float64, higher is better.

    An `ok` candidate's value is its score. An infeasible one's is `−10⁶ × (1 + violation)`: below every score, and the
    higher the nearer it is to its budgets, which pulls a search into them. A failed one's is −inf. A duplicate has the
    value of the record it repeats, found in `records`.
    """
    match record:
        case Record(status="duplicate", duplicate_of=int(original)):
            return value(records[original], records)
        case Record(status="ok", score=float(score)):
            return score
        case Record(status="infeasible", violation=float(violation)):
            return -PENALTY * (1 + violation)
        case _:
            return -math.inf


def values(record: Record, records: list[Record], minimise: tuple[str, ...]) -> tuple[float, ...]:
    """Returns what an algorithm is told of a candidate when costs are objectives beside the score; all maximised.

    An `ok` candidate has its score and minus each cost. An infeasible one has `−(1 + violation)` times 10⁶ (10¹⁸ for
    bytes and MACs, of which good networks have millions), a failed one −inf in all. So every feasible candidate
    dominates every infeasible one, and a nearer one a farther one: the constrained domination of NSGA-II. A duplicate
    has the values of the record it repeats.

    Args:
        record: The candidate.
        records: All candidates so far.
        minimise: Cost fields, as in `Objective`.

    Returns:
        The score's value, then one for each field.
    """
    if record.duplicate_of is not None:
        return values(records[record.duplicate_of], records, minimise)
    first = value(record, records)
    if record.status == "infeasible":
        return (first, *[first / PENALTY * _PENALTIES[name] for name in minimise])
    if record.status == "failed":
        return (first,) * (1 + len(minimise))
    return (first, *[-float(getattr(record.cost, name)) for name in minimise])


def _unknown_field(what: str, name: Any) -> str:
    return f"{what}; allowed: {', '.join(COST_FIELDS)}{suggestion(str(name), COST_FIELDS)}"
