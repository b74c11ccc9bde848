"""A recipe made concrete: budgets by hand, and space and baseline fitted to the data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config
from accelzoo.draw import generator
from accelzoo.errors import ConfigError
from accelzoo.hwmodel import Cost, estimate, load_target
from accelzoo.recipes.pricing import prepare
from accelzoo.recipes.schema import Recipe, load_funnel
from accelzoo.registry import get_arch

RECIPE = load_funnel("camera_classification", "smoke")
MIB = 1024 * 1024
DEVICE = {"weight_bytes": 4 * MIB, "peak_activation_bytes": MIB}  # what the file of camera-npu says
STEM_AND_STAGES = """\
stem: {out_channels: 8}
stages: [{kind: conv_bn_act, out_channels: {choice: [8, 16]}}]
"""


def budgeted(relative: dict[str, float], absolute: dict[str, float]) -> Recipe:
    return replace(RECIPE, relative_budgets=relative, budgets=absolute)


def baseline_cost() -> Cost:
    return estimate(get_arch("camera_ibn", num_classes=10, input_size=(3, 24, 24)).lower(), load_target("camera-npu"))


def test_the_smallest_limit_of_each_field_holds() -> None:
    cost = baseline_cost()
    assert 10_000 < cost.weight_bytes < 400_000
    task = prepare(budgeted({"weight_bytes": 0.5, "macs": 0.25}, {"weight_bytes": 10_000, "latency_s": 1e-3}), 10, 3)
    assert task.baseline_cost == cost
    assert task.budgets == {
        "latency_s": 1e-3,
        "peak_activation_bytes": MIB,
        "weight_bytes": 10_000,
        "macs": 0.25 * cost.macs,
    }
    assert prepare(budgeted({"weight_bytes": 0.5}, {"weight_bytes": 10**6}), 10, 3).budgets == {
        **DEVICE,
        "weight_bytes": 0.5 * cost.weight_bytes,
    }
    large = {name: 100 * maximum for name, maximum in DEVICE.items()}
    assert prepare(budgeted({}, dict(large)), 10, 3).budgets == DEVICE
    assert prepare(budgeted({}, {}), 10, 3).budgets == DEVICE


def test_a_target_without_limits_gives_no_budgets(tmp_path: Path) -> None:
    path = tmp_path / "free.yaml"
    target = replace(load_target("camera-npu"), name="free", weight_budget_bytes=None, activation_budget_bytes=None)
    path.write_text(config.dump_yaml(target), encoding="utf-8")
    assert prepare(replace(budgeted({}, {}), target=str(path)), 10, 3).budgets == {}


def test_unknown_fields_and_bad_values_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(budgeted({"latency": 1.0}, {"weigth_bytes": 3}), 10, 3)
    latency, weights = caught.value.faults
    assert latency.startswith("relative_budgets.latency: unknown cost field; did you mean 'latency_s'?")
    assert weights.startswith("budgets.weigth_bytes: unknown cost field; did you mean 'weight_bytes'?")
    with pytest.raises(ConfigError) as caught:
        prepare(budgeted({"latency_s": -0.5, "macs": 0.0}, {"weight_bytes": 0}), 10, 3)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "relative_budgets.latency_s",
        "relative_budgets.macs",
        "budgets.weight_bytes",
    ]


def test_a_baseline_that_the_target_cannot_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "poor.yaml"
    target = replace(load_target("camera-npu"), name="poor", unsupported=("depthwise_conv2d",))
    path.write_text(config.dump_yaml(target), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"target 'poor' cannot run the baseline's .*depthwise_conv2d"):
        prepare(replace(RECIPE, target=str(path)), 10, 3)


@pytest.mark.parametrize("resolutions", [(24,), (16, 24), (40, 32, 24)])
def test_baseline_and_space_are_fitted_to_the_data(resolutions: tuple[int, ...]) -> None:
    task = prepare(replace(RECIPE, resolutions=resolutions), 7, 3)
    largest = max(resolutions)
    assert task.baseline.input_size == (3, largest, largest)
    rng = generator(0)
    drawn = [task.space.sample(rng) for _ in range(40)]
    assert {arch.input_size for arch in drawn} == {(3, pixels, pixels) for pixels in resolutions}
    heads: list[Any] = [task.baseline.head, *(arch.head for arch in drawn)]
    assert {head.num_classes for head in heads} == {7}


@pytest.mark.parametrize(
    ("head", "hidden"),
    [
        ("", {1280}),  # the head's own default
        ("head: {kind: classification, num_classes: {choice: [3, 4]}, hidden_channels: 8}", {8}),
        ("head: {choice: [{kind: classification}, {kind: classification, hidden_channels: 8}]}", {1280, 8}),
    ],
)
def test_every_way_to_write_a_head_is_fitted(tmp_path: Path, head: str, hidden: set[int]) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(STEM_AND_STAGES + head, encoding="utf-8")
    space = prepare(replace(RECIPE, space=str(path)), 5, 3).space
    rng = generator(0)
    heads: list[Any] = [space.sample(rng).head for _ in range(20)]
    assert {(found.num_classes, found.hidden_channels) for found in heads} == {(5, width) for width in hidden}


def test_the_message_lists_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=re.escape("(allowed: ") + ".*weight_bytes"):
        prepare(budgeted({"bytes": 1.0}, {}), 10, 3)
