"""Budgets on the columns of an additive problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo.errors import ConfigError, suggestion
from accelzoo.search.exact.table import AdditiveTable

Budget = float | tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`sign × total ≤ sign × bound`: with sign 1 the most a column may reach, with −1 the least it must reach."""

    column: str
    sign: int
    bound: float

    def __str__(self) -> str:
        return f"{self.column}: {'at most' if self.sign > 0 else 'at least'} {self.bound!r}"


def read_limits(table: AdditiveTable, budgets: Mapping[str, Budget] | None) -> tuple[Limit, ...]:
    """Reads budgets, the table's own limits added.

    A number is the most a column may reach; for a column of which more is better, the least it must. A pair is
    (least, most), each possibly None.

    Raises:
        ConfigError: All faults: unknown columns, bounds that are no finite numbers, empty ranges.
    """
    limits = [Limit(column=name, sign=1, bound=float(most)) for name, most in table.limits.items()]
    faults = []
    for name, given in (budgets or {}).items():
        if name not in table.columns:
            known = ", ".join(table.columns)
            faults.append(f"budgets.{name}: unknown column; allowed: {known}{suggestion(name, table.columns)}")
            continue
        pair = given if isinstance(given, tuple) else _pair(given, name in table.higher_is_better)
        if len(pair) != 2 or not all(bound is None or _is_number(bound) for bound in pair):
            faults.append(f"budgets.{name}: {given!r} must be a finite number or a pair (least, most) of these or None")
            continue
        least, most = pair
        if least is not None and most is not None and least > most:
            faults.append(f"budgets.{name}: the least {least} is above the most {most}")
        limits += [] if most is None else [Limit(column=name, sign=1, bound=float(most))]
        limits += [] if least is None else [Limit(column=name, sign=-1, bound=float(least))]
    if faults:
        raise ConfigError(faults)
    return tuple(limits)


def _pair(bound: float, at_least: bool) -> tuple[float | None, float | None]:
    return (bound, None) if at_least else (None, bound)


def _is_number(bound: Any) -> bool:
    try:
        return not isinstance(bound, bool | str) and math.isfinite(bound)
    except TypeError:
        return False
