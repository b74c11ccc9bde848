"""Why nothing meets some budgets, and what would be achievable instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelzoo.search.exact._dual import relax
from accelzoo.search.exact._labels import Cut, Search, TooManyLabelsError, answers
from accelzoo.search.exact._problem import Problem
from accelzoo.search.exact.limits import Limit
from accelzoo.search.exact.table import AdditiveTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """What is achievable.

    Attributes:
        alone: Column → the least it can be (where at least so much is asked, the most), whatever the others are. Exact.
        message: All of it in words.
    """

    alone: Mapping[str, float]
    message: str


def least_achievable(table: AdditiveTable, limits: Sequence[Limit], max_labels: int) -> Least:
    """Finds what is achievable of every budgeted column, alone and with the other budgets met."""
    alone: dict[str, float] = {}
    extremes: list[float] = []
    lines = []
    for limit in limits:
        found = _extreme(table, limit, (), max_labels)
        assert found is not None
        extremes.append(found)
        broken = limit.sign * found > limit.sign * limit.bound
        if broken or limit.column not in alone:
            alone[limit.column] = found
        if broken:
            lines.append(f"{limit}, {_word(limit)} achievable {found!r}")
    if not lines:
        lines.append("each budget can be met alone, but not together")
        for index, (limit, extreme) in enumerate(zip(limits, extremes, strict=True)):
            others = [*limits[:index], *limits[index + 1 :]]
            said = f"{limit}, {_word(limit)} achievable {extreme!r}, with all others met"
            lines.append(f"{said} {_together(table, limit, others, max_labels)}")
    return Least(alone=alone, message="\n  ".join(["nothing meets the budgets", *lines]))


def _together(table: AdditiveTable, limit: Limit, others: Sequence[Limit], max_labels: int) -> str:
    try:
        reached = _extreme(table, limit, others, max_labels)
    except TooManyLabelsError:
        return f"unknown within {max_labels:,} labels"
    return "nothing: they cannot be met together" if reached is None else repr(reached)


def _word(limit: Limit) -> str:
    return "least" if limit.sign > 0 else "most"


def _extreme(table: AdditiveTable, limit: Limit, others: Sequence[Limit], max_labels: int) -> float | None:
    problem = Problem.of(table, [(limit.column, limit.sign)], others)
    relaxed, weights, constant = relax(problem)
    cut = Cut(weights=weights, constant=constant, value=relaxed.value, arcs=relaxed.arcs)
    search = Search(problem, cut=cut, max_labels=max_labels)
    best = next(answers(search, search.run()), None)
    return None if best is None else float(best[0][0] * limit.sign)
