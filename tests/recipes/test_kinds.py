"""Recipes of kind width and product and the commands: listed, shown, run, and refused where there is no one search."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import accelzoo.recipes
from accelzoo.errors import ConfigError
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.pipeline import run_recipe
from accelzoo.recipes.run_view import find_run
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.workers import Serial
from tests.recipes.calls import Capture, failure, run, run_json
from tests.recipes.product.tiny_product import product_recipe, write_product
from tests.recipes.width_recipe import PROFILES, TEXT, write_width_run

pytestmark = pytest.mark.usefixtures("own_places")


class Compared:
    def markdown(self) -> str:
        return "| a |\n"

    def to_json(self) -> dict[str, Any]:
        return {"gain": 0.5}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of recipes, in which there is but one."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "narrow.yaml").write_text(f"# Narrow.\n{TEXT}{PROFILES}", encoding="utf-8")
    monkeypatch.setattr(accelzoo.recipes, "FOLDER", folder)
    return folder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the width pipeline is called with, which does nothing else."""
    made: list[Any] = []

    def run_width(
        plan: WidthRecipe, folder: RunFolder, workers: Any, progress: bool | None, *, asked: Asked, **how: bool
    ) -> Outcome:
        made.append((plan, folder.path, workers, progress, asked.command, how))
        return Outcome(folder=folder.path, release=folder.release, digest="sha256:0", comparison=Compared())

    pipeline = ModuleType("accelzoo.recipes.width.pipeline")
    pipeline.run_width = run_width  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, pipeline.__name__, pipeline)
    return made


@pytest.mark.usefixtures("shipped")
def test_it_is_listed_and_shown(capsys: Capture) -> None:
    (entry,) = run_json(capsys, "ls", "recipes")["recipes"]
    assert (entry["name"], entry["target"]) == ("narrow", "camera-npu")
    assert run(capsys, "show", "narrow") == f"# Narrow.\n{TEXT}{PROFILES}"
    assert run_json(capsys, "show", "narrow")["recipe"]["kind"] == "width"
    assert run_json(capsys, "ls", "spaces", "camera")["spaces"][0]["baselines"] == []


@pytest.mark.usefixtures("shipped")
def test_it_goes_to_the_pipeline_of_its_kind(calls: list[Any], capsys: Capture) -> None:
    outcome = run_recipe("narrow", profile="wide", overrides=["seeds=[1]"], resume=True, progress=False)
    ((plan, folder, workers, progress, command, how),) = calls
    assert (plan.ratios, plan.seeds) == ((0.5, 1.5), (1,))
    assert command == "accelzoo run narrow.yaml --profile wide 'seeds=[1]'"
    assert (folder, progress, how) == (Path("runs/narrow-wide"), False, {"resume": True, "force": False})
    assert isinstance(workers, Serial)
    assert outcome.table == "| a |\n"
    assert outcome.to_json() == {
        "folder": "runs/narrow-wide", "release": "runs/narrow-wide/release", "release_digest": "sha256:0", "gain": 0.5,
    }  # fmt: skip
    assert run(capsys, "run", "narrow") == "| a |\n\nrun      runs/narrow-quick\nrelease  runs/narrow-quick/release\n"
    assert run_json(capsys, "run", "narrow", "--out", "mine", "--force")["release"] == "mine/release"
    assert [call[5] for call in calls[1:]] == [{"resume": False, "force": False}, {"resume": False, "force": True}]


@pytest.mark.usefixtures("shipped")
def test_a_faulty_one_runs_nothing(calls: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"ratioes.*did you mean 'ratios'"):
        run_recipe("narrow", overrides=["ratioes=[1]"])
    assert not calls


@pytest.mark.usefixtures("shipped")
def test_it_has_no_space_to_curate(capsys: Capture) -> None:
    assert "a recipe of kind width has no space to search" in failure(capsys, "curate", "narrow")


@pytest.mark.parametrize("command", ["watch", "front", "journal -o journal.log"])
def test_its_run_has_no_candidates(command: str, capsys: Capture) -> None:
    write_width_run(Path("narrow"))
    verb, *options = command.split()
    said = failure(capsys, verb, "narrow", *options)
    assert "narrow: a width run, which has no candidates of a search; its results are in table.md and widths" in said


def test_so_has_its_release(capsys: Capture) -> None:
    run = write_width_run(Path("narrow"))
    (run.path / "trace.jsonl").write_bytes(b"")
    assert "a width run" in failure(capsys, "front", "narrow")


def test_a_product_run_has_several_searches(tmp_path: Path, capsys: Capture) -> None:
    run = RunFolder(tmp_path / "run")
    run.begin(product_recipe(tmp_path), resume=False, force=False)
    said = "a product run, which has several searches: give the folder of one"
    assert f"{said} (none yet); its results are in table.md" in failure(capsys, "watch", str(run.path))
    (run.search / "widths").mkdir(parents=True)
    (run.search / "widths" / "trace.jsonl").write_bytes(b"")
    assert f"{said} (search/widths)" in failure(capsys, "front", str(run.path))
    assert find_run(run.search / "widths").recipe is None


def test_a_product_recipe_is_listed_and_shown(tmp_path: Path, shipped: Path, capsys: Capture) -> None:
    (shipped / "tiny.yaml").write_text(write_product(tmp_path).read_text("utf-8"), encoding="utf-8")
    (entry,) = run_json(capsys, "ls", "recipes", "tiny")["recipes"]
    assert (entry["name"], entry["target"]) == ("tiny", "ethos-u55-128")
    assert run_json(capsys, "show", "tiny")["recipe"]["kind"] == "product"
    assert "a recipe of kind product has no space" in failure(capsys, "curate", "tiny")
