"""What a width recipe says: defaults, what is refused and how, and that the shipped recipe says what it promises."""

from __future__ import annotations

import math
from typing import Any

import pytest

from accelzoo import config, get_arch
from accelzoo.errors import ConfigError
from accelzoo.hwmodel import load_target, oracles
from accelzoo.recipes import recipe_path
from accelzoo.recipes.schema import load_recipe, profile_names, read_recipe
from accelzoo.recipes.width.schema import (
    METHODS,
    GreedyPlan,
    MeasurePlan,
    RefinePlan,
    SlimmableTraining,
    WidthRecipe,
)
from accelzoo.search.width import TemperatureSchedule, WidthCosts, WidthSpace, solve_width, uniform_widths
from accelzoo.search.width.baselines import RULES
from accelzoo.train import TrainConfig
from tests.recipes.width_recipe import TEXT, width_recipe

SHIPPED = "mobilenet_v1_width"


def faults(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_recipe(config.Text(TEXT), overrides)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("resolution=7", "resolution (=7) must be at least 8 pixels"),
        ("seeds=[]", "seeds (=[]) must be different, not negative, and at least one"),
        ("seeds=[1, 1]", "seeds (=[1, 1]) must be different, not negative, and at least one"),
        ("seeds=[0, -1]", "seeds (=[0, -1]) must be different, not negative, and at least one"),
        ("latency_shares=[]", "latency_shares (=[]) must be different in six digits, positive, and at least one"),
        ("latency_shares=[0.6, 0.6]", "latency_shares (=[0.6, 0.6]) must be different in six digits, positive"),
        ("latency_shares=[0.6, 0]", "latency_shares (=[0.6, 0.0]) must be different in six digits, positive"),
        ("ratios=[]", "ratios (=[]) must be positive, and at least one"),
        ("ratios=[0.5, -1]", "ratios (=[0.5, -1.0]) must be positive, and at least one"),
        ("divisor=0", "divisor (=0) must be at least 1"),
        ("latency_shares=[0.1234567, 0.1234568]", "must be different in six digits"),
        ("latency_shares=[.inf]", "latency_shares[0]: expected a finite number"),
        ("release.latency_share=0.7", "release.latency_share (=0.7) must be one of [0.6, 0.8]"),
        ("release={name: narrow, dataset_name: digits}", "latency_share"),
        ("methods=[]", "methods (=[]) must be different, with optimal or narrowed among them"),
        ("methods=[uniform, greedy]", "methods (=['uniform', 'greedy']) must be different, with optimal or narrowed"),
        ("methods=[optimal, optimal]", "methods (=['optimal', 'optimal']) must be different"),
        ("methods=[optimal, narowed]", "methods[1]: unknown choice 'narowed' (allowed: uniform, greedy, optimal, "
                                       "narrowed); did you mean 'narrowed'?"),
        ("budgets={latency_s: 1}", "budgets.latency_s: say latency_shares"),
        ("training.evaluate=never", "training.evaluate must not be 'never': the release is chosen by that accuracy"),
        ("greedy.rules=[netadpt]", "greedy.rules[0]: unknown choice 'netadpt' (allowed: netadapt, autoslim, "
                                   "mobilenetv3); did you mean 'netadapt'?"),
        ("measure={}", "oracle"),
        ("slimmable.refine.networks=0", "slimmable.refine: networks (=0) must be at least 1"),
        ("slimmable.schedule={points: []}", "points: at least one pair of progress and temperature is needed"),
        ("slimmable.trainings={}", "slimmable.trainings: unknown key 'trainings'"),
    ],
)  # fmt: skip
def test_what_a_recipe_must_not_say(override: str, said: str) -> None:
    assert any(said in fault for fault in faults(override)), faults(override)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"timings": 9}, r"timings \(=9\) must be at least 10"),
        ({"per_round": 0}, r"per_round \(=0\) must be at least 1"),
        ({"rounds": 0}, r"rounds \(=0\) must be at least 1"),
        ({"repeats": 0}, r"repeats \(=0\) must be at least 1"),
        ({"tolerance": 0.0}, r"tolerance \(=0\.0\) must lie between 0 and 1"),
        ({"tolerance": 1.0}, r"tolerance \(=1\.0\) must lie between 0 and 1"),
        ({"tolerance": math.nan}, r"tolerance \(=nan\) must lie between 0 and 1"),
    ],
)
def test_a_measuring_plan_is_checked(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        MeasurePlan(oracle="systolic", **values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"networks": 0}, r"networks \(=0\) must be at least 1"),
        ({"rounds": 0}, r"rounds \(=0\) must be at least 1"),
        ({"score_images": 0}, r"score_images \(=0\) must be at least 1"),
        ({"statistics_images": 1}, r"statistics_images \(=1\) must be at least 2"),
        ({"temperature": 0.0}, r"temperature \(=0\.0\) must be positive and finite"),
        ({"temperature": math.inf}, r"temperature \(=inf\) must be positive and finite"),
        ({"temperature": math.nan}, r"temperature \(=nan\) must be positive and finite"),
    ],
)
def test_a_plan_of_refining_is_checked(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        RefinePlan(**values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"turns": 0}, r"turns \(=0\) must be at least 1"),
        ({"candidates": 0}, r"candidates \(=0\) must be at least 1"),
        ({"score_images": 0}, r"score_images \(=0\) must be at least 1"),
        ({"statistics_images": 1}, r"statistics_images \(=1\) must be at least 2"),
        ({"held_out": 0.0}, r"held_out \(=0\.0\) must lie between 0 and 1"),
        ({"held_out": 1.0}, r"held_out \(=1\.0\) must lie between 0 and 1"),
        ({"held_out": math.nan}, r"held_out \(=nan\) must lie between 0 and 1"),
    ],
)
def test_a_slimmable_training_is_checked(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        SlimmableTraining(training=TrainConfig(), **values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rules": ()}, r"rules \(=\[\]\) must be different, and at least one"),
        ({"rules": ("autoslim", "autoslim")}, r"rules \(=\['autoslim', 'autoslim'\]\) must be different, .* least one"),
        ({"step": 0.0}, r"step \(=0\.0\) must lie between 0 and 1"),
        ({"step": 1.0}, r"step \(=1\.0\) must lie between 0 and 1"),
        ({"score_images": 0}, r"score_images \(=0\) must be at least 1"),
        ({"statistics_images": 1}, r"statistics_images \(=1\) must be at least 2"),
    ],
)  # fmt: skip
def test_a_plan_of_pruning_is_checked(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        GreedyPlan(**values)


def test_a_fault_says_where_it_stands() -> None:
    (fault,) = faults("slimmable.held_out=1")
    assert fault == "<text>:10:12: slimmable: held_out (=1.0) must lie between 0 and 1"


def test_the_bounds_themselves_are_allowed() -> None:
    MeasurePlan(oracle="systolic", timings=10, per_round=1, rounds=1, repeats=1)
    RefinePlan(networks=1, rounds=1, score_images=1, statistics_images=2)
    SlimmableTraining(training=TrainConfig(), turns=1, candidates=1, score_images=1, statistics_images=2)
    GreedyPlan(rules=("autoslim",), score_images=1, statistics_images=2)
    recipe = read_recipe(config.Text(TEXT), ["resolution=8", "seeds=[0]", "methods=[narrowed]"])
    assert isinstance(recipe, WidthRecipe)
    assert recipe.methods == ("narrowed",)


def test_defaults_compare_everything_over_three_seeds() -> None:
    recipe = read_recipe(config.Text(TEXT.replace("seeds: [0]\n", "")))
    assert isinstance(recipe, WidthRecipe)
    assert recipe.methods == METHODS == ("uniform", "greedy", "optimal", "narrowed")
    assert recipe.seeds == (0, 1, 2)
    assert recipe.measure is None  # estimates are taken at their word
    assert (recipe.divisor, recipe.fixed, recipe.budgets, recipe.task) == (8, (), {}, "classification")
    assert recipe.greedy.rules == RULES == ("netadapt", "autoslim", "mobilenetv3")
    plan = recipe.slimmable
    assert (plan.sandwich, plan.per_image, plan.distill, plan.joint) == (True, True, True, True)
    # The authors' schedule: all alike for a quarter of the training (5 of 20 epochs), then annealed.
    assert plan.schedule == TemperatureSchedule()
    assert [plan.schedule.at(progress) for progress in (0.0, 0.249)] == [math.inf, math.inf]
    assert [plan.schedule.at(progress) for progress in (0.25, 0.3, 1.0)] == pytest.approx([1.0, 0.01, 0.0005])
    assert plan.refine == RefinePlan()
    off = read_recipe(config.Text(TEXT), ["slimmable.refine=null"])
    assert isinstance(off, WidthRecipe)
    assert off.slimmable.refine is None


def test_a_recipe_is_read_back_as_it_is_written() -> None:
    recipe = read_recipe(config.Text(TEXT), ["measure={oracle: systolic}", "slimmable.refine=null", "fixed=[stem]"])
    assert read_recipe(config.Text(config.dump_yaml(recipe))) == recipe
    assert config.digest(recipe) != config.digest(width_recipe())


def shipped(profile: str) -> WidthRecipe:
    recipe = load_recipe(SHIPPED, profile)
    assert isinstance(recipe, WidthRecipe)
    return recipe


def space_of(recipe: WidthRecipe) -> WidthSpace:
    size = (3, recipe.resolution, recipe.resolution)
    arch = get_arch(recipe.network, **recipe.options, num_classes=10, input_size=size)
    return WidthSpace.from_arch(arch, recipe.ratios, divisor=recipe.divisor, fixed=recipe.fixed)


def test_the_shipped_recipe_has_the_profiles_that_its_first_lines_tell() -> None:
    opening = [line for line in recipe_path(SHIPPED).read_text("utf-8").splitlines() if line.startswith("#")]
    assert profile_names(SHIPPED) == ["smoke", "full", "cpu"]
    for profile in profile_names(SHIPPED):
        (line,) = [line for line in opening if f"accelzoo run {SHIPPED} --profile {profile}" in line]
        assert shipped(profile).data.split(":")[0] == ("cifar10" if "data=cifar10:" in line else "digits")
    assert any("LiteRT" in line for line in opening)


def test_the_shipped_profiles_measure_where_they_say() -> None:
    smoke, full, cpu = (shipped(profile) for profile in ("smoke", "full", "cpu"))
    assert smoke.measure is None
    assert full.measure is not None
    assert cpu.measure is not None
    assert (full.measure.oracle, full.target) == ("ethos-u", "ethos-u55-128")
    assert (cpu.measure.oracle, cpu.target) == ("litert", "x86-int8")
    for recipe in (full, cpu):
        assert recipe.measure is not None
        assert load_target(recipe.target).name in oracles.list_targets(recipe.measure.oracle)
    # The whole comparison, over three seeds: also what the profiles leave as it is.
    for recipe in (full, cpu):
        assert (recipe.methods, recipe.seeds) == (METHODS, (0, 1, 2))
        assert recipe.greedy.rules == ("netadapt", "mobilenetv3")
        assert (recipe.ratios[0], recipe.ratios[-1], recipe.divisor) == (0.2, 1.5, 8)  # 20 % to 150 %, multiples of 8
        assert len(recipe.ratios) == 14
        assert recipe.training.threads == recipe.slimmable.training.threads == 1
    assert smoke.seeds == (0,)
    assert smoke.methods == METHODS
    assert cpu.options == {"stem_stride": 1}


@pytest.mark.parametrize("profile", ["smoke", "full"])
def test_estimates_of_the_shipped_budgets_can_be_met(profile: str) -> None:
    recipe = shipped(profile)
    space = space_of(recipe)
    costs = WidthCosts.priced(space, recipe.target)
    (original_s,) = costs.totals([space.base])[0]
    for share in recipe.latency_shares:
        budgets = {"latency_s": share * float(original_s)}
        found = solve_width(costs, budgets, objective="latency_s")
        assert found.status == "optimal"
        multiplier = uniform_widths(space, costs, budgets, lambda genomes: [0.0] * len(genomes)).width_multiplier
        assert 0.2 <= multiplier < 1
    assert recipe.release.latency_share in recipe.latency_shares
