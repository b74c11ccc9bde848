"""The releases that ship in the package: whole, registered, loadable, and as accurate as they say."""

from __future__ import annotations

import json
import os

import pytest
import torch

import accelzoo
from accelzoo.errors import ConfigError, DataError
from accelzoo.pretrained import ZOO, find_release, list_packaged
from accelzoo.release import read_release, verify_folder
from accelzoo.tasks import evaluate, load_classification
from accelzoo.tasks.metrics import wilson_interval
from tests.checkout import ROOT

SMALL_BYTES = 4 << 20


def test_something_ships() -> None:
    assert "camera_accel" in list_packaged()


@pytest.mark.parametrize("name", list_packaged())
def test_a_packaged_release_is_whole_small_and_registered(name: str) -> None:
    verify_folder(ZOO / name)
    assert sum(path.stat().st_size for path in (ZOO / name).iterdir()) < SMALL_BYTES
    facts = find_release(name).config["accelzoo"]
    arch = accelzoo.get_arch(name)
    assert facts["arch_digest"] == arch.digest()
    assert facts["cost"]["macs"] == arch.lower().macs
    cost = accelzoo.estimate(arch, facts["target"])
    assert facts["cost"]["latency_s"] == cost.latency_s, "the release was priced on another version of its target"
    assert facts["cost"]["weight_bytes"] == cost.weight_bytes


@pytest.mark.parametrize("name", list_packaged())
def test_a_packaged_model_loads_with_its_weights(name: str) -> None:
    model = accelzoo.create_model(name, pretrained=True)
    release = find_release(name)
    images = torch.zeros(2, *release.config["accelzoo"]["input_size"])
    outputs = model(images)
    maps = [value for level in outputs for value in level] if isinstance(outputs, list) else [outputs]
    assert all(bool(value.isfinite().all()) and len(value) == 2 for value in maps)
    weights = release.load_weights()
    assert all(torch.equal(value, torch.from_numpy(weights[key])) for key, value in model.state_dict().items())
    classes = release.config["num_classes"]
    if accelzoo.get_arch(name).head.task == "classification":
        assert outputs.shape == (2, classes)
        assert accelzoo.create_model(name, pretrained=True, num_classes=3)(images).shape == (2, 3)
    else:
        with pytest.raises(ConfigError, match=f"keeps its {classes} classes"):
            accelzoo.create_model(name, pretrained=True, num_classes=classes + 1)


def test_camera_accel_is_as_accurate_as_its_lock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get("ACCELZOO_DATA"):
        monkeypatch.setenv("ACCELZOO_DATA", str(ROOT.parent / "shared" / "data"))
    model = accelzoo.create_model("camera_accel", pretrained=True)
    release = find_release("camera_accel")
    try:
        data = load_classification("cifar10", release.config["accelzoo"]["input_size"])
    except DataError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")
    assert release.read_lock()["data"]["winner"]["splits"]["test"]["digest"] == data.test.digest()
    metrics = evaluate(model, data.test)
    stated = release.config["accelzoo"]["metrics"]["test_top1"]
    # Another CPU may round a logit differently and flip an image or two, no more.
    assert abs(metrics.correct - stated * metrics.count) <= 5
    low, high = wilson_interval(metrics.correct, metrics.count)
    assert low < stated < high


def test_packaged_files_are_those_of_a_run() -> None:
    """The committed lock of the recipe says what the lock inside the release says, and which release that is."""
    committed = json.loads((ROOT / "recipes" / "camera_classification.lock.json").read_text("utf-8"))
    packaged = json.loads((ZOO / "camera_accel" / "lock.json").read_text("utf-8"))
    assert committed.pop("release") == read_release(ZOO / "camera_accel").digest
    assert packaged.pop("files").keys() == {"model.safetensors", "recipe.yaml", "trace.jsonl"}
    assert committed == packaged
