"""Learned parts: files that belong to their targets, read without pickle, or refused with what is wrong."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo.errors import AccelzooError, DataError
from accelzoo.hwmodel import Target, estimate, learned, load_target
from accelzoo.hwmodel.learned import SUFFIX, learned_part, register, save_target
from tests.checkout import ROOT
from tests.hwmodel.networks import TOY, mobilenet_v2
from tests.hwmodel.planted import chain, fitted
from tests.test_imports import heavy_imports

PRICE = """
import json, sys
from accelzoo.hwmodel import estimate, load_target
from tests.hwmodel.networks import mobilenet_v2
target = load_target(sys.argv[1])
print(json.dumps([target.learned, estimate(mobilenet_v2(), target).to_json()]))
"""


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a saved target whose part this process does not know."""
    yaml, _ = save_target(fitted(), tmp_path / "targets")
    monkeypatch.setattr(learned, "_known", {})
    return yaml


def part_file(yaml: Path) -> Path:
    return yaml.with_name(yaml.stem + SUFFIX)


def repacked(content: bytes, **changes: Any) -> bytes:
    """A part's file with some arrays replaced; None leaves one out."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {**file, **changes}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: array for name, array in arrays.items() if array is not None})
    return buffer.getvalue()


def test_a_target_is_two_files_and_loads_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = estimate(mobilenet_v2(), fitted())
    paths = save_target(fitted(), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["planted.yaml", "planted.learned.npz"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["planted.learned.npz", "planted.yaml"]
    monkeypatch.setattr(learned, "_known", {})
    target = load_target(paths[0])
    assert target == fitted()
    assert target.digest() == fitted().digest()
    assert estimate(mobilenet_v2(), target) == expected


def test_saving_again_gives_the_same_bytes(tmp_path: Path, saved: Path) -> None:
    again = save_target(load_target(saved), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [saved.read_bytes(), part_file(saved).read_bytes()]


@pytest.mark.parametrize("seed", ["1", "77"])
def test_another_process_prices_the_same_bits(saved: Path, seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", PRICE, str(saved)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    expected = [fitted().learned, estimate(mobilenet_v2(), load_target(saved)).to_json()]
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_pricing_loads_nothing_heavy(saved: Path, tmp_path: Path) -> None:
    assert heavy_imports(PRICE, tmp_path, str(saved)) == []


def test_a_target_without_a_learned_part_is_one_file(tmp_path: Path) -> None:
    (path,) = save_target(TOY, tmp_path)
    assert load_target(path) == TOY
    assert "learned" not in path.read_text()


@pytest.mark.parametrize("name", ["planted.yaml", "planted.learned.npz"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match=rf"would overwrite .*{name}"):
        save_target(fitted(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_part_that_is_missing_is_said_to_be(saved: Path) -> None:
    part_file(saved).unlink()
    with pytest.raises(DataError, match=r"planted\.learned\.npz: the target's learned part is missing"):
        load_target(saved)


DAMAGES = (
    "empty",
    "half",
    "a flipped byte",
    "text",
    "another zip",
    "a lone array",
    "pickled objects",
    "no facts",
    "facts that are no JSON",
    "a changed leaf",
)


def damages(content: bytes) -> dict[str, bytes]:
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    array = io.BytesIO()
    np.save(array, np.arange(4))
    objects = repacked(content, value=np.array([{"a": 1}], dtype=object))
    return {
        "empty": b"",
        "half": content[: len(content) // 2],
        "a flipped byte": bytes(flipped),
        "text": b"name: planted\n",
        "another zip": zip_of("readme.txt", b"hello"),
        "a lone array": array.getvalue(),
        "pickled objects": objects,
        "no facts": repacked(content, facts=None),
        "facts that are no JSON": repacked(content, facts=np.frombuffer(b"{", np.uint8)),
        "a changed leaf": repacked(content, value=np.load(io.BytesIO(content))["value"] * np.float32(1.5)),
    }


def zip_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_refused(saved: Path, damage: str) -> None:
    path = part_file(saved)
    path.write_bytes(damages(path.read_bytes())[damage])
    with pytest.raises(DataError, match=r"planted\.learned\.npz: "):
        load_target(saved)


def test_the_part_of_another_target_is_refused(saved: Path) -> None:
    content = part_file(saved).read_bytes()
    with np.load(io.BytesIO(content)) as file:
        facts = json.loads(file["facts"].tobytes())
    other = repacked(content, facts=np.frombuffer(json.dumps({**facts, "free": []}).encode(), np.uint8))
    part_file(saved).write_bytes(other)
    with pytest.raises(DataError, match=r"has digest sha256:\w{64}, but the target names sha256:\w{64}: .* not belong"):
        load_target(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "oracle"}, "of kind 'oracle'"),
        ({"version": 99}, "version 99"),
        ({"format": "other"}, "cannot be read here"),
        ({"features": -1}, "features of version -1"),
    ],
)
def test_parts_of_other_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    class Changed:
        kind = "changed"
        context_radius = 1
        price = learned_part(fitted()).price

        def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
            facts, arrays = learned_part(fitted()).parts()
            return {**facts, **change}, arrays

    target = dataclasses.replace(fitted(), learned=register(Changed()))
    yaml, _ = save_target(target, tmp_path)
    known = {fitted().learned: learned_part(fitted())}
    monkeypatch.setattr(learned, "_known", known)
    with pytest.raises(DataError, match=message) as caught:
        load_target(yaml)
    assert str(part_file(yaml)) in str(caught.value)


def test_a_part_that_was_not_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    target = fitted()
    monkeypatch.setattr(learned, "_known", {})
    with pytest.raises(AccelzooError, match=rf"'planted' has a learned part, {target.learned}, which is not loaded"):
        estimate(chain(), target)
    with pytest.raises(AccelzooError, match="not loaded"):
        _ = target.context_radius


def test_digests_are_of_the_content(saved: Path) -> None:
    target: Target = load_target(saved)
    assert register(learned_part(target)) == target.learned
    assert target.learned is not None
    assert target.learned.startswith("sha256:")
    part = learned_part(target)
    for field, value in {"free": frozenset({"add"}), "typical": np.zeros(7), "macs_per_s": 1.0}.items():
        assert register(dataclasses.replace(part, **{field: value})) != target.learned  # type: ignore[type-var]
    with np.load(part_file(saved), allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        stored = json.loads(file["facts"].tobytes())
    assert stored["facts"]["samples"] == {"block": 3, "network": 14}
