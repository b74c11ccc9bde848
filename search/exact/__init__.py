"""Exact optimisation where costs are additive: optima with a proof, and whole Pareto fronts."""

from __future__ import annotations

from accelzoo.search.exact._cost_table import NothingLeftError, from_cost_table
from accelzoo.search.exact._front import Front, front
from accelzoo.search.exact._solve import Point, Solution, solve
from accelzoo.search.exact.limits import Limit
from accelzoo.search.exact.table import AdditiveTable, Layer

__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "front",
    "solve",
    "AdditiveTable",
    "from_cost_table",
    "NothingLeftError",
    "Front",
    "Solution",
    "Point",
    "Layer",
    "Limit",
]
