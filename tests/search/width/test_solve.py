"""The best widths are those of brute force over every network of hundreds of small problems, and the published ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelzoo import draw
from accelzoo.errors import AccelzooError, BudgetError, ConfigError
from accelzoo.search.width import WidthCosts, solve_width, width_front
from accelzoo.search.width._sweep import Sweep, TooWideError
from tests.checkout import ROOT
from tests.search.additive import undominated
from tests.search.width.problems import SHAPES, Small, small, within

INSTANCE = ROOT / "../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json"
COLUMNS = ("error", "latency_s", "weight_bytes", "energy_j")


def budgets_of(problem: Small, names: tuple[str, ...], seed: int) -> dict[str, float]:
    """Budgets at the totals of drawn networks, so that they are met exactly; now and then below everything."""
    rng = draw.generator(seed, 5)
    every = list(problem.every().values())
    return {name: every[draw.below(rng, len(every))][name] - 500 * (draw.below(rng, 15) == 0) for name in names}


def check(problem: Small, budgets: dict[str, float], method: str, count: int) -> str:
    fitting = {genome: values for genome, values in problem.every().items() if within(values, budgets)}
    wanted = sorted(values["error"] for values in fitting.values())[:count]
    found = solve_width(problem.costs(), budgets, method=method, count=count)
    if not fitting:
        assert found.status == "infeasible"
        assert found.least == {name: min(v[name] for v in problem.every().values()) for name in budgets}
        with pytest.raises(BudgetError, match=r"achievable|can be met alone"):
            _ = found.widths
        return found.status
    assert found.status == "optimal"
    assert [point.values["error"] for point in found.points] == wanted
    assert len({point.genome for point in found.points}) == len(wanted)
    for point in found.points:
        assert point.values == fitting[point.genome]
        assert point.widths == tuple(8 * choice + 8 for choice in point.genome)
    assert found.lower_bound is not None
    assert found.lower_bound <= wanted[0] + 1e-9
    assert found.gap <= (1e-6 if found.method == "milp" else 0)
    return found.status


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("budgeted", [1, 2, 3])
def test_label_setting_is_brute_force(shape: str, budgeted: int) -> None:
    seen = set()
    for seed in range(30):
        problem = small(seed, shape, COLUMNS[: budgeted + 1])
        budgets = budgets_of(problem, COLUMNS[1 : budgeted + 1], seed)
        seen.add(check(problem, budgets, "auto", 1 + seed % 3))
    assert seen == {"optimal", "infeasible"}


@pytest.mark.parametrize("shape", SHAPES)
def test_integer_programming_is_brute_force(shape: str) -> None:
    seen = set()
    for seed in range(10):
        budgeted = 1 + seed % 3
        problem = small(seed, shape, COLUMNS[: budgeted + 1])
        seen.add(check(problem, budgets_of(problem, COLUMNS[1 : budgeted + 1], seed), "milp", 1 + seed % 2))
    assert "optimal" in seen


def test_the_lagrangian_answer_is_feasible_and_bounded() -> None:
    for seed in range(40):
        problem = small(seed, SHAPES[seed % 3], COLUMNS[:2])
        budgets = budgets_of(problem, ("latency_s",), seed)
        best = min((v["error"] for v in problem.every().values() if within(v, budgets)), default=None)
        found = solve_width(problem.costs(), budgets, method="lagrangian")
        if best is None:
            assert found.status == "infeasible"
            continue
        assert found.lower_bound is not None
        assert found.lower_bound <= best <= found.value
        assert within(found.best.values, budgets)


def test_fronts_are_brute_force() -> None:
    for seed in range(60):
        problem = small(seed, SHAPES[seed % 3], COLUMNS[:2])
        points = width_front(problem.costs(), COLUMNS[:2])
        wanted = undominated([(v["error"], v["latency_s"]) for v in problem.every().values()])
        assert [(point.values["error"], point.values["latency_s"]) for point in points] == wanted


@pytest.mark.parametrize("method", ["labels", "milp"])
def test_peak_memory_is_a_maximum(method: str) -> None:
    seen = set()
    for seed in range(12):
        problem = small(seed, SHAPES[seed % 3], (*COLUMNS[:2], "peak"))
        peaks = problem.columns.pop("peak")
        costs = problem.costs()
        tables = tuple(np.asarray(peaks[scope]) for scope in costs.scopes)
        costs = replace(costs, peaks=tables)
        peak = {g: max(float(t[tuple(g[x] for x in s)]) for s, t in zip(costs.scopes, tables, strict=True))
                for g in problem.every()}  # fmt: skip
        most = sorted(peak.values())[len(peak) // 3] - 90 * (seed % 6 == 5)
        wanted = [values["error"] for genome, values in problem.every().items() if peak[genome] <= most]
        found = solve_width(costs, {"peak_activation_bytes": most}, method=method)
        seen.add(found.status)
        if not wanted:
            assert found.least == {"peak_activation_bytes": min(peak.values())}
            continue
        assert found.value == min(wanted)
        assert found.best.values["peak_activation_bytes"] == peak[found.best.genome] <= most
    assert seen == {"optimal", "infeasible"}


def test_wide_loops_go_to_integer_programming(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_wide(*_: Any) -> None:
        raise TooWideError("too wide")

    monkeypatch.setattr(Sweep, "__init__", too_wide)
    problem = small(4, "loops", COLUMNS[:2])
    budgets = {"latency_s": sorted(v["latency_s"] for v in problem.every().values())[3]}
    found = solve_width(problem.costs(), budgets)
    assert found.method == "milp"
    assert found.value == min(v["error"] for v in problem.every().values() if within(v, budgets))
    assert solve_width(problem.costs(), {"latency_s": -1e6}).least["latency_s"] == min(
        v["latency_s"] for v in problem.every().values()
    )
    with pytest.raises(TooWideError):
        solve_width(problem.costs(), budgets, method="labels")


def test_a_graph_whose_loops_are_too_wide_is_said_so() -> None:
    with pytest.raises(TooWideError, match="milp"):
        Sweep([10] * 4, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], max_arcs=1_000)


def test_bad_input_is_refused_with_all_faults() -> None:
    costs = small(1, "chain", COLUMNS[:2]).costs()
    with pytest.raises(ConfigError) as caught:
        solve_width(costs, {"latencys": 1.0, "error": float("nan"), "peak_activation_bytes": 5}, count=0)
    assert len(caught.value.faults) == 4
    assert "did you mean 'latency_s'" in str(caught.value)
    with pytest.raises(ConfigError, match="objective: unknown column 'loss'"):
        solve_width(costs, objective="loss")
    with pytest.raises(ValueError, match=r"viterbi.*allowed: auto, labels, milp, lagrangian"):
        solve_width(costs, method="viterbi")
    with pytest.raises(ConfigError) as caught:
        WidthCosts.of([[8], []], {"error": {(0,): [1.0, 2.0], (1, 0): [[1.0]]}})
    assert len(caught.value.faults) == 3
    with pytest.raises(ConfigError, match=r"column 'error', groups \(0,\), choices \(1,\): nan is no finite number"):
        WidthCosts.of([[8, 16]], {"error": {(0,): [1.0, float("nan")]}})
    with pytest.raises(ConfigError, match="names: 1 for 2 groups"):
        WidthCosts.of([[8, 16], [8, 16]], {"error": {(0, 1): [[1.0, 2.0], [3.0, 4.0]]}}, names=["stem"])
    with pytest.raises(AccelzooError, match="know nothing of peak_activation_bytes"):
        costs.peak_of([[0] * len(costs.sizes)])


@pytest.fixture(scope="module")
def instance() -> dict[str, Any]:
    if not INSTANCE.exists():
        pytest.skip("the width-search instance is not at ../shared/data/aows_instance")
    data: dict[str, Any] = json.loads(INSTANCE.read_text(encoding="utf-8"))
    return data


def test_the_published_instance(instance: dict[str, Any]) -> None:
    layers = range(1, len(instance["grid"]))
    latency: dict[tuple[int, ...], Any] = {(i - 1, i): instance["latency"][i] for i in layers}
    latency[0,] = instance["latency"][0][0]
    costs = WidthCosts.of(instance["grid"], {"latency_ms": latency}).with_errors(instance["unary"])
    found = solve_width(costs, {"latency_ms": 0.04})
    relaxed = solve_width(costs, {"latency_ms": 0.04}, method="lagrangian")
    assert relaxed.lower_bound is not None
    figures = found.value, relaxed.value, relaxed.lower_bound
    assert tuple(round(x, 6) for x in figures) == (0.129318, 0.129635, 0.128468)
    for answer in instance["answers"]:
        best = solve_width(costs, {"latency_ms": answer["T"]})
        assert list(best.widths) == answer["exact_config"]
        assert best.value == pytest.approx(answer["exact_error"], abs=1e-9)
        assert best.gap == 0
