"""A width recipe that runs in seconds, what its run left, a device to measure on, and how runs are killed."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hwmodel import estimate, load_target
from accelzoo.hwmodel.ir import Graph
from accelzoo.hwmodel.measurement import Measurement, Provenance, graph_digest
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.pipeline import run_recipe
from accelzoo.recipes.schema import load_recipe
from accelzoo.recipes.width.schema import WidthRecipe
from accelzoo.search.chain import verified_lines

TRAINING = {"steps": 3, "batch_size": 32, "threads": 1, "learning_rate": 0.02, "checkpoint_every_s": None}
OPEN = ("blocks.0.0", "blocks.2.1", "blocks.3.2", "blocks.3.5", "blocks.4.0", "blocks.4.1")
GROUPS = ("0.0", "1.0", "1.1", "2.0", "2.1", *(f"3.{block}" for block in range(6)), "4.0", "4.1")
CAMERA = load_target("camera-npu")
FIXED = [name for name in (f"blocks.{group}" for group in GROUPS) if name not in OPEN]
RECIPE: dict[str, Any] = {
    "kind": "width",
    "recipe": "tiny_width",
    "description": "Which digit it is.",
    "target": "camera-npu",
    "data": "digits",
    "network": "mobilenetv1_025",
    "resolution": 16,
    "ratios": [0.5, 1.0],
    "fixed": FIXED,
    "latency_shares": [0.8, 0.9],
    "budgets": {"weight_bytes": 190_000},  # 86 % of the network's own
    "slimmable": {
        "training": TRAINING,
        "turns": 2,
        "refine": {"networks": 3, "rounds": 2, "score_images": 40, "statistics_images": 16},
        "candidates": 3,
        "score_images": 40,
        "statistics_images": 16,
    },
    "greedy": {"rules": ["netadapt", "mobilenetv3"], "step": 0.05, "score_images": 30, "statistics_images": 16},
    "training": {**TRAINING, "steps": 8},
    "seeds": [2, 1],
    "release": {"name": "tiny_width", "dataset_name": "digits", "latency_share": 0.8},
}


def write_recipe(path: Path, changes: dict[str, Any] | None = None) -> Path:
    """Writes the recipe, with some of its keys changed."""
    # JSON is YAML as well.
    path.write_text(json.dumps({**deepcopy(RECIPE), **(changes or {})}), encoding="utf-8")
    return path


def tiny_recipe(folder: Path, **changes: Any) -> WidthRecipe:
    """Returns the recipe, written to and read from a folder."""
    recipe = load_recipe(write_recipe(folder / "recipe.yaml", changes))
    assert isinstance(recipe, WidthRecipe)
    return recipe


def run_tiny(folder: Path, changes: dict[str, Any] | None = None, **settings: Any) -> Outcome:
    """Runs the recipe, with some of its keys changed; the file lies beside the run's folder."""
    recipe = write_recipe(folder.with_suffix(".yaml"), changes)
    return run_recipe(recipe, out=folder, progress=False, **settings)


def read(path: Path) -> Any:
    """Returns a file of JSON."""
    return json.loads(path.read_text("utf-8"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a file whose chain holds."""
    return [content for _, _, content in verified_lines(path, path.read_bytes())]


def everything_in(folder: Path) -> dict[str, bytes]:
    """Returns every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(folder: Path) -> dict[str, Any]:
    """What must not depend on how often a run was interrupted."""
    files = everything_in(folder)
    names = ["recipe.yaml", "width.jsonl", "table.md", "choices.json"]
    names += ["release/trace.jsonl", "release/model.safetensors", "release/config.json"]
    lock = {key: value for key, value in read(folder / "lock.json").items() if key not in ("spent", "release")}
    return {"lock": without_times(lock), **{name: files[name] for name in names}}


def without_times(value: Any) -> Any:
    """Returns plain data without wall times."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "wall_s"}
    return [without_times(item) for item in value] if isinstance(value, list) else value


class Device:
    """Takes a third longer than the camera target estimates, whatever the recipe's target is."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def provenance(self) -> Provenance:
        return Provenance(oracle="device", target="edge-npu", tool="device-1", settings={})

    def measure(self, graph: Graph) -> Measurement:
        self.asked.append(graph_digest(graph))
        return Measurement(graph=graph, latency_s=self.seconds(graph))

    def seconds(self, graph: Graph) -> float:
        return 4 / 3 * estimate(graph, CAMERA).latency_s


class Killed(BaseException):
    """A kill in the midst of a run."""


def killing(monkeypatch: pytest.MonkeyPatch, job: type[Any], number: int) -> None:
    """Kills the run once, before the `number`-th job of a kind."""
    real, begun = job.run, list[None]()

    def run(*arguments: Any) -> Any:
        begun.append(None)
        if len(begun) == number:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(job, "run", run)
