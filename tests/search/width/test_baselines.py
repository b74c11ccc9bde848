"""Greedy pruning and the uniform multiplier: plain re-implementations, closed forms, the AOWS-size instance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelzoo import get_arch
from accelzoo.errors import BudgetError, ConfigError, DataError, ShapeError
from accelzoo.search.width import WidthCosts, WidthSpace, greedy_widths, solve_width, uniform_widths
from accelzoo.search.width.baselines import RULES, Rule
from tests.checkout import ROOT
from tests.search.width.problems import SHAPES, Genome, Small, small, within

INSTANCE = ROOT / "../shared/data/aows_instance/mbv1_v100_trt_fp16_b64_width_instance.json"
# Published: MobileNet-v1's MACs at 0.5 and 0.75 of the width (Howard et al. 2017, table 6), in millions.
MOBILENET = {0.5: 149, 0.75: 325}

Scores = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]


def scores_of(costs: WidthCosts) -> Scores:
    """The additive column as a score."""
    column = list(costs.columns).index("error")
    return lambda genomes: costs.totals(genomes)[:, column]


def never(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    raise AssertionError(f"{len(genomes)} networks were scored")


def pruned(problem: Small, most: float, rule: str, step: float) -> list[Genome]:
    """The three rules on one budget, word by word; the way as far as it goes."""
    current: Genome = tuple(size - 1 for size in problem.sizes)
    scale = abs(problem.totals(current)["latency_s"]) or 1.0
    way = [current]
    while (now := problem.totals(current))["latency_s"] > most:
        proposals = []
        for needed in (None,) if rule == "autoslim" else (step, None):
            for group, own in enumerate(current):
                for choice in range(own - 1, -1, -1):
                    other = (*current[:group], choice, *current[group + 1 :])
                    saved = (now["latency_s"] - problem.totals(other)["latency_s"]) / scale
                    if needed is None or saved >= needed:
                        proposals.append((problem.totals(other)["error"] - now["error"], saved, group, other))
                        break
            if proposals:
                break
        if not proposals:
            break
        ratio = rule == "mobilenetv3" and all(saved > 0 for _, saved, _, _ in proposals)
        current = min(
            proposals,
            key=lambda x: ((x[0] / x[1] if x[0] > 0 else x[0] * x[1]) if ratio else x[0], -x[1], x[2]),
        )[3]
        way.append(current)
    return way


@pytest.mark.parametrize("rule", RULES)
def test_pruning_is_the_rule_word_by_word(rule: Rule) -> None:
    ends = set()
    for seed in range(24):
        problem = small(seed, SHAPES[seed % 3], ("error", "latency_s"))
        every = sorted(values["latency_s"] for values in problem.every().values())
        most = every[(len(every) // 2, len(every) // 4, 0)[seed % 3 - seed % 2]]
        step = (0.07, 0.31)[seed % 2]
        costs = problem.costs()
        wanted = pruned(problem, most, rule, step)
        if problem.totals(wanted[-1])["latency_s"] > most:
            ends.add("stuck")
            with pytest.raises(BudgetError, match="pruning ends above the budgets; solve_width finds"):
                greedy_widths(costs, {"latency_s": most}, scores_of(costs), rule=rule, step=step)
            continue
        found = greedy_widths(costs, {"latency_s": most}, scores_of(costs), rule=rule, step=step)
        ends.add("met")
        assert [point.genome for point in found.steps] == wanted
        assert [point.values for point in found.steps] == [problem.totals(genome) for genome in wanted]
        best = min(v["error"] for v in problem.every().values() if within(v, {"latency_s": most}))
        assert found.best.values["error"] >= best == solve_width(costs, {"latency_s": most}).value
    assert ends == {"met", "stuck"}


@pytest.mark.parametrize("rule", RULES)
def test_pruning_is_optimal_where_errors_are_convex_and_every_width_costs_the_same(rule: Rule) -> None:
    """Fox 1966 (Discrete optimization via marginal analysis): separable convex problems."""
    rng = np.random.default_rng(5)
    errors = [np.cumsum(np.sort(rng.random(5)))[::-1] for _ in range(4)]
    latency: dict[tuple[int, ...], npt.ArrayLike] = {(group,): np.arange(1.0, 6.0) for group in range(4)}
    costs = WidthCosts.of([range(8, 48, 8)] * 4, {"latency_s": latency}).with_errors(errors)
    found = greedy_widths(costs, {"latency_s": 4.0}, scores_of(costs), rule=rule)
    assert [point.values["latency_s"] for point in found.steps] == list(range(20, 3, -1))
    for point in found.steps:
        best = solve_width(costs, {"latency_s": point.values["latency_s"]})
        assert point.values["error"] == pytest.approx(best.value, abs=1e-12)
        assert found.first_within({"latency_s": point.values["latency_s"]}) == point
    assert found.scored == 1 + sum(sum(choice > 0 for choice in point.genome) for point in found.steps[:-1])


def test_the_rules_differ_as_they_say() -> None:
    errors = [[3.0, 0.25, 0.0], [1.0, 0.5, 0.0]]
    latency: dict[tuple[int, ...], npt.ArrayLike] = {(0,): [48.0, 49.0, 50.0], (1,): [10.0, 30.0, 50.0]}
    costs = WidthCosts.of([[8, 16, 24]] * 2, {"latency_s": latency}).with_errors(errors)

    def ways(rule: Rule, step: float) -> list[Genome]:
        found = greedy_widths(costs, {"latency_s": 79.0}, scores_of(costs), rule=rule, step=step)
        return [point.genome for point in found.steps]

    # One width less of the first group costs 0.25 and saves 1, of the second 0.5 and 20.
    assert ways("autoslim", 0.01) == [(2, 2), (1, 2), (1, 1)]
    assert ways("netadapt", 0.01) == [(2, 2), (1, 2), (1, 1)]
    assert ways("mobilenetv3", 0.01) == [(2, 2), (2, 1), (2, 0)]  # 25 against 2.5, in both rounds
    assert ways("netadapt", 0.015) == [(2, 2), (2, 1), (2, 0)]  # the first group must go to 8 channels: 3.0
    assert ways("netadapt", 0.9) == ways("autoslim", 0.01)  # nothing saves 90: one width at a time


def test_several_budgets_and_peak_memory_are_met_together() -> None:
    met = 0
    for seed in range(12):
        names = ("error", "latency_s", "weight_bytes")
        problem = small(seed, SHAPES[seed % 3], names)
        costs = problem.costs()
        every = list(problem.every().values())
        budgets = {name: sorted(v[name] for v in every)[len(every) // 2] for name in names[1:]}
        peaks = tuple(np.abs(table) for table in costs.columns["latency_s"])
        costs = replace(costs, peaks=peaks)
        budgets["peak_activation_bytes"] = float(np.median(costs.peak_of(list(problem.every()))))
        best = solve_width(costs, budgets)
        if best.status == "infeasible":
            with pytest.raises(BudgetError, match=r"least achievable|can be met alone"):
                greedy_widths(costs, budgets, never)
            continue
        try:
            found = greedy_widths(costs, budgets, scores_of(costs))
        except BudgetError:
            continue  # stuck: it is greedy
        met += 1
        assert within(found.best.values, budgets)
        assert not any(within(point.values, budgets) for point in found.steps[:-1])
        assert found.best.values["error"] >= best.value
    assert met >= 5


def test_a_start_within_the_budgets_stays() -> None:
    problem = small(3, "chain", ("error", "latency_s"))
    costs = problem.costs()
    start = tuple(0 for _ in problem.sizes)
    found = greedy_widths(costs, {"latency_s": 1e6}, scores_of(costs), start=start)
    assert [point.genome for point in found.steps] == [start]
    assert found.scored == 1


def test_what_cannot_be_met_is_said_before_anything_is_scored() -> None:
    problem = small(4, "chain", ("error", "latency_s"))
    costs = problem.costs()
    least = min(values["latency_s"] for values in problem.every().values())
    with pytest.raises(BudgetError, match=f"least achievable {least}"):
        greedy_widths(costs, {"latency_s": least - 1}, never)


def test_bad_input_is_refused() -> None:
    costs = small(4, "chain", ("error", "latency_s")).costs()
    with pytest.raises(ValueError, match=r"greedy.*allowed: netadapt, autoslim, mobilenetv3"):
        greedy_widths(costs, {}, never, rule="greedy")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"step \(=1\) must lie between 0 and 1"):
        greedy_widths(costs, {}, never, step=1)
    with pytest.raises(ConfigError, match=r"budgets.error: the score tells errors"):
        greedy_widths(costs, {"error": 1.0}, never)
    with pytest.raises(ConfigError, match="did you mean 'latency_s'"):
        greedy_widths(costs, {"latencys": 1.0}, never)
    with pytest.raises(ShapeError):
        greedy_widths(costs, {}, never, start=(0,))
    with pytest.raises(DataError, match="one finite number for each of 1 networks"):
        greedy_widths(costs, {}, lambda genomes: np.full(len(genomes), np.nan))
    found = greedy_widths(costs, {}, scores_of(costs))
    with pytest.raises(ConfigError, match=r"budgets.joules: unknown column; allowed: .*latency_s"):
        found.first_within({"joules": 1.0})
    with pytest.raises(BudgetError, match="no step is within"):
        found.first_within({"latency_s": -1e9})


@pytest.fixture(scope="module")
def mobilenet() -> tuple[WidthSpace, WidthCosts]:
    arch = get_arch("mobilenetv1_100")
    space = WidthSpace.from_arch(arch, (0.25, 0.5, 0.75, 1.0, 1.25))
    return space, WidthCosts.priced(space, "edge-npu", ("macs",), on_chip=False)


@pytest.mark.parametrize(("multiplier", "macs"), MOBILENET.items())
def test_multipliers_are_the_published_mobilenets(
    mobilenet: tuple[WidthSpace, WidthCosts], multiplier: float, macs: int
) -> None:
    space, costs = mobilenet
    found = uniform_widths(space, costs, {"macs": (macs + 1) * 1e6}, lambda genomes: [0.25] * len(genomes))
    assert found.best.widths == tuple(int(group.base * multiplier) for group in space.groups)
    assert found.best.values["macs"] / 1e6 == pytest.approx(macs, abs=1)
    assert found.best.values["error"] == 0.25
    assert multiplier <= found.width_multiplier < multiplier + 0.125


@pytest.mark.parametrize("most", [2e8, 5e8, 8e8])
def test_the_multiplier_is_the_largest_one(mobilenet: tuple[WidthSpace, WidthCosts], most: float) -> None:
    space, costs = mobilenet

    def macs_at(multiplier: float) -> int:
        widths = []
        for group in space.groups:
            exact = Fraction(group.base) * Fraction(str(round(multiplier, 2)))
            wanted = max(8, 8 * math.floor(exact / 8 + Fraction(1, 2)))
            wanted += 8 if wanted < Fraction(9, 10) * exact else 0
            widths.append(sorted((abs(width - wanted), -width, width) for width in group.widths)[0][2])
        return space.at(widths).lower().macs

    found = uniform_widths(space, costs, {"macs": most}, lambda genomes: [1.0], resolution=0.05)
    assert macs_at(found.width_multiplier) == found.best.values["macs"] <= most < macs_at(found.width_multiplier + 0.05)


def test_without_budgets_the_multiplier_is_the_widest(mobilenet: tuple[WidthSpace, WidthCosts]) -> None:
    found = uniform_widths(*mobilenet, {}, lambda genomes: [0.0])
    assert found.width_multiplier == 1.25
    assert found.best.widths == tuple(group.widths[-1] for group in mobilenet[0].groups)


def test_the_multiplier_one_is_the_original() -> None:
    arch = get_arch("mobilenetv1_100", width_multiplier=0.35, channel_divisor=2)
    space = WidthSpace.from_arch(arch, (0.5, 1.0))
    costs = WidthCosts.priced(space, "edge-npu", ("macs",), on_chip=False)
    found = uniform_widths(space, costs, {"macs": arch.lower().macs}, lambda genomes: [0.0], resolution=1.0)
    assert (found.width_multiplier, found.best.genome) == (1.0, space.base)


def test_multipliers_that_cannot_be_met_are_said(mobilenet: tuple[WidthSpace, WidthCosts]) -> None:
    space, costs = mobilenet
    least = space.decode((0,) * len(space.groups)).lower().macs
    with pytest.raises(BudgetError, match=f"macs: at most 1.0, least achievable {float(least)}"):
        uniform_widths(space, costs, {"macs": 1.0}, never)
    coarse = space.decode(space.base).lower().macs
    with pytest.raises(BudgetError, match=rf"no multiplier meets .*\n.*here {float(coarse)}, least .* {float(least)}"):
        uniform_widths(space, costs, {"macs": coarse / 2}, never, resolution=1.0)
    with pytest.raises(ConfigError, match="other widths than the space") as caught:
        uniform_widths(space, small(1, "chain", ("error", "latency_s")).costs(), {}, never, divisor=0)
    assert len(caught.value.faults) == 2


@pytest.fixture(scope="module")
def instance() -> dict[str, Any]:
    if not INSTANCE.exists():
        pytest.skip("the width-search instance is not at ../shared/data/aows_instance")
    data: dict[str, Any] = json.loads(INSTANCE.read_text(encoding="utf-8"))
    return data


@pytest.mark.parametrize("rule", RULES)
def test_the_instance_is_pruned_to_more_than_its_optimum(instance: dict[str, Any], rule: Rule) -> None:
    layers = range(1, len(instance["grid"]))
    latency: dict[tuple[int, ...], Any] = {(i - 1, i): instance["latency"][i] for i in layers}
    latency[0,] = instance["latency"][0][0]
    costs = WidthCosts.of(instance["grid"], {"latency_ms": latency}).with_errors(instance["unary"])
    tightest = min(answer["T"] for answer in instance["answers"])
    found = greedy_widths(costs, {"latency_ms": tightest}, scores_of(costs), rule=rule)
    for answer in instance["answers"]:
        point = found.first_within({"latency_ms": answer["T"]})
        assert point.values["latency_ms"] <= answer["T"]
        assert point.values["error"] >= answer["exact_error"] - 1e-9
    loose = greedy_widths(costs, {"latency_ms": 0.04}, scores_of(costs), rule=rule)
    assert loose.steps == found.steps[: len(loose.steps)]
    assert loose.best == found.first_within({"latency_ms": 0.04})
