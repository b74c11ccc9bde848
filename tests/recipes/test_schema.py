"""Recipes as files: profiles, overrides, and faults with their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import accelzoo
from accelzoo import config
from accelzoo.errors import ConfigError, UnknownNameError
from accelzoo.hwmodel import load_target
from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.recipes.pricing import prepare
from accelzoo.recipes.schema import (
    Recipe,
    check_unchanged,
    differences,
    load_funnel,
    load_recipe,
    profile_names,
    read_recipe,
    recipe_kind,
)
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search import algorithm_names
from tests.recipes.width_recipe import PROFILES as WIDTH_PROFILES
from tests.recipes.width_recipe import TEXT as WIDTH

TEXT = """\
recipe: mine
target: camera-npu
data: digits
baseline: camera_ibn
space: camera
resolutions: [16, 24]
relative_budgets: {latency_s: 1.0}
search: {evaluations: 20, algorithm: evolution, options: {population: 8}, signal: {epochs: 2, learning_rate: 4e-3}}
finalists: {training: {epochs: 3}}
training: {epochs: 4}
release: {name: mine, dataset_name: digits}
"""
PROFILES = """\
profiles:
  quick:
    search: {evaluations: 3, signal: {epochs: 0.5}}
    resolutions: [16]
  same:
  other: {data: mine.npz}
"""
SHIPPED = [(name, profile) for name in list_recipes() for profile in profile_names(name)]
FUNNELS = [(name, profile) for name, profile in SHIPPED if recipe_kind(recipe_path(name)) == "funnel"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT + PROFILES, encoding="utf-8")
    return path


def faults(path: Path, text: str, *overrides: str, profile: str | None = None) -> list[str]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, profile, overrides)
    return [fault.removeprefix(f"{path}:") for fault in caught.value.faults]


@pytest.mark.parametrize(("name", "profile"), FUNNELS)
def test_every_shipped_funnel_can_be_priced_with_every_profile(name: str, profile: str) -> None:
    recipe = load_funnel(name, profile)
    assert recipe.search.algorithm in algorithm_names()
    task = prepare(recipe, 10, 3)
    assert task.target == load_target(recipe.target)
    assert task.budgets


@pytest.mark.parametrize(("name", "profile"), SHIPPED)
def test_every_shipped_recipe_is_read_back_as_it_is_written(name: str, profile: str) -> None:
    recipe = load_recipe(name, profile)
    assert recipe.recipe == recipe_path(name).stem
    assert read_recipe(config.Text(config.dump_yaml(recipe))) == recipe


def test_every_shipped_recipe_has_profiles() -> None:
    assert {name for name, _ in SHIPPED} == set(list_recipes())


@pytest.fixture
def width_path(tmp_path: Path) -> Path:
    path = tmp_path / "narrow.yaml"
    path.write_text(WIDTH + WIDTH_PROFILES, encoding="utf-8")
    return path


def test_the_kind_says_what_is_read(path: Path, width_path: Path) -> None:
    funnel, width = load_recipe(path), load_recipe(width_path, "wide", ["seeds=[1, 2]"])
    assert isinstance(funnel, Recipe)
    assert funnel.kind == "funnel"
    assert isinstance(width, WidthRecipe)
    assert (width.kind, width.ratios, width.seeds, width.release.name) == ("width", (0.5, 1.5), (1, 2), "narrow")
    path.write_text(f"kind: funnel\n{TEXT}", encoding="utf-8")
    assert load_recipe(path) == load_funnel(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("widht", "unknown kind of recipe 'widht'; did you mean 'width'?; allowed: funnel, width"),
     ("3", "unknown kind of recipe 3; allowed: funnel, width"),
     ("[width]", "unknown kind of recipe ['width']")],
)  # fmt: skip
def test_an_unknown_kind_is_refused_where_it_stands(path: Path, kind: str, said: str) -> None:
    (fault,) = faults(path, WIDTH.replace("kind: width", f"kind: {kind}"))
    assert fault.startswith("1:7: kind: ")
    assert said in fault


def test_the_keys_of_another_kind_are_unknown(path: Path) -> None:
    found = faults(path, WIDTH.replace("kind: width\n", ""))
    assert any(fault.startswith("4:1: ") and "unknown key 'network'" in fault for fault in found)
    assert any("space" in fault and "missing" in fault for fault in found)


def test_a_width_recipe_has_no_space_to_search(width_path: Path) -> None:
    with pytest.raises(ConfigError, match="of kind width has no space to search; one of kind funnel has"):
        load_funnel(width_path)


def test_a_width_run_goes_on_with_its_own_recipe_only(path: Path, width_path: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.yaml"
    recorded.write_text(config.dump_yaml(load_recipe(width_path)), encoding="utf-8")
    check_unchanged(recorded, load_recipe(width_path, "quick"))
    with pytest.raises(ConfigError, match=r"ratios: \[0\.5, 1\.0\] became \[0\.5, 1\.5\]"):
        check_unchanged(recorded, load_recipe(width_path, "wide"))
    with pytest.raises(ConfigError, match="kind: 'width' became 'funnel'"):
        check_unchanged(recorded, load_recipe(path))


def test_a_profile_is_laid_over_the_recipe(path: Path) -> None:
    assert profile_names(path) == ["quick", "same", "other"]
    quick, same, other = (load_funnel(path, name) for name in profile_names(path))
    assert (quick.search.evaluations, quick.search.signal.epochs, quick.resolutions) == (3, 0.5, (16,))
    assert quick.search.signal.learning_rate == 4e-3
    assert quick.search.options == {"population": 8}
    assert (same.search.evaluations, same.resolutions, same.data) == (20, (16, 24), "digits")
    assert other.data == "mine.npz"
    assert load_funnel(path) == quick


def test_overrides_come_last(path: Path) -> None:
    changes = ["search.evaluations=7", "data=/a/b", "budgets.macs=1e6", "seeds=[4]", "search.options.sample_size=2"]
    recipe = load_funnel(path, "quick", changes)
    assert (recipe.search.evaluations, recipe.data, recipe.budgets, recipe.seeds) == (7, "/a/b", {"macs": 1e6}, (4,))
    assert recipe.search.options == {"population": 8, "sample_size": 2}


def test_a_recipe_without_profiles(path: Path) -> None:
    path.write_text(TEXT, encoding="utf-8")
    assert profile_names(path) == []
    assert load_funnel(path).resolutions == (16, 24)
    with pytest.raises(UnknownNameError, match=r"unknown profile of mine\.yaml 'quick'.*Known: none"):
        load_funnel(path, "quick")


def test_unknown_names_are_refused_with_the_nearest(path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"profile of mine\.yaml 'quik'; did you mean 'quick'\?.*other, quick"):
        load_recipe(path, "quik")
    with pytest.raises(UnknownNameError, match="did you mean 'camera_classification'"):
        load_recipe("camera_clasification")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_recipe("nowhere.yaml")


def test_unknown_keys_are_refused_where_they_stand(path: Path) -> None:
    found = faults(path, TEXT.replace("evaluations", "evaluatoins").replace("baseline:", "basline:"))
    assert any(fault.startswith("4:1: ") and "did you mean 'baseline'" in fault for fault in found)
    assert any(fault.startswith("8:10: ") and "did you mean 'evaluations'" in fault for fault in found)
    assert any("baseline" in fault and "missing" in fault for fault in found)


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("[16, 24]", "[16, 4]", "1:1", r"resolutions \(=\[16, 4\]\) must be at least 8 pixels"),
        ("[16, 24]", "[]", "1:1", "at least one"),
        ("[16, 24]", "[16, 16]", "1:1", "must be different"),
        ("[16, 24]", "[16, x]", "6:19", "resolutions"),
        ("evaluations: 20", "evaluations: 0", "8:9", r"evaluations \(=0\) must be at least 1"),
        ("evaluations: 20", "evaluations: many", "8:23", "search.evaluations"),
        ("evaluations: 20", "evaluations: 20, latency_exponent: 0.5", "8:9", "must be zero or negative"),
        ("evaluations: 20", "evaluations: 20, seed: -1", "8:9", r"seed \(=-1\) must not be negative"),
        ("epochs: 2,", "evaluate: never,", "8:9", r"signal\.evaluate must not be 'never'"),
        ("{epochs: 3}", "{evaluate: never}", "9:12", r"training\.evaluate must not be 'never'"),
        ("{epochs: 4}", "{epochs: -4}", "10:11", r"epochs \(=-4.0\) must be positive"),
        ("finalists: {", "finalists: {count: 0, ", "9:12", r"count \(=0\) must be at least 1"),
        ("finalists: {", "finalists: {fidelities: [0.5], ", "9:12", r"fidelities \(=\[0.5\]\) must end with 1"),
        ("finalists: {", "finalists: {fidelities: [0.5, 0.5, 1], ", "9:12", "each above the one before"),
        ("finalists: {", "finalists: {keep: 0, ", "9:12", r"keep \(=0.0\) must be above 0"),
        ("finalists: {", "finalists: {scale: epoch, ", "9:20", "epochs"),
        ("evaluations: 20", "evaluations: 20, pending: 0", "8:9", r"pending \(=0\) must be at least 1"),
        ("evaluations: 20", "evaluations: 20, shortlist: {keep: 0}", "8:38", r"keep \(=0\) must be at least 1"),
        ("data: digits", "data: digits\nseeds: [1, 1]", "1:1", "must be different"),
        ("data: digits", "data: digits\nseeds: [-1]", "1:1", "not negative"),
        ("data: digits", "data: digits\ntask: detection", "4:7", "classification"),
    ],
)
def test_bad_values_are_refused_where_they_stand(path: Path, old: str, new: str, where: str, said: str) -> None:
    (fault,) = faults(path, TEXT.replace(old, new, 1))
    assert fault.startswith(f"{where}: ")
    assert re.search(said, fault)


def test_faults_in_a_profile_and_in_overrides_say_so(path: Path) -> None:
    profiled, overridden = faults(
        path, TEXT + "profiles:\n  quick:\n    search: {evaluation: 3}\n", "search.sed=1", profile="quick"
    )
    assert profiled.startswith("14:14: search.evaluation: unknown key 'evaluation'")
    assert "override 'search.sed=1'" in overridden
    assert "did you mean 'seed'" in overridden


@pytest.mark.parametrize("profiles", ["[quick]", "quick", "3"])
def test_profiles_must_be_a_mapping(path: Path, profiles: str) -> None:
    (fault,) = faults(path, f"{TEXT}profiles: {profiles}\n")
    assert fault.startswith("12:11: profiles: expected a mapping of profiles")


def test_differences() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": 1}
    after = {"a": 1, "b": {"c": [1, 3], "d": "x"}, "new": 2}
    assert differences(before, after) == [
        "b.c: [1, 2] became [1, 3]",
        "gone: 1 became None",
        "new: None became 2",
    ]
    assert differences(before, before) == []


def test_a_run_goes_on_with_the_recipe_that_it_was_begun_with(path: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.yaml"
    recipe = load_recipe(path, "same", ["training.learning_rate=1e-5"])
    recorded.write_text(config.dump_yaml(recipe), encoding="utf-8")
    check_unchanged(recorded, recipe)
    with pytest.raises(ConfigError) as caught:
        check_unchanged(recorded, load_recipe(path, "quick", ["training.learning_rate=1e-5"]))
    assert [fault.partition("another recipe: ")[2] for fault in caught.value.faults] == [
        "resolutions: [16, 24] became [16]",
        "search.evaluations: 20 became 3",
        "search.signal.epochs: 2.0 became 0.5",
    ]


def test_a_run_that_was_begun_without_a_funnel_says_what_is_new(tmp_path: Path) -> None:
    """The recipe of the packaged release says nothing of one: a release of before there was one looks the same."""
    recorded = Path(accelzoo.__file__).parent / "zoo" / "camera_accel" / "recipe.yaml"
    text = recorded.read_text("utf-8")
    assert "shortlist" not in text
    old = config.read(Recipe, recorded)
    assert (old.search.algorithm, old.search.shortlist, old.search.pending) == ("evolution", None, 1)
    assert (old.finalists.fidelities, old.finalists.count) == ((1.0,), 6)
    check_unchanged(recorded, old)
    funnel = ["search.algorithm=default", "search.options={}", "search.shortlist={draw: 100000, keep: 512}"]
    with pytest.raises(ConfigError) as caught:
        check_unchanged(recorded, load_recipe("camera_classification", "full", funnel))
    said = "\n".join(caught.value.faults)
    assert "search.algorithm: 'evolution' became 'default'" in said
    assert "search.shortlist: None became {'draw': 100000, 'keep': 512, 'scores': " in said


def test_a_recipe_recorded_before_a_field_existed_is_unchanged(path: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.yaml"
    recorded.write_text(TEXT, encoding="utf-8")  # leaves out what is at its default
    check_unchanged(recorded, load_recipe(path, "same"))
