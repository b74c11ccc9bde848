"""Checking releases: a run's own and those that ship pass; whatever is edited is found, with the file named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError, ReleaseError
from accelzoo.hwmodel import load_target
from accelzoo.pretrained import ZOO, list_packaged
from accelzoo.recipes import cli, verify_numbers, verify_score
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.verify import Verification, verify_release
from accelzoo.search.chain import GENESIS, chained
from tests.accelzoo.tampering import forgeries, reseal
from tests.checkout import ROOT
from tests.recipes.tiny import RECIPE, TRAINING, run_tiny, write_all

NAMES = [
    "checksums", "lock", "trace", "recipe", "lock's account", "files named by the lock", "architecture", "weights",
    "ranges", "price", "metrics", "card", "score",
]  # fmt: skip
SMALL: dict[str, Any] = {
    "search": {**RECIPE["search"], "shortlist": None, "evaluations": 2, "signal": {**TRAINING, "steps": 2}},
    "finalists": {"count": 1, "training": {**TRAINING, "steps": 2}},
    "training": {**TRAINING, "steps": 4},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    place = tmp_path_factory.mktemp("verified")
    write_all(place, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return run_tiny(place / "run")


@pytest.fixture
def release(finished: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed, in a working directory without the data."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.release, tmp_path / "copy")
    return tmp_path / "copy"


def statuses(found: Verification) -> dict[str, str]:
    return {check.name: check.status for check in found.checks}


def edit_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        change(content)
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    return edit


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def swap_weights(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    save_file({name: np.roll(array, 1) for name, array in arrays.items()}, folder / "model.safetensors")


def forget_a_weight(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    arrays.popitem()
    save_file(arrays, folder / "model.safetensors")


def chain_anew(folder: Path) -> None:
    """Raises the accuracy of the last candidate, and chains the trace anew."""
    path, previous, lines = folder / "trace.jsonl", GENESIS, []
    contents = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    contents[-1]["accuracy"] = 0.99
    for content in contents:
        kept = {key: value for key, value in content.items() if key not in ("hash", "previous")}
        previous, line = chained(previous, kept)
        lines.append(f"{line}\n")
    path.write_text("".join(lines), encoding="ascii")


def empty_trace(folder: Path) -> None:
    (folder / "trace.jsonl").write_bytes(b"")


def any_training(lock: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(lock["trainings"].values()))
    return found


def trust_new_weights(folder: Path) -> None:
    """Swaps the weights, and lets the lock name them."""
    swap_weights(folder)
    digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit_json("lock.json", lambda lock: lock["files"].update({"model.safetensors": digest}))(folder)


def test_a_fresh_release_passes_every_check_on_its_own_set_up(finished: Outcome) -> None:
    found = verify_release(finished.release, data=str(finished.folder.parent / "data.npz"))
    assert statuses(found) == dict.fromkeys(NAMES, "ok")
    assert found.passed
    assert found.digest == finished.digest
    said = {check.name: check.said for check in found.checks}
    assert "those of the training winner-seed" in said["weights"]
    assert "on an equal set-up" in said["score"]
    assert "1e-09 apart at most" in said["score"]


def test_without_data_the_score_is_skipped(release: Path) -> None:
    found = verify_release(release)
    assert statuses(found) == dict.fromkeys(NAMES, "ok") | {"score": "skipped"}
    assert found.passed
    assert "data.npz" in found.checks[-1].said


def test_it_is_the_same_in_another_process(finished: Outcome, tmp_path: Path) -> None:
    data = finished.folder.parent / "data.npz"
    release, relative = (os.path.relpath(path, tmp_path) for path in (finished.release, data))
    ran = subprocess.run(
        [sys.executable, "-m", "accelzoo", "verify", release, "--data", relative, "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    expected = verify_release(finished.release, data=str(data)).to_json()
    assert json.loads(ran.stdout) == {**expected, "folder": release}


EDITS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "weights": ("model.safetensors", "files named by the lock", swap_weights),
    "weights and lock": ("model.safetensors", "weights", trust_new_weights),
    "a weight less": ("model.safetensors", "weights", forget_a_weight),
    "trace": ("trace.jsonl", "trace", edit_text("trace.jsonl", '"accuracy":0.', '"accuracy":0.9')),
    "trace, chained anew": ("trace.jsonl", "trace", chain_anew),
    "trace, emptied": ("trace.jsonl", "trace", empty_trace),
    "recipe": ("recipe.yaml", "recipe", edit_text("recipe.yaml", "evaluations: 2", "evaluations: 3")),
    "recipe, no YAML": ("recipe.yaml", "recipe", edit_text("recipe.yaml", "search:", "search: [")),
    "plan": ("lock.json", "recipe", edit_json("lock.json", lambda lock: lock["plan"].update(seeds=[9]))),
    "files": ("lock.json", "files named by the lock", edit_json("lock.json", lambda lock: lock["files"].clear())),
    "schema": ("lock.json", "lock", edit_json("lock.json", lambda lock: lock.update(schema=9))),
    "lock's trace": ("trace.jsonl", "trace",
                     edit_json("lock.json", lambda lock: lock["search"].update(trace_sha256="0" * 64))),
    "lock's winner": ("trace.jsonl", "trace", edit_json(
        "lock.json", lambda lock: lock.update(winner_digest="sha256:0"))),
    "lock's score": ("config.json", "metrics", edit_json(
        "lock.json", lambda lock: lock["comparison"]["winner"].update(test_top1=[0.99, 0.99]))),
    "lock's price": ("config.json", "price", edit_json(
        "lock.json", lambda lock: lock["comparison"]["winner"]["cost"].update(latency_s=1e-9))),
    "a lock without numbers": ("lock.json", "trace", edit_json("lock.json", lambda lock: lock["comparison"].clear())),
    "metric": ("config.json", "metrics", edit_json(
        "config.json", lambda own: own["accelzoo"]["metrics"].update(test_top1=0.99))),
    "price": ("config.json", "price", edit_json(
        "config.json", lambda own: own["accelzoo"]["cost"].update(macs=1))),
    "target": ("config.json", "price", edit_json("config.json", lambda own: own["accelzoo"].update(target="edge-npu"))),
    "config, no digest": ("config.json", "config", edit_json(
        "config.json", lambda own: own["accelzoo"].update(arch_digest="sha256:0"))),
    "digest": ("config.json", "architecture", edit_json(
        "config.json", lambda own: own["accelzoo"].update(arch_digest=f"sha256:{'0' * 64}"))),
    "lock's seed": ("lock.json", "trace", edit_json("lock.json", lambda lock: lock["search"].update(seed=9))),
    "lock's candidates": ("lock.json", "trace", edit_json(
        "lock.json", lambda lock: lock["search"].update(candidates=999))),
    "lock's mean": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: lock["comparison"]["baseline"].update(test_top1_mean=0.01))),
    "lock's images": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: lock["comparison"]["winner"].update(test_images=10**6))),
    "lock's training": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: any_training(lock).update(seed=9))),
    "lock's figure": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: lock["results"][0].update(value=0.01))),
    "lock's counts": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: any_training(lock)["test"].update(count=0))),
    "a lock of other types": ("lock.json", "lock's account", edit_json(
        "lock.json", lambda lock: lock.update(trainings={"winner-seed0": 7}))),
    "card's tags": ("README.md", "card", edit_text("README.md", "- latency_ms:", "- swift:")),
    "card without tags": ("README.md", "card", edit_text("README.md", "\ntags:", "\nlabels:")),
    "card's metric": ("README.md", "card", edit_text("README.md", "value: 0.", "value: 0.9")),
    "card's table": ("README.md", "card", edit_text("README.md", "float32 | 0.", "float32 | 0.9")),
    "card's target": ("README.md", "card", edit_text("README.md", "target:camera-npu", "target:edge-npu")),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_found_although_the_checksums_were_written_anew(name: str, release: Path) -> None:
    file, check, edit = EDITS[name]
    edit(release)
    reseal(release)
    found = verify_release(release)
    failed = {one.name: one.file for one in found.checks if one.status == "FAILED"}
    assert not found.passed
    assert failed.get(check) == file, failed


@pytest.mark.parametrize("name", ["own", "camera_accel", "pets_e", "pets_baseline"])
def test_every_forgery_is_told_from_the_lock_and_its_file_named(
    name: str, finished: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELZOO_DATA", str(tmp_path))
    whole = finished.release if name == "own" else ZOO / name
    missed, corpus = set(), list(forgeries(whole))
    for index, forgery in enumerate(corpus):
        folder = shutil.copytree(whole, tmp_path / str(index))
        forgery.apply(folder)
        files = [check.file for check in verify_release(folder).checks if check.status == "FAILED"]
        missed |= set() if forgery.file in files else {forgery.name.removesuffix(", sums rewritten")}
    assert len(corpus) >= 6
    assert missed == set()


def test_an_architecture_that_is_none_fails_and_ends_no_other_check(tmp_path: Path) -> None:
    folder = shutil.copytree(ZOO / "camera_accel", tmp_path / "copy")

    def empty(own: dict[str, Any]) -> None:
        for place in ("accelzoo", "model_args"):
            own[place]["arch"]["stages"] = []

    edit_json("config.json", empty)(folder)
    reseal(folder)
    failed = {one.name: one.file for one in verify_release(folder, data=None).checks if one.status == "FAILED"}
    assert failed["architecture"] == failed["price"] == "config.json"


def edit_ranges(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes the ranges, and what the lock says of their file."""

    def edit(folder: Path) -> None:
        edit_json("quantization.json", change)(folder)
        digest = sha256((folder / "quantization.json").read_bytes()).hexdigest()
        edit_json("lock.json", lambda lock: lock["files"].update({"quantization.json": digest}))(folder)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        edit_ranges(lambda content: content["ranges"].pop("input")),
        edit_ranges(lambda content: content["ranges"].update(other=[0.0, 1.0])),
        edit_ranges(lambda content: content["ranges"].update(input=[1.0, 0.0])),
        edit_ranges(lambda content: content.clear()),
    ],
)
def test_ranges_are_those_of_the_architecture(edit: Callable[[Path], None], tmp_path: Path) -> None:
    folder = shutil.copytree(ZOO / "pets_e", tmp_path / "copy")
    edit(folder)
    reseal(folder)
    (failed,) = [check for check in verify_release(folder).checks if check.status == "FAILED"]
    assert (failed.name, failed.file) == ("ranges", "quantization.json")


@pytest.mark.parametrize("name", ["model.safetensors", "trace.jsonl", "lock.json", "config.json", "README.md"])
def test_a_damaged_file_is_named(name: str, release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((release / name).read_bytes())
    data[len(data) // 2] ^= 1
    (release / name).write_bytes(data)
    assert cli.main(["verify", str(release)]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("FAILED")
    assert f"{name}: damaged" in printed


def test_a_pinned_release_is_another_after_its_checksums_were_written_anew(release: Path, finished: Outcome) -> None:
    assert verify_release(f"{release}@{finished.digest}").passed
    edit_text("README.md", "Where the bright bar is.", "Where the dark bar is.")(release)
    reseal(release)
    (check,) = verify_release(f"{release}@{finished.digest}").checks
    assert (check.status, check.file) == ("FAILED", "SHA256SUMS")
    assert f"expected the digest {finished.digest}, found sha256:" in check.said


def test_other_data_are_refused(release: Path, tmp_path: Path) -> None:
    write_all(tmp_path / "other", shuffle_test=True)
    with pytest.raises(DataError, match=r"other data: expected sha256:.* as test split, found sha256:"):
        verify_release(release, data=str(tmp_path / "other" / "data.npz"))
    with pytest.raises(DataError, match="other data: expected the classes"):
        verify_release(release, data="digits")
    with pytest.raises(AccelzooError, match=r"none\.npz"):
        verify_release(release, data="none.npz")


def test_another_score_fails_beyond_the_tolerance(
    finished: Outcome, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, found = str(finished.folder.parent / "data.npz"), []
    lock = json.loads((release / "lock.json").read_text("utf-8"))
    known = json.loads((release / "config.json").read_text("utf-8"))["accelzoo"]["metrics"]["test_top1"]
    allowed = lock["tolerances"]["test_top1"]
    for versions, off in ((lock["versions"], 1e-6), ({}, 0.99 * allowed), ({}, 1.01 * allowed)):
        monkeypatch.setattr(verify_score, "versions", lambda versions=versions: versions)
        monkeypatch.setattr(verify_score, "_computed", lambda *_, off=off: (known + off, _device(lock)))
        found.append(verify_release(release, data=data).checks[-1].status)
    assert found == ["FAILED", "ok", "FAILED"]


def _device(lock: dict[str, Any]) -> str:
    return next(facts["device"] for name, facts in lock["trainings"].items() if name.startswith("winner"))


def test_a_target_that_changed_since_is_said(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faster = replace(load_target("camera-npu"), clock_hz=9e9)
    monkeypatch.setattr(verify_numbers, "load_target", lambda name: faster)
    price = next(check for check in verify_release(release).checks if check.name == "price")
    assert price.status == "skipped"
    assert "the target camera-npu has changed since" in price.said


@pytest.mark.parametrize("name", list_packaged())
def test_what_ships_passes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELZOO_DATA", str(tmp_path))
    found = verify_release(name)
    is_old = json.loads((found.folder / "lock.json").read_text("utf-8"))["schema"] == 1
    not_made = {"score", "files named by the lock"} if is_old else {"score"}
    assert statuses(found) == {check: "skipped" if check in not_made else "ok" for check in NAMES}


def test_what_is_no_release_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReleaseError, match="a folder that is no release"):
        verify_release(tmp_path)
    assert cli.main(["verify", str(tmp_path)]) == 2
    assert "a folder that is no release" in capsys.readouterr().err


def test_the_recipe_of_a_release_is_its_locks_plan(finished: Outcome) -> None:
    lock = json.loads((finished.release / "lock.json").read_text("utf-8"))
    assert config.digest(lock["plan"]) == lock["recipe_digest"]
