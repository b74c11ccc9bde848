"""Exact optima and fronts are those of brute force over every genome of many small problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import BudgetError
from accelzoo.search import exact
from accelzoo.search.algorithms.nsga2 import NSGA2
from tests.search.additive import Small, small, undominated, within

Totals = Mapping[str, float]


def budgets_of(problem: Small, rng: np.random.Generator, names: str) -> dict[str, Any]:
    """Budgets at the totals of drawn genomes, so that they are met exactly; now and then below everything."""
    every = list(problem.every().values())
    found: dict[str, Any] = {}
    for name in names:
        bound = every[draw.below(rng, len(every))][name] - 50 * (draw.below(rng, 12) == 0)
        found[name] = (bound - 1.5, bound) if draw.below(rng, 4) == 0 else bound
    return found


def check_solution(problem: Small, budgets: Mapping[str, Any], count: int, method: str) -> str:
    sign = -1 if "a" in problem.better else 1
    fitting = {g: v for g, v in problem.every().items() if within(v, budgets, problem.better)}
    wanted = sorted(sign * values["a"] for values in fitting.values())[:count]
    found = exact.solve(problem.table(), budgets, objective="a", count=count, method=method)
    assert [sign * point.values["a"] for point in found.points] == wanted
    assert len({point.genome for point in found.points}) == len(wanted)
    for point in found.points:
        assert point.values == fitting[point.genome]
    if not fitting:
        assert found.status == "infeasible"
        with pytest.raises(BudgetError, match="achievable"):
            _ = found.best
        return found.status
    assert found.status == "optimal"
    assert found.gap <= (0 if method == "labels" else 1e-6)
    assert found.lower_bound <= sign * wanted[0] <= found.upper_bound
    if method == "labels":
        assert found.dual_bound is not None
        assert sign * found.dual_bound <= wanted[0]
        assert found.relaxed is None or found.relaxed.values == fitting[found.relaxed.genome]
    return found.status


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_optima(columns: int, joined: bool) -> None:
    seen = set()
    for seed in range(40):
        rng = draw.generator(seed, 77)
        better = ("a",) if seed % 3 == 0 else ("b",) if columns > 1 else ()
        problem = small(seed, columns, joined=joined, better=better)
        budgets = budgets_of(problem, rng, "abcd"[1:columns])
        if seed % 7 == 0:
            budgets |= budgets_of(problem, rng, "a")
        seen.add(check_solution(problem, budgets, 1, "labels"))
    assert "optimal" in seen
    assert "infeasible" in seen or columns == 1


@pytest.mark.parametrize("joined", [False, True])
def test_several_best(joined: bool) -> None:
    for seed in range(40):
        problem = small(seed, 2 + seed % 2, joined=joined)
        budgets = budgets_of(problem, draw.generator(seed, 78), "bc"[: 1 + seed % 2])
        check_solution(problem, budgets, 2 + seed % 6, "labels")


@pytest.mark.parametrize("joined", [False, True])
def test_integer_programming_agrees(joined: bool) -> None:
    for seed in range(25):
        problem = small(seed, 3, joined=joined, better=("a",) if seed % 2 else ())
        budgets = budgets_of(problem, draw.generator(seed, 79), "bc"[: 1 + seed % 2])
        check_solution(problem, budgets, 1 + seed % 3, "milp")


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_fronts(columns: int, joined: bool) -> None:
    for seed in range(40):
        better = ("b",) if seed % 3 == 0 and columns > 1 else ()
        problem = small(seed, columns, joined=joined, better=better)
        names = problem.columns
        signs = [-1 if name in better else 1 for name in names]
        every = problem.every()
        found = exact.front(problem.table())
        assert found.objectives == names
        vectors = [tuple(s * v[name] for s, name in zip(signs, names, strict=True)) for v in every.values()]
        assert [tuple(row) for row in (found.values * signs).tolist()] == undominated(vectors)
        for genome, values in found:
            assert values == every[genome]


@pytest.mark.parametrize("joined", [False, True])
def test_fronts_within_budgets(joined: bool) -> None:
    refused = 0
    for seed in range(80):
        problem = small(seed, 3, joined=joined, better=("c",) if seed % 2 else ())
        budgets = budgets_of(problem, draw.generator(seed, 80), "c" if seed % 3 else "bc")
        fitting = [v for v in problem.every().values() if within(v, budgets, problem.better)]
        if not fitting:
            refused += 1
            with pytest.raises(BudgetError, match="achievable"):
                exact.front(problem.table(), ("a", "b"), budgets)
            continue
        found = exact.front(problem.table(), ("a", "b"), budgets)
        assert [tuple(row) for row in found.values.tolist()] == undominated([(v["a"], v["b"]) for v in fitting])
    assert 0 < refused < 60


def test_the_front_holds_the_optimum_of_every_budget() -> None:
    """Epsilon-constraint: whatever the budget, the optimum is the front's best point within it."""
    problem = small(5, 2, joined=True)
    table = problem.table()
    front = exact.front(table).values
    for bound in sorted({values["b"] for values in problem.every().values()}):
        best = front[front[:, 1] <= bound][:, 0].min()
        assert exact.solve(table, {"b": bound}).value == best


def test_totals_are_sums_from_left_to_right() -> None:
    for seed in range(20):
        problem = small(seed, 3, joined=seed % 2 == 0)
        every = problem.every()
        totals = problem.table().totals(np.array(list(every)))
        assert totals.tolist() == [[values[name] for name in problem.columns] for values in every.values()]


def test_infeasible_budgets_name_the_exact_least() -> None:
    met_alone = 0
    for seed in range(120):
        problem = small(seed, 3, joined=seed % 2 == 0)
        every = list(problem.every().values())
        rng = draw.generator(seed, 81)
        budgets = {name: min(v[name] for v in every) + 2 * draw.uniform(rng) - 0.5 for name in "bc"}
        if any(within(values, budgets, ()) for values in every):
            continue
        found = exact.solve(problem.table(), budgets, objective="a")
        least = {name: min(values[name] for values in every) for name in "bc"}
        assert found.least == least
        if all(least[name] <= budgets[name] for name in "bc"):
            met_alone += 1
            for name, other in ("bc", "cb"):
                together = min(values[name] for values in every if values[other] <= budgets[other])
                assert f"least achievable {least[name]!r}, with all others met {together!r}" in found.message
        else:
            broken = [name for name in "bc" if least[name] > budgets[name]]
            for name in broken:
                assert f"at most {budgets[name]!r}, least achievable {least[name]!r}" in found.message
    assert met_alone > 10


def test_nsga2_is_never_better_on_a_large_problem() -> None:
    rng = np.random.default_rng(0)
    each = [rng.random((8, 2)) for _ in range(20)]
    table = exact.AdditiveTable.of({"a": [x[:, 0] for x in each], "b": [x[:, 1] for x in each]})
    front = exact.front(table).values
    algorithm = NSGA2(table.sizes, draw.generator(0), population=100)
    for _ in range(40):
        genomes = algorithm.ask(100)
        met = table.totals(genomes)
        algorithm.tell(genomes, -met)
        covered = (front[None, :, 0] <= met[:, None, 0]) & (front[None, :, 1] <= met[:, None, 1])
        assert covered.any(axis=1).all()


def test_long_fronts_are_thinned_without_loss() -> None:
    """Fronts beyond a few thousand points take another way; the plain account keeps all of one layer's sums."""
    rng = np.random.default_rng(1)
    each = [np.stack([x := np.sort(rng.random(8)) + 0.1, 1 / x], axis=1) for _ in range(16)]
    table = exact.AdditiveTable.of({"a": [x[:, 0] for x in each], "b": [x[:, 1] for x in each]})
    sums = np.zeros((1, 2))
    for added in each:
        sums = (sums[:, None] + added[None]).reshape(-1, 2)
        sums = sums[np.lexsort((sums[:, 1], sums[:, 0]))]
        before = np.minimum.accumulate(np.concatenate([[np.inf], sums[:-1, 1]]))
        sums = sums[sums[:, 1] < before]
    found = exact.front(table)
    assert len(found) > 3_000
    assert np.array_equal(found.values, sums)
    assert np.array_equal(table.totals(found.genomes), sums)
