"""What each method chooses: which jobs there are, who contends, and that the best-scored contender is taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo import get_arch
from accelzoo.errors import BudgetError
from accelzoo.hwmodel import estimate, load_target, oracles
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import graph_digest
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.width.choosing import (
    Contender,
    budgets_of,
    choices,
    contenders,
    originals,
    prune_jobs,
    refine_jobs,
    score_jobs,
    slimmable_jobs,
)
from accelzoo.recipes.width.job_context import JobContext
from accelzoo.recipes.width.latency import DeviceLatency
from accelzoo.recipes.width.schema import MeasurePlan, WidthRecipe
from accelzoo.rounding import make_divisible
from accelzoo.search.space import Genome
from accelzoo.search.width import WidthSpace, greedy_widths
from tests.recipes.width.tiny_width import FIXED, RECIPE, Device, tiny_recipe

CAMERA = load_target("camera-npu")
SHARES, SEEDS = RECIPE["latency_shares"], RECIPE["seeds"]
MOST_BYTES = RECIPE["budgets"]["weight_bytes"]
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def space() -> WidthSpace:
    arch = get_arch("mobilenetv1_025", num_classes=10, input_size=(3, 16, 16))
    return WidthSpace.from_arch(arch, RECIPE["ratios"], fixed=FIXED)


@pytest.fixture(scope="module")
def device(space: WidthSpace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceLatency]:
    path = tmp_path_factory.mktemp("device") / "timings.jsonl"
    with DeviceLatency.of(space, CAMERA, None, ("weight_bytes",), path) as device:
        yield device


@pytest.fixture
def recipe(tmp_path: Path) -> WidthRecipe:
    return tiny_recipe(tmp_path)


def context(recipe: WidthRecipe, space: WidthSpace, folder: Path) -> JobContext:
    return JobContext(recipe=recipe, space=space, bank=DataBank("digits", 3), folder=folder)


def within(space: WidthSpace, share: float) -> list[Genome]:
    """Every network of the space that keeps the budgets, each priced on its own."""
    most_s = share * estimate(space.arch.lower(), CAMERA).latency_s
    kept = []
    for genome in itertools.product(*[range(size) for size in space.sizes]):
        cost = estimate(space.decode(genome).lower(), CAMERA)
        if cost.latency_s <= most_s and cost.weight_bytes <= MOST_BYTES:
            kept.append(genome)
    return kept


def tables_of(space: WidthSpace, seed: int) -> list[list[float]]:
    """Made-up errors that fall with width, and such that no two networks are alike."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, 1, size))[::-1].tolist() for size in space.sizes]


def results_of(space: WidthSpace, recipe: WidthRecipe, device: DeviceLatency) -> Results:
    """What trainings, prunings and refinements might have left."""
    names = [job.name for job in slimmable_jobs(recipe, device)] + [job.name for job in refine_jobs(recipe, device)]
    results: Results = {name: {"tables": tables_of(space, 100 + at)} for at, name in enumerate(names)}
    for job in prune_jobs(recipe, device):
        order = [0, 4, 5, 1, 2, 3] if job.rule == "netadapt" else [5, 3, 2, 4, 1, 0]
        steps = [tuple(0 if group in order[:count] else 1 for group in range(6)) for count in range(7)]
        results[job.name] = {"steps": [{"genome": list(step)} for step in steps], "scored": 10 + job.seed}
    return results


def test_budgets_are_shares_of_the_original_and_the_recipes_own(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency
) -> None:
    original_s = estimate(space.arch.lower(), CAMERA).latency_s
    wanted = {"latency_s": 0.8 * original_s, "weight_bytes": MOST_BYTES}
    assert budgets_of(recipe, device, 0.8) == pytest.approx(wanted)


def test_one_slimmable_training_of_each_seed_and_one_more_for_each_narrowed_budget(
    recipe: WidthRecipe, device: DeviceLatency, tmp_path: Path
) -> None:
    jobs = slimmable_jobs(recipe, device)
    uniform = ["uniform-seed2", "uniform-seed1"]
    narrowed = ["narrowed-0.8-seed2", "narrowed-0.9-seed2", "narrowed-0.8-seed1", "narrowed-0.9-seed1"]
    assert [job.name for job in jobs] == uniform + narrowed
    assert [job.budgets for job in jobs[:2]] == [None, None]
    assert [job.budgets for job in jobs[2:4]] == [budgets_of(recipe, device, share) for share in (0.8, 0.9)]
    others = tiny_recipe(tmp_path, methods=["uniform", "greedy", "optimal"])
    assert [job.name for job in slimmable_jobs(others, device)] == uniform


def test_prunings_go_down_to_the_tightest_budget(recipe: WidthRecipe, device: DeviceLatency, tmp_path: Path) -> None:
    jobs = prune_jobs(recipe, device)
    names = [f"greedy-{rule}-seed{seed}" for seed in SEEDS for rule in ("netadapt", "mobilenetv3")]
    assert [job.name for job in jobs] == names
    assert all(job.budgets == budgets_of(recipe, device, 0.8) for job in jobs)
    assert prune_jobs(tiny_recipe(tmp_path, methods=["uniform", "optimal", "narrowed"]), device) == []


class SlowForSome(Device):
    """A device that some networks surprise."""

    slow: frozenset[str] = frozenset()

    def seconds(self, graph: Graph) -> float:
        return super().seconds(graph) * (1.2 if graph_digest(graph) in self.slow else 1.0)


def test_a_pruning_is_not_lost_where_its_last_step_is_slower_than_predicted(
    space: WidthSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = {**RECIPE["release"], "latency_share": 0.85}
    recipe = tiny_recipe(tmp_path, latency_shares=[0.85], budgets={}, release=release, greedy={"rules": ["netadapt"]})
    tool = SlowForSome()
    monkeypatch.setattr(oracles, "load", lambda name, target: tool)
    plan = MeasurePlan(oracle="device", timings=10)
    with DeviceLatency.of(space, load_target("edge-npu"), plan, (), tmp_path / "timings.jsonl") as device:
        job = prune_jobs(recipe, device)[0]
        most_s = device.budget_s(0.85)
        least_s = min(device.predicted_s(list(np.ndindex(*space.sizes))))
        assert job.budgets["latency_s"] == pytest.approx(max(0.8 * most_s, least_s))
        for seed in range(20):  # until pruning comes to a network just below the budget that nobody has timed

            def losses(rows: Any, tables: Any = tables_of(space, seed)) -> list[float]:  # noqa: B008 (of this seed)
                return [sum(table[choice] for table, choice in zip(tables, row, strict=True)) for row in rows]

            way = greedy_widths(job.costs, job.budgets, losses, step=0.01)
            first = next(step for step in way.steps if step.values["latency_s"] <= most_s)
            if first.genome not in device.timed and first.values["latency_s"] > 0.9 * most_s:
                break
        assert way.best.genome != first.genome
        tool.slow = frozenset([graph_digest(space.decode(first.genome).lower())])
        chosen = device.chosen_on_way([step.genome for step in way.steps], {"latency_s": most_s})
        assert chosen != first.genome
        assert device.measured_s([chosen])[0] <= most_s


def test_errors_are_refined_for_each_budget_of_each_optimised_method(
    recipe: WidthRecipe, device: DeviceLatency, tmp_path: Path
) -> None:
    jobs = refine_jobs(recipe, device)
    assert sorted(job.name for job in jobs) == sorted(
        [f"refined-uniform-seed{seed}-at-{share}" for seed in SEEDS for share in SHARES]
        + [f"refined-narrowed-{share}-seed{seed}-at-{share}" for seed in SEEDS for share in SHARES]
    )
    assert all(job.budgets == budgets_of(recipe, device, job.share) for job in jobs)
    assert all(job.name.split("-at-")[0].endswith(f"seed{job.seed}") for job in jobs)
    assert {job.plan for job in jobs} == {recipe.slimmable.refine}
    alone = refine_jobs(tiny_recipe(tmp_path, methods=["greedy", "narrowed"]), device)
    assert len(alone) == len(SEEDS) * len(SHARES)
    assert all(job.slimmable.startswith("narrowed-") for job in alone)
    unrefined = tiny_recipe(tmp_path, slimmable={**RECIPE["slimmable"], "refine": None})
    assert refine_jobs(unrefined, device) == []


def test_who_contends_keeps_the_budgets(recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency) -> None:
    found = contenders(recipe, device, results_of(space, recipe, device))
    groups = [list(group) for _, group in itertools.groupby(found, lambda one: (one.seed, one.share, one.method))]
    asked = [(seed, share, method) for seed in SEEDS for share in SHARES for method in recipe.methods]
    assert [(group[0].seed, group[0].share, group[0].method) for group in groups] == asked
    assert [len(group) for group in groups] == [1, 2, 3, 3] * 4  # multiplier; a rule each; candidates, twice
    kept = {share: set(within(space, share)) for share in SHARES}
    for one in found:
        assert one.genome in kept[one.share]
        assert one.predicted_s == pytest.approx(estimate(space.decode(one.genome).lower(), CAMERA).latency_s)
        narrowed = f"narrowed-{one.share}-seed{one.seed}"
        assert one.slimmable == (narrowed if one.method == "narrowed" else f"uniform-seed{one.seed}")


@pytest.mark.parametrize("refine", [RECIPE["slimmable"]["refine"], None])
def test_optimised_contenders_are_the_best_of_all_by_their_errors(
    space: WidthSpace, device: DeviceLatency, tmp_path: Path, refine: Any
) -> None:
    recipe = tiny_recipe(tmp_path, slimmable={**RECIPE["slimmable"], "refine": refine})
    results = results_of(space, recipe, device)
    for (method, seed, share), group in by_choice(contenders(recipe, device, results)).items():
        if method not in ("optimal", "narrowed"):
            continue
        name = f"narrowed-{share}-seed{seed}" if method == "narrowed" else f"uniform-seed{seed}"
        tables = results[name if refine is None else f"refined-{name}-at-{share}"]["tables"]

        def error(genome: Genome, tables: Any = tables) -> float:
            return sum(table[choice] for table, choice in zip(tables, genome, strict=True))

        assert [one.genome for one in group] == sorted(within(space, share), key=error)[:3]


def test_the_others_are_the_largest_multiplier_and_the_first_steps_within(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency
) -> None:
    results = results_of(space, recipe, device)
    for (method, seed, share), group in by_choice(contenders(recipe, device, results)).items():
        kept = set(within(space, share))
        if method == "greedy":
            for one, rule in zip(group, ("netadapt", "mobilenetv3"), strict=True):
                way = [tuple(step["genome"]) for step in results[f"greedy-{rule}-seed{seed}"]["steps"]]
                assert one.genome == next(step for step in way if step in kept)
                assert one.facts == {"rule": rule, "scored": 10 + seed}
        if method == "uniform":
            multiplier = max(m / 100 for m in range(50, 101) if scaled(space, m / 100) in kept)
            assert (group[0].genome, group[0].facts) == (scaled(space, multiplier), {"width_multiplier": multiplier})


def scaled(space: WidthSpace, multiplier: float) -> Genome:
    """MobileNet's rounding, then the nearest width of the group, of two the wider."""
    asked = [make_divisible(group.base * multiplier, 8) for group in space.groups]
    nearest = [min((abs(width - at), -width) for width in group.widths)
               for group, at in zip(space.groups, asked, strict=True)]  # fmt: skip
    return space.genome_of([-negative for _, negative in nearest])


def by_choice(found: list[Contender]) -> dict[tuple[str, int, float], list[Contender]]:
    groups: dict[tuple[str, int, float], list[Contender]] = {}
    for one in found:
        groups.setdefault((one.method, one.seed, one.share), []).append(one)
    return groups


def test_every_network_is_scored_once_with_each_weights(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency
) -> None:
    found = contenders(recipe, device, results_of(space, recipe, device))
    jobs = score_jobs(found)
    assert [job.name for job in jobs] == list(dict.fromkeys(f"score-{one.slimmable}" for one in found))
    for job in jobs:
        assert list(job.genomes) == list(dict.fromkeys(one.genome for one in found if one.slimmable == job.slimmable))
    assert score_jobs([]) == []


def test_the_best_scored_contender_is_chosen(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency, tmp_path: Path
) -> None:
    found = contenders(recipe, device, results_of(space, recipe, device))
    rng = np.random.default_rng(7)
    losses = {job.name: rng.permutation(len(job.genomes)).astype(float).tolist() for job in score_jobs(found)}
    score = {
        (job.slimmable, genome): loss
        for job in score_jobs(found)
        for genome, loss in zip(job.genomes, losses[job.name], strict=True)
    }
    scored = {name: {"losses": values} for name, values in losses.items()}
    chosen = choices(context(recipe, space, tmp_path), device, found, scored)
    groups = by_choice(found)
    assert [(one.method, one.seed, one.share) for one in chosen] == list(groups)
    not_first = 0
    for one in chosen:
        group = groups[one.method, one.seed, one.share]
        best = min(score[other.slimmable, other.genome] for other in group)
        (winner,) = {other.genome for other in group if score[other.slimmable, other.genome] == best}
        assert (one.genome, one.score) == (winner, best)
        assert one.widths == tuple(g.widths[c] for g, c in zip(space.groups, winner, strict=True))
        assert one.facts["contenders"] == len(group)
        assert one.budget_s == pytest.approx(one.share * estimate(space.arch.lower(), CAMERA).latency_s)
        assert one.measured_s == pytest.approx(estimate(space.decode(winner).lower(), CAMERA).latency_s)
        not_first += winner != group[0].genome
    assert not_first  # scores decide, not the order by additive errors


def test_of_equally_scored_contenders_the_first_is_chosen(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency, tmp_path: Path
) -> None:
    found = contenders(recipe, device, results_of(space, recipe, device))
    scored = {job.name: {"losses": [1.5] * len(job.genomes)} for job in score_jobs(found)}
    for one in choices(context(recipe, space, tmp_path), device, found, scored):
        assert one.genome == by_choice(found)[one.method, one.seed, one.share][0].genome


def test_the_original_is_there_once_for_each_seed(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency, tmp_path: Path
) -> None:
    found = originals(context(recipe, space, tmp_path), device)
    assert [(one.name, one.seed) for one in found] == [("original-1-seed2", 2), ("original-1-seed1", 1)]
    original_s = estimate(space.arch.lower(), CAMERA).latency_s
    for one in found:
        assert space.decode(one.genome).normal() == space.decode(space.base).normal()
        assert one.widths == tuple(group.base for group in space.groups)
        assert one.budget_s == one.measured_s == pytest.approx(original_s)
        assert one.predicted_s == pytest.approx(original_s)
        assert one.score is None


def test_budgets_that_a_way_never_reaches_are_refused(
    recipe: WidthRecipe, space: WidthSpace, device: DeviceLatency
) -> None:
    results = results_of(space, recipe, device)
    for job in prune_jobs(recipe, device):
        results[job.name]["steps"] = [{"genome": list(space.base)}]
    with pytest.raises(BudgetError, match="no step of 1 is within"):
        contenders(recipe, device, results)
