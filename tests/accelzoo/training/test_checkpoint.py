"""Checkpoints: what resumes, what is refused and why, and what lies in the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from accelzoo._files import exclusive_lock
from accelzoo.train import CheckpointError, TrainConfig, fit
from accelzoo.training.checkpoint import Checkpoint, differences, load_checkpoint, save_checkpoint
from tests.accelzoo.train_toy import CONFIGS, make_data, make_network, outcome
from tests.accelzoo.training.stops import StopAfter, Stopped

CONFIG = CONFIGS["adamw"]


def run(folder: Path | None, config: TrainConfig = CONFIG, **options: Any) -> dict[str, Any]:
    model = make_network()
    return outcome(model, fit(model, make_data(), config, folder=folder, progress=False, **options))


def stop_after(step: int, folder: Path, config: TrainConfig = CONFIG) -> None:
    with pytest.raises(Stopped):
        fit(make_network(), make_data(), config, folder=folder, progress=StopAfter(step))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("step", [1, 2, 4, 5])
def test_a_stopped_training_goes_on_to_the_same_end(tmp_path: Path, name: str, step: int) -> None:
    config = CONFIGS[name]
    stop_after(step, tmp_path, config)
    assert run(tmp_path, config) == run(None, config)


def test_a_finished_training_is_only_read_back(tmp_path: Path) -> None:
    first = run(tmp_path)
    model = make_network()
    result = fit(model, make_data(), CONFIG, folder=tmp_path, progress=False)
    assert outcome(model, result) == first
    assert result.resumed_at_step == CONFIG.steps


def test_the_folder_holds_one_checkpoint_and_no_pickle(tmp_path: Path) -> None:
    run(tmp_path / "new" / "run")
    names = {path.name for path in (tmp_path / "new" / "run").iterdir()}
    assert names == {".lock", "checkpoint.json", "checkpoint-00000007.safetensors"}
    header = (tmp_path / "new" / "run" / "checkpoint-00000007.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    listed = json.loads(header[8 : 8 + length])
    assert "__metadata__" not in listed
    assert {name.split(".")[0] for name in listed} == {"model", "optimizer", "average", "losses"}


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(None)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_by_time_change_nothing(tmp_path: Path) -> None:
    often = replace(CONFIG, checkpoint_every_steps=None, checkpoint_every_s=1e-9)
    assert run(tmp_path, often) == run(None)
    # how often is no part of a run's identity
    assert run(tmp_path, replace(CONFIG, checkpoint_every_s=100.0)) == run(None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.02}, r"config\.learning_rate: checkpoint 0\.01, now 0\.02"),
        ({"threads": 2}, r"config\.threads: checkpoint 1, now 2"),
        ({"steps": 9, "seed": 3}, r"config\.seed: checkpoint 0, now 3; config\.steps: checkpoint 7, now 9"),
    ],
)
def test_another_config_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    stop_after(3, tmp_path)
    with pytest.raises(CheckpointError, match=f"at step 2 is of another run: {message}"):
        run(tmp_path, replace(CONFIG, **change))
    assert run(tmp_path) == run(None)  # the refusal left the checkpoint as it was


def other_weights() -> nn.Module:
    return make_network(seed=1)


def other_structure() -> nn.Module:
    model = make_network()
    model[2] = nn.ReLU6()
    return model


@pytest.mark.parametrize(
    ("make", "message"), [(other_weights, r"run: initial_weights"), (other_structure, r"run: network: checkpoint")]
)
def test_another_network_is_refused(tmp_path: Path, make: Callable[[], nn.Module], message: str) -> None:
    stop_after(3, tmp_path)
    with pytest.raises(CheckpointError, match=message):
        fit(make(), make_data(), CONFIG, folder=tmp_path, progress=False)


def test_other_data_are_refused(tmp_path: Path) -> None:
    stop_after(3, tmp_path)
    with pytest.raises(CheckpointError, match=r"run: data: checkpoint"):
        fit(make_network(), make_data(train=31), CONFIG, folder=tmp_path, progress=False)


def test_resume_can_be_required_or_ruled_out(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        run(tmp_path, resume="required")
    stop_after(3, tmp_path)
    changed = replace(CONFIG, learning_rate=0.02)
    assert run(tmp_path, changed, resume="never") == run(None, changed)
    assert run(tmp_path, changed, resume="required") == run(None, changed)


def test_left_over_files_are_ignored_and_removed(tmp_path: Path) -> None:
    stop_after(3, tmp_path)
    for name in ("checkpoint-00000004.safetensors", "checkpoint-00000002.safetensors.ab12", "checkpoint.json.cd34"):
        (tmp_path / name).write_bytes(b"half a ")
    (tmp_path / "notes.txt").write_text("mine")
    assert run(tmp_path) == run(None)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock", "checkpoint.json", "checkpoint-00000007.safetensors", "notes.txt"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("checkpoint.json", b'{"format": 1, "st', r"checkpoint\.json: damaged"),
        ("checkpoint.json", b'{"format": 99}', "has format 99; this version reads 1"),
        ("checkpoint.json", b"[1]", r"checkpoint\.json: damaged"),
        ("checkpoint.json", b'{"format": 1}', r"checkpoint\.json: damaged"),
        ("checkpoint-00000002.safetensors", b"cut", r"safetensors: damaged \(sha256 differs"),
        ("checkpoint-00000002.safetensors", None, r"safetensors: missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    stop_after(3, tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path)
    assert run(tmp_path, resume="never") == run(None)


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        exclusive_lock(tmp_path / ".lock", timeout_s=0),
        pytest.raises(CheckpointError, match="another process trains here"),
    ):
        run(tmp_path)


def test_a_resume_elsewhere_is_noted(tmp_path: Path) -> None:
    stop_after(3, tmp_path)
    index = tmp_path / "checkpoint.json"
    content = json.loads(index.read_text())
    content["environment"]["torch"] = "0.4"
    index.write_text(json.dumps(content))
    result = fit(make_network(), make_data(), CONFIG, folder=tmp_path, progress=False)
    assert len(result.notes) == 1
    assert 'torch: checkpoint "0.4", now' in result.notes[0]


def test_tensors_of_every_kind_come_back(tmp_path: Path) -> None:
    tensors = {
        "scalar": torch.tensor(3, dtype=torch.int64),
        "empty": torch.zeros(0, 4),
        "view": torch.arange(12.0).reshape(3, 4).T,
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
    }
    state = Checkpoint(step=3, identity={"a": 1}, environment={}, tensors=tensors, scalars={"b": [1.25]})
    save_checkpoint(tmp_path, state)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert (loaded.step, loaded.identity, loaded.scalars) == (3, {"a": 1}, {"b": [1.25]})
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)


def test_differences_name_each_leaf() -> None:
    before = {"a": {"b": 1, "c": [1]}, "d": "x" * 60}
    now = {"a": {"b": 2, "c": [1]}, "e": None}
    assert differences(before, now) == [
        "a.b: checkpoint 1, now 2",
        f'd: checkpoint "{"x" * 23}…{"x" * 5}", now null',
    ]
    assert differences(before, before) == []
