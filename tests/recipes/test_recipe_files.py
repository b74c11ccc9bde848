"""The recipes that ship, checked as a whole: every profile, every name in it, and every header against its lock."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.recipes.headers import UNKNOWN, read_header
from accelzoo.recipes.recipe_check import check_recipe, recipes_in
from accelzoo.recipes.schema import load_recipe, profile_names
from tests.checkout import ROOT

LOCKED = sorted(path.name.removesuffix(".lock.json") for path in (ROOT / "recipes").glob("*.lock.json"))


@pytest.mark.parametrize("name", recipes_in([str(ROOT / "recipes")]), ids=lambda path: Path(path).stem)
def test_every_recipe_below_the_folder_has_no_fault(name: str) -> None:
    checked = check_recipe(name)
    assert checked.faults == ()
    assert checked.profiles == tuple(profile_names(name))
    assert Path(name).stem in list_recipes()


@pytest.mark.parametrize("name", LOCKED)
def test_a_header_says_what_the_lock_says(name: str, tmp_path: Path) -> None:
    """`check_recipe` compares; that it does is seen with a lock of another result."""
    lock = json.loads((ROOT / "recipes" / f"{name}.lock.json").read_text("utf-8"))
    copy = tmp_path / f"{name}.yaml"
    copy.write_bytes(recipe_path(name).read_bytes())
    beside = tmp_path / f"{name}.lock.json"
    beside.write_text(json.dumps(lock), encoding="utf-8")
    assert check_recipe(str(copy)).faults == ()
    scored = lock["comparison"]["baseline"] if "baseline" in lock["comparison"] else lock["comparison"]["networks"][0]
    scored["test_mean" if "test_mean" in scored else "test_top1_mean"] += 0.01
    beside.write_text(json.dumps(lock), encoding="utf-8")
    faults = check_recipe(str(copy)).faults
    assert len(faults) == 1
    assert "is stated, the lock has" in faults[0]
    beside.write_text("[]", encoding="utf-8")
    (fault,) = check_recipe(str(copy)).faults
    assert fault.startswith(f"{beside}: no lock of a run")


@pytest.mark.parametrize("name", list_recipes())
def test_every_headers_command_runs_its_profile(name: str) -> None:
    header = read_header(recipe_path(name))
    assert list(header.profiles) == profile_names(name)
    for profile, said in header.profiles.items():
        program, verb, recipe, *rest = shlex.split(said.run)
        assert (program, verb, recipe) == ("accelzoo", "run", name)
        assert rest[:2] == ["--profile", profile]
        assert load_recipe(name, profile, [word for word in rest if "=" in word]).recipe == name
        assert said.hardware
        assert (said.time is None) == (said.time_text == UNKNOWN)
