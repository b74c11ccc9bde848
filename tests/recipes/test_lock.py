"""The lock: what it records, and that it tells nothing about where it was made."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import socket
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config
from accelzoo.draw import generator
from accelzoo.hwmodel import load_target
from accelzoo.recipes.asked import Asked
from accelzoo.recipes.lock import describe_search, kept_lock, make_lock, same_but_for_times, versions
from accelzoo.recipes.packing import _dataset_identifier
from accelzoo.recipes.pricing import prepare
from accelzoo.recipes.schema import load_funnel
from accelzoo.search import Named, Objective, Result, TargetCosts, run

RECIPE = load_funnel("camera_classification", "smoke")
TARGET = load_target("camera-npu")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    task = prepare(RECIPE, 10, 3)
    random = generator(3)
    return run(
        task.space,
        Named(lambda arch: random.bit_generator.random_raw() % 1000 / 1000, "random"),
        evaluations=6,
        algorithm="random",
        costs=TargetCosts(TARGET),
        budgets=task.budgets,
        objective=Objective(exponent=-0.07, reference=1e-3),
        seed=4,
        folder=tmp_path_factory.mktemp("search"),
    )


@pytest.fixture
def lock(result: Result) -> dict[str, Any]:
    return make_lock(
        RECIPE,
        target=TARGET,
        winner_digest="sha256:winner",
        search=describe_search(result, 3, "sha256:signal"),
        data={"winner": {"name": "digits"}},
        trainings={"winner-seed0": {"steps": 3, "wall_s": 1.0}},
        comparison={"accuracy_gain": 0.5},
        seconds={"search": 1.2345},
        asked=Asked(recipe="camera_classification", profile="smoke", overrides=("search.seed=4",)),
    )


def test_what_it_records(lock: dict[str, Any]) -> None:
    assert list(lock) == [
        "schema", "recipe", "profile", "overrides", "recipe_digest", "plan", "hwmodel_digest", "target",
        "winner_digest", "search", "data", "trainings", "comparison", "versions", "machine", "results", "tolerances",
        "spent", "wall_s",
    ]  # fmt: skip
    canonical = json.dumps(config.to_config(RECIPE), sort_keys=True, separators=(",", ":"))
    assert lock["recipe_digest"] == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
    assert config.digest(lock["plan"]) == lock["recipe_digest"]
    assert (lock["profile"], lock["overrides"]) == ("smoke", ["search.seed=4"])
    assert lock["target"] == {"name": "camera-npu", "digest": TARGET.digest()}
    assert lock["wall_s"] == {"search": 1.2}
    assert json.loads(json.dumps(lock, allow_nan=False)) == lock


def test_the_search_points_into_its_trace(lock: dict[str, Any], result: Result) -> None:
    assert result.path is not None
    search = lock["search"]
    assert search["trace_sha256"] == hashlib.sha256(result.path.read_bytes()).hexdigest()
    lines = [json.loads(line) for line in result.path.read_text("utf-8").splitlines()]
    header, records = lines[0], lines[1:]
    for key in ("algorithm", "budgets", "objective", "seed", "space", "target"):
        assert search[key] == header[key]
    assert (search["signal"], search["winner_index"]) == ("sha256:signal", 3)
    assert (search["candidates"], search["evaluated"]) == (len(records), 6)
    scored = {record["index"] for record in records if record["status"] == "ok"}
    assert set(search["front"]) <= scored
    assert max(scored, key=lambda index: records[index]["accuracy"]) in search["front"]


def test_versions_are_those_installed() -> None:
    assert versions()["torch"] == version("torch")
    assert versions()["python"] == platform.python_version()
    assert {"accelzoo", "accelerate", "numpy", "safetensors", "timm"} <= set(versions())


def test_it_names_neither_host_nor_user_nor_folder(lock: dict[str, Any]) -> None:
    text = json.dumps(lock)
    assert set(lock["machine"]) == {"system", "device", "processor", "cpu_count", "threads"}
    assert str(Path.home()) + "/" not in text
    assert str(Path.cwd()) not in text
    values = {value for value in lock["machine"].values() if isinstance(value, str)}
    assert not values & {socket.gethostname(), platform.node(), getpass.getuser()}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digits", "digits"),
        ("cifar10:/people/me/cifar10.npz", "cifar10"),
        ("/people/me/photos", "photos"),
        ("/people/me/photos/", "photos"),
        ("frames/index.csv?group=a/b", "index.csv"),
        ("..\\photos", "photos"),
    ],
)
def test_the_card_names_the_data_without_their_folder(source: str, said: str) -> None:
    assert _dataset_identifier(source) == said


def test_same_but_for_times(lock: dict[str, Any]) -> None:
    recorded = json.loads(json.dumps(lock))
    recorded |= {"wall_s": {"search": 99.0}, "spent": {"core_hours": 7}, "release": "sha256:made"}
    recorded["trainings"]["winner-seed0"]["wall_s"] = 7
    assert same_but_for_times(lock, recorded)
    # A run that is resumed keeps its lock, from which its release was made: without the digest of that.
    assert kept_lock(lock, recorded) == {key: value for key, value in recorded.items() if key != "release"}
    recorded["trainings"]["winner-seed0"]["steps"] = 4
    assert not same_but_for_times(lock, recorded)
    assert kept_lock(lock, recorded) == lock
    assert kept_lock(lock, None) == lock
    assert kept_lock(lock, None) == lock
    assert not same_but_for_times(lock, None)
    assert not same_but_for_times(lock, [])
