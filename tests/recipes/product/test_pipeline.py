"""Tiny product recipes from end to end: what they leave and release, how they go on, and how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import accelzoo
from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import AccelzooError, BudgetError, ConfigError, DataError
from accelzoo.hwmodel import estimate, load_target
from accelzoo.hwmodel.oracles import MissingToolError
from accelzoo.quantization import Calibration, quantize
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.product import preparing, tasks
from accelzoo.recipes.product.tasks import product_data
from accelzoo.release import read_release, verify_folder
from accelzoo.tasks.segmentation.data import SegmentationData
from tests.checkout import ROOT
from tests.recipes.product.tiny_product import PRETRAINING, RECIPE, made, product_recipe, run_product, write_product
from tests.recipes.run_locks import assert_checked, assert_tied

pytest.importorskip("faster_coco_eval")
pytest.importorskip("torchmetrics")
pytest.importorskip("ai_edge_litert")
COMPILES = find_spec("ethosu") is not None
NAMES = ("baseline", "wide", "fast")


def run_in(home: Path, task: str, **changes: Any) -> Outcome:
    """Runs the recipe where its files are."""
    write_product(home, task, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        return run_product(home / "run")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_in(tmp_path_factory.mktemp("detection"), "detection", pretraining=PRETRAINING)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_in(tmp_path_factory.mktemp("segmentation"), "segmentation")


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_every_part_of_the_run_is_in_its_folder(detector: Outcome) -> None:
    folder = detector.folder
    there = {path.name for path in folder.iterdir()}
    left = {"recipe.yaml", "search", "jobs", "trainings", "networks.json", "seconds.json", "lock.json", "table.md",
            "release", "predictions.png"}  # fmt: skip
    drawn = {"front.png", "strips.png"} if find_spec("matplotlib") is not None else set()
    assert there - {"prices"} == left | drawn
    assert list((folder / "trainings").iterdir()) == []  # checkpoints
    assert (folder / "table.md").read_text("utf-8") == detector.table
    kinds = [path.name.split("-")[0] for path in (folder / "jobs").glob("*.json")]
    assert {kind: kinds.count(kind) for kind in kinds} == {"trial": 4, "pretrain": 3, "train": 6, "compile": 3}
    parts = ["search", "trials", "pretraining", "training", "pricing", "compiling"]
    assert list(read(folder / "seconds.json")) == parts


def test_picks_are_faster_than_the_baseline_and_in_order(detector: Outcome) -> None:
    target = load_target(RECIPE["target"])
    networks = read(detector.folder / "networks.json")
    assert [network["name"] for network in networks] == list(NAMES)
    archs = [Arch.from_config(network["arch"]) for network in networks]
    baseline_s, wide_s, fast_s = (estimate(arch.lower(), target).latency_s for arch in archs)
    assert baseline_s > wide_s > fast_s
    assert [arch.head.num_classes for arch in archs] == [3, 3, 3]
    assert [network["signal"] >= -1 for network in networks] == [True] * 3
    lock = read(detector.folder / "lock.json")["search"]
    assert lock["networks"] == {network["name"]: arch.digest() for network, arch in zip(networks, archs, strict=True)}
    trace = (detector.folder / "search/widths/trace.jsonl").read_bytes()
    assert lock["searches"]["widths"]["trace_sha256"] == sha256(trace).hexdigest()


@pytest.mark.parametrize("run", ["detector", "segmenter"])
def test_every_network_is_released_and_loads(run: str, request: pytest.FixtureRequest) -> None:
    outcome: Outcome = request.getfixturevalue(run)
    lock = read(outcome.folder / "lock.json")
    assert {path.name for path in outcome.release.iterdir()} == set(NAMES)
    for network in read(outcome.folder / "networks.json"):
        folder = outcome.release / network["name"]
        verify_folder(folder)
        release = read_release(folder)
        model = accelzoo.create_model(folder)
        assert model.arch.to_config() == network["arch"]
        assert model.class_names == tuple(lock["data"]["all"]["class_names"])
        assert_tied(release, outcome.folder, network["name"])
        assert release.read_lock()["winner_digest"] == model.arch.digest()
        assert release.read_recipe() == (outcome.folder / "recipe.yaml").read_text("utf-8")
        trace = b"" if network["search"] is None else (outcome.folder / "search/widths/trace.jsonl").read_bytes()
        assert release.trace_path.read_bytes() == trace
        assert outcome.table in release.read_card()
        assert_checked(release)  # the drawn figures are there wherever the checks are made
        assert str(outcome.folder.parent) not in release.read_card() + json.dumps(release.read_lock())


@pytest.mark.parametrize("run", ["detector", "segmenter"])
def test_the_released_weights_score_what_the_lock_says(
    run: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome: Outcome = request.getfixturevalue(run)
    monkeypatch.chdir(outcome.folder.parent)
    task = "detection" if run == "detector" else "segmentation"
    data = product_data(product_recipe(outcome.folder.parent, task))
    said = {network["name"]: network for network in outcome.to_json()["networks"]}["fast"]
    release = read_release(outcome.release / "fast")
    model = accelzoo.create_model(str(outcome.release / "fast"))
    best = max(said["runs"], key=lambda one: one["validation"]["value"])
    with torch.no_grad():
        found = data.validation_score(model, model.arch).value, data.test_score(model, model.arch).value
    assert found == pytest.approx((best["validation"]["value"], best["test"]["value"]), abs=1e-6)
    metric = best["test"]["metric"]
    assert metric == {"detection": "AP50", "segmentation": "mIoU"}[task]
    assert release.config["accelzoo"]["metrics"] == {
        f"test_{metric}": best["test"]["value"],
        f"validation_{metric}": best["validation"]["value"],
        f"validation_{metric}_int8": best["int8"]["value"],
    }
    ranges = release.read_quantization()
    assert ranges is not None
    int8 = quantize(model, calibration=Calibration.from_json(ranges))  # needs no images
    assert data.validation_score(int8, model.arch).value == pytest.approx(best["int8"]["value"], abs=1e-6)


@pytest.mark.skipif(not COMPILES, reason="the extra npu is not installed")
def test_the_trained_networks_are_compiled(detector: Outcome) -> None:
    for network in detector.to_json()["networks"]:
        estimated_s = network["prices"]["ethos-u55-128"]["cost"]["latency_s"]
        assert network["compiled"]["latency_s"] == pytest.approx(estimated_s, rel=0.3)
        assert network["compiled"]["tool"].startswith("vela")
    assert "compiled" in detector.table


def test_a_resumed_run_releases_the_same(segmenter: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(segmenter.folder), (segmenter.folder / "table.md").read_bytes()
    monkeypatch.chdir(segmenter.folder.parent)
    again = run_product(segmenter.folder, resume=True)
    assert again.digest == segmenter.digest
    assert (made(segmenter.folder), (segmenter.folder / "table.md").read_bytes()) == before


def test_a_killed_run_goes_on_to_the_same_end(
    segmenter: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_product(tmp_path, "segmentation")
    # Four trials write one checkpoint each, every training three: this is in the middle of the second training.
    command = [sys.executable, "-m", "tests.recipes.product.tiny_product", "9"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    done = {path.name.split("-")[0] for path in (tmp_path / "run/jobs").glob("*.json")}
    assert done == {"trial", "train"}
    assert len(list((tmp_path / "run/jobs").glob("train-*.json"))) == 1
    assert len(list((tmp_path / "run/trainings").iterdir())) == 1
    monkeypatch.chdir(tmp_path)
    run_product(tmp_path / "run", resume=True)
    assert made(tmp_path / "run") == made(segmenter.folder)


def test_the_test_split_decides_nothing(segmenter: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tasks._segmentation

    def other(source: str) -> SegmentationData:
        data = real(source)
        assert data.test is not None
        return replace(data, test=data.test.take([0]))

    monkeypatch.setattr(tasks, "_segmentation", other)
    changed = run_in(tmp_path, "segmentation")
    assert {name: digest for name, digest in made(changed.folder).items() if not name.endswith("config.json")} == {
        name: digest for name, digest in made(segmenter.folder).items() if not name.endswith("config.json")
    }
    assert changed.to_json()["networks"][0]["runs"][0]["test"]["count"] == 1


REFUSED = [
    ({"search": {**RECIPE["search"], "algorithm": "nsga3"}}, ConfigError, "search.algorithm.*'nsga3'.*nsga2"),
    (
        {"search": {**RECIPE["search"], "signal": {"scores": ["trainibility"]}}},
        ConfigError,
        "search.signal.scores.*did you mean 'trainability'",
    ),
    ({"target": "ethos-u55-129"}, AccelzooError, "ethos-u55-128"),
    ({"also_on": ["edge-npux"]}, AccelzooError, "edge-npu"),
    ({"baseline": "mobilenetv2_100"}, ConfigError, "baseline: 'mobilenetv2_100' is for classification"),
    ({"pretraining": {**PRETRAINING, "data": "digitz"}}, AccelzooError, "digits"),
]


@pytest.mark.parametrize(("changes", "error", "said"), REFUSED)
def test_faults_are_refused_before_anything_is_written(
    changes: dict[str, Any], error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_product(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        run_product(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_tool_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_product(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(preparing._SCORING, "detection", ("no_such_module", "det"))
    with pytest.raises(MissingToolError, match=r"accelzoo\[det\]"):
        run_product(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_without_a_test_split_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelzoo.tasks.detection import load

    source = "shapes?count=4&size=48&seed=3"
    data = replace(load.load_detection(source), test=None)
    monkeypatch.setattr(load, "load_detection", lambda *_, **__: data)
    write_product(tmp_path, data=source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no test split"):
        run_product(tmp_path / "run")


def test_a_search_that_finds_nothing_says_how_near_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_product(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BudgetError, match=r"search 'widths'.*is faster than the .* ms of the baseline"):
        run_product(tmp_path / "run", overrides=["search.signal.least=50"])


def test_another_recipe_is_not_resumed(segmenter: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(segmenter.folder.parent)
    with pytest.raises(ConfigError, match=r"seeds: \[1, 0\] became \[1\]"):
        run_product(segmenter.folder, resume=True, overrides=["seeds=[1]"])
    assert config.load(segmenter.folder / "recipe.yaml").plain()["seeds"] == [1, 0]
