"""A run's folder: taken once, resumed, and never emptied of what is not a run's."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config
from accelzoo.errors import AccelzooError, ConfigError, DataError
from accelzoo.hubs.conformance import example_release
from accelzoo.recipes.folder import RunFolder, write_text
from accelzoo.recipes.schema import Recipe, load_funnel, read_recipe
from tests.recipes.width_recipe import width_recipe, write_width_run

RECIPE = load_funnel("camera_classification", "smoke")
OTHER = replace(RECIPE, data="elsewhere")


def begun(path: Path, recipe: Recipe = RECIPE) -> RunFolder:
    run = RunFolder(path)
    run.begin(recipe, resume=False, force=False)
    return run


def filled(path: Path) -> RunFolder:
    """A run with everything that a run makes."""
    run = begun(path)
    for part in ("search/trace.jsonl", "trainings/winner-seed0/checkpoint.json", "release/README.md", "table.md"):
        (path / part).parent.mkdir(parents=True, exist_ok=True)
        (path / part).write_text("x", encoding="utf-8")
    (path / ".release.ab12.partial").mkdir()
    run.write_json("lock", {})
    run.write_json("seconds", {})
    return run


def content(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): file.read_text("utf-8") for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("settings", [{}, {"resume": True}, {"force": True}])
@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a run killed as it began"])
def test_a_new_folder_keeps_the_recipe(tmp_path: Path, settings: dict[str, bool], left: str) -> None:
    path = tmp_path / "some" / "run"
    if left != "nothing":
        path.mkdir(parents=True)
    if left == "a run killed as it began":
        (path / ".recipe.yaml.partial").write_text("recipe: cam", encoding="utf-8")
    RunFolder(path).begin(RECIPE, **{"resume": False, "force": False, **settings})
    assert [file.name for file in path.iterdir()] == ["recipe.yaml"]
    assert config.read(Recipe, path / "recipe.yaml") == RECIPE


def test_a_run_is_refused_without_resume_or_force(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    before = content(tmp_path)
    with pytest.raises(AccelzooError, match=r"a run is there already; --resume .* --force .* --out"):
        begun(tmp_path / "run", OTHER)
    assert content(tmp_path) == before


def test_resume_takes_the_same_recipe_only(tmp_path: Path) -> None:
    run = filled(tmp_path / "run")
    before = content(tmp_path)
    run.begin(RECIPE, resume=True, force=False)
    with pytest.raises(ConfigError, match="data: 'digits' became 'elsewhere'"):
        run.begin(OTHER, resume=True, force=False)
    assert content(tmp_path) == before


def test_force_removes_the_run_and_nothing_beside_it(tmp_path: Path) -> None:
    run = filled(tmp_path / "run")
    filled(tmp_path / "beside")
    beside = content(tmp_path / "beside")
    run.begin(OTHER, resume=False, force=True)
    assert [file.name for file in run.path.iterdir()] == ["recipe.yaml"]
    assert config.read(Recipe, run.path / "recipe.yaml") == OTHER
    assert content(tmp_path / "beside") == beside


def test_a_width_run_is_taken_resumed_and_removed_as_any_other(tmp_path: Path) -> None:
    run = write_width_run(tmp_path / "run")
    assert read_recipe(run.path / "recipe.yaml") == width_recipe()
    parts = [run.timings, run.width_trace, run.picture, run.picture.with_suffix(".svg"), run.jobs / "final.json"]
    parts += [run.slimmable / "net.safetensors", run.path / ".widths.png.partial", run.path / ".choices.json.partial"]
    for part in parts:
        part.parent.mkdir(exist_ok=True)
        part.write_text("x", encoding="utf-8")
    run.write_json("choices", [])
    before = content(tmp_path)
    run.begin(width_recipe(), resume=True, force=False)
    with pytest.raises(ConfigError, match="kind: 'width' became 'funnel'"):
        run.begin(RECIPE, resume=True, force=False)
    assert content(tmp_path) == before
    run.begin(RECIPE, resume=False, force=True)
    assert content(run.path) == {"recipe.yaml": config.dump_yaml(RECIPE)}


def test_force_removes_a_link_but_not_what_it_leads_to(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "checkpoint.json").write_text("{}", encoding="utf-8")
    (run.path / "trainings").symlink_to(tmp_path / "disk", target_is_directory=True)
    run.begin(RECIPE, resume=False, force=True)
    assert not (run.path / "trainings").exists()
    assert (tmp_path / "disk" / "checkpoint.json").exists()


def release(path: Path) -> None:
    example_release(path)


def own_recipe(path: Path) -> None:
    path.mkdir()
    path.joinpath("recipe.yaml").write_text("recipe: mine  # a week's work\ndata: digits\n", encoding="utf-8")


def home(path: Path) -> None:
    (path / "photos").mkdir(parents=True)
    (path / "photos" / "me.jpg").write_bytes(b"jpeg")


def run_with_notes(path: Path) -> None:
    filled(path)
    (path / "notes.md").write_text("mine", encoding="utf-8")


def plain_file(path: Path) -> None:
    path.write_text("mine", encoding="utf-8")


@pytest.mark.parametrize("make", [release, own_recipe, home, run_with_notes, plain_file])
def test_force_never_removes_what_no_run_made(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "taken"
    make(path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(AccelzooError, match=r"choose another --out|remove the folder yourself"):
        RunFolder(path).begin(RECIPE, resume=False, force=True)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("make", [release, own_recipe, home, plain_file])
def test_what_is_no_run_is_not_resumed(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "taken")
    with pytest.raises(AccelzooError):
        RunFolder(tmp_path / "taken").begin(RECIPE, resume=True, force=False)


def test_check_changes_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").check(RECIPE, resume=False, force=False)
    assert not (tmp_path / "new").exists()
    run = filled(tmp_path / "run")
    before = content(tmp_path)
    run.check(OTHER, resume=False, force=True)
    assert content(tmp_path) == before


def test_a_run_that_is_being_removed_stays_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = filled(tmp_path / "run")
    removed = []

    def stop(path: Path) -> None:
        removed.append(path.name)
        if len(removed) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        run.begin(OTHER, resume=False, force=True)
    monkeypatch.undo()
    assert config.read(Recipe, run.path / "recipe.yaml") == RECIPE
    run.begin(OTHER, resume=False, force=True)
    assert content(run.path) == {"recipe.yaml": config.dump_yaml(OTHER)}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(AccelzooError, match="choose another --out"):
        begun(tmp_path / "closed" / "run")


def test_a_folder_below_a_file_is_the_users_mistake(tmp_path: Path) -> None:
    plain_file(tmp_path / "file")
    with pytest.raises(AccelzooError, match="choose another --out"):
        begun(tmp_path / "file" / "run")


def test_records(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.read_json("seconds") is None
    run.write_json("seconds", {"µ": 1.5})
    assert run.read_json("seconds") == {"µ": 1.5}
    assert json.loads((run.path / "seconds.json").read_text("utf-8")) == {"µ": 1.5}
    (run.path / "seconds.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"seconds\.json: not JSON: .*remove the file"):
        run.read_json("seconds")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_record_is_the_old_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    write_text(tmp_path / "table.md", "old")
    with monkeypatch.context() as patch:
        patch.setattr({"fsync": "os.fsync", "replace": "pathlib.Path.replace"}[step], stop)
        with pytest.raises(KeyboardInterrupt):
            write_text(tmp_path / "table.md", "new")
    assert (tmp_path / "table.md").read_text("utf-8") == "old"
    write_text(tmp_path / "table.md", "new")
    assert content(tmp_path) == {"table.md": "new"}
