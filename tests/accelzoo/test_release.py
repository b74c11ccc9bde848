"""Releases: their bytes, their checksums, and every way to damage them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelzoo import _files
from accelzoo.errors import ReleaseError
from accelzoo.hubs.conformance import example_release
from accelzoo.release import RELEASE_FILES, Release, read_release, verify_folder, write_release
from tests.checkout import ROOT

SUMS = "SHA256SUMS"
HASHED = ("README.md", "config.json", "lock.json", "model.safetensors", "recipe.yaml", "trace.jsonl")
needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum on this machine")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return example_release(tmp_path / "release", value=1.5)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rewrite(release: Release, weights: dict[str, Any], folder: Path, **changes: Any) -> Release:
    """Writes `release` again with other weights."""
    arguments: dict[str, Any] = {
        "weights": weights, "config": release.config, "recipe_yaml": release.read_recipe(), "lock": release.read_lock(),
        "trace_path": release.trace_path, "card": release.read_card(), **changes,
    }  # fmt: skip
    return write_release(folder, **arguments)


def parse_safetensors(path: Path) -> tuple[dict[str, Any], bytes]:
    """Reads a safetensors file by its specification: length (u64, little-endian), JSON header, raw bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def test_a_release_is_seven_flat_files(release: Release) -> None:
    assert sorted(path.name for path in release.folder.iterdir()) == sorted((SUMS, *HASHED)) == sorted(RELEASE_FILES)
    assert all(path.is_file() and not path.is_symlink() for path in release.folder.iterdir())
    assert [path.name for path in release.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_sums_are_sorted_and_their_hash_is_the_digest(release: Release) -> None:
    lines = [f"{sha256(release.folder / name)}  {name}\n" for name in sorted(HASHED)]
    assert (release.folder / SUMS).read_text(encoding="ascii") == "".join(lines)
    assert release.digest == "sha256:" + sha256(release.folder / SUMS) == verify_folder(release.folder)


@needs_sha256sum
def test_sha256sum_agrees(release: Release) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    subprocess.run(command, cwd=release.folder, check=True)
    (release.folder / "lock.json").write_bytes(b"{}")
    done = subprocess.run(command, cwd=release.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "lock.json: FAILED" in done.stdout


def test_weights_have_no_metadata_and_are_stored_as_given(release: Release) -> None:
    header, data = parse_safetensors(release.weights_path)
    assert sorted(header) == ["head.weight", "steps"]
    start, end = header["head.weight"]["data_offsets"]
    assert header["head.weight"]["dtype"] == "F32"
    assert struct.unpack("<6f", data[start:end]) == (1.5,) * 6
    start, end = header["steps"]["data_offsets"]
    assert (header["steps"]["shape"], struct.unpack("<q", data[start:end])) == ([], (7,))


def test_weights_are_read_when_asked_for_and_writable(release: Release) -> None:
    weights = read_release(release.folder).load_weights()
    np.testing.assert_array_equal(weights["head.weight"], np.full(6, 1.5, np.float32))
    assert weights["steps"].shape == ()
    assert all(array.flags.writeable for array in weights.values())


def test_every_memory_layout_is_stored_by_value(release: Release, tmp_path: Path) -> None:
    grid = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    given = {
        "transposed": grid.T,
        "strided": grid[:, ::2, 1:3],
        "reversed": grid[::-1],
        "big_endian": grid.astype(">f4"),
        "big_endian_transposed": grid.astype(">f4").T,
        "fortran": np.asfortranarray(grid),
        "scalar": np.array(3, np.int64),
        "empty": np.zeros((0, 3), np.float16),
    }
    given |= {f"dtype_{name}": grid.astype(name) for name in ("bool", "int8", "uint8", "float16", "float64", "uint64")}
    given |= {f"dtype_{name}": grid.astype(name) for name in ("int16", "int32", "uint16", "uint32", "complex64")}
    found = rewrite(release, given, tmp_path / "layouts").load_weights()
    assert sorted(found) == sorted(given)
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array, strict=False, err_msg=name)
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].shape == array.shape, name


def test_equal_content_has_an_equal_digest_in_any_order_and_process(release: Release, tmp_path: Path) -> None:
    names = [f"layer{index}.weight" for index in range(20)]
    weights = {name: np.full(index + 1, index, np.float32) for index, name in enumerate(names)}
    forward = rewrite(release, weights, tmp_path / "forward")
    reversed_config = dict(reversed(list(release.config.items())))
    backward = rewrite(release, dict(reversed(weights.items())), tmp_path / "backward", config=reversed_config)
    assert forward.digest == backward.digest
    code = "import sys, pathlib; from accelzoo.hubs.conformance import example_release\n"
    code += "print(example_release(pathlib.Path(sys.argv[1]), value=1.5).digest)"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, str(tmp_path / f"seed{seed}")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == release.digest


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "at least one array"),
        ({"w": np.array(["text"])}, "'w': expected an array of .*found str"),
        ({"w": np.zeros(2, np.complex128)}, "'w': expected an array of .*found complex128"),
        ({"w": [1.0]}, "'w': expected an array of .*found list"),
    ],
)
def test_unfit_weights_are_named(release: Release, tmp_path: Path, weights: dict[str, Any], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        rewrite(release, weights, tmp_path / "unfit")
    assert not (tmp_path / "unfit").exists()


def test_without_a_search_the_trace_is_empty(release: Release, tmp_path: Path) -> None:
    written = rewrite(release, release.load_weights(), tmp_path / "plain", trace_path=None)
    assert written.trace_path.read_bytes() == b""
    verify_folder(written.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"lock": {"seconds": float("nan")}},
        {"lock": {"path": Path("x")}},
        {"card": "# no front matter\n"},
        {"trace_path": Path("absent.jsonl")},
        {"config": {}},
    ],
    ids=["nan", "no-json", "card", "trace", "config"],
)
def test_an_unfit_argument_leaves_nothing_behind(release: Release, tmp_path: Path, changes: dict[str, Any]) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReleaseError):
        rewrite(release, release.load_weights(), tmp_path / "unfit", **changes)
    assert sorted(tmp_path.iterdir()) == before


def test_writing_never_overwrites_unasked(release: Release, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="already exists"):
        example_release(release.folder, value=2.0)
    assert verify_folder(release.folder) == release.digest
    other = rewrite(release, {"w": np.ones(1)}, release.folder, force=True)
    assert other.digest != release.digest
    assert verify_folder(release.folder) == other.digest
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_force_works_where_folders_cannot_be_exchanged(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "swap_folders", lambda first, second: False)
    other = rewrite(release, {"w": np.ones(1)}, release.folder, force=True)
    assert verify_folder(release.folder) == other.digest != release.digest
    assert [path.name for path in release.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_failed_replacement_puts_the_old_release_back(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[Path] = []

    def rename_once(source: Path, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise OSError("device unplugged")
        os.replace(source, target)

    monkeypatch.setattr(_files, "swap_folders", lambda first, second: False)
    monkeypatch.setattr("accelzoo._files.os.rename", rename_once)
    with pytest.raises(ReleaseError, match="device unplugged"):
        rewrite(release, {"w": np.ones(1)}, release.folder, force=True)
    assert verify_folder(release.folder) == release.digest
    assert [path.name for path in release.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_an_interrupted_replacement_is_pointed_to(release: Release) -> None:
    aside = release.folder.with_name(f".{release.folder.name}.0123.partial")
    release.folder.rename(aside)
    with pytest.raises(ReleaseError, match="rename it back") as caught:
        read_release(release.folder)
    assert str(aside) in str(caught.value)


def test_force_never_replaces_a_foreign_folder(release: Release, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work", encoding="utf-8")
    (tmp_path / "link").symlink_to(release.folder)
    for folder, message in ((home, "thesis"), (tmp_path / "link", "not a folder"), (home / "thesis.tex", "not a f")):
        with pytest.raises(ReleaseError, match=message):
            rewrite(release, {"w": np.ones(1)}, folder, force=True)
    assert (home / "thesis.tex").read_text(encoding="utf-8") == "years of work"
    assert verify_folder(release.folder) == release.digest


@pytest.mark.parametrize("name", HASHED)
def test_each_flipped_bit_is_found(release: Release, name: str) -> None:
    path = release.folder / name
    data = path.read_bytes()
    for position in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(ReleaseError) as caught:
            read_release(release.folder)
        expected, actual = release.hashes[name], sha256(path)
        assert f"  {name}: damaged: expected sha256 {expected}, found sha256 {actual}" in str(caught.value).split("\n")
        assert len(str(caught.value).split("\n")) == 2
    path.write_bytes(data)
    verify_folder(release.folder)


def test_each_flipped_byte_of_the_sums_is_found(release: Release) -> None:
    path = release.folder / SUMS
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(ReleaseError, match=SUMS):
            verify_folder(release.folder)
        with pytest.raises(ReleaseError, match=f"{SUMS}: damaged: expected {release.digest}"):
            verify_folder(release.folder, expect=release.digest)


@pytest.mark.parametrize("name", [SUMS, *HASHED])
def test_each_missing_file_is_named(release: Release, name: str) -> None:
    (release.folder / name).unlink()
    with pytest.raises(ReleaseError, match=f"{name}: missing: expected"):
        verify_folder(release.folder)


@pytest.mark.parametrize("name", [SUMS, *HASHED])
@pytest.mark.parametrize("kind", ["link", "broken link", "folder", "pipe"])
def test_only_plain_files_count(release: Release, tmp_path: Path, name: str, kind: str) -> None:
    path = release.folder / name
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(elsewhere if kind == "link" else "nowhere")
    with pytest.raises(ReleaseError, match=f"{name}: expected a plain file"):
        verify_folder(release.folder)


def test_extra_files_are_named_with_their_hash(release: Release, tmp_path: Path) -> None:
    (release.folder / "notes.txt").write_bytes(b"hello")
    (release.folder / "sub").mkdir()
    with pytest.raises(ReleaseError) as caught:
        verify_folder(release.folder)
    assert f"notes.txt: extra: expected no such file, found sha256 {sha256(release.folder / 'notes.txt')}" in str(
        caught.value
    )
    assert "sub: expected a plain file" in str(caught.value)


def test_swapped_files_are_both_named(release: Release) -> None:
    first, second = (release.folder / name for name in ("config.json", "lock.json"))
    first_data, second_data = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_data)
    second.write_bytes(first_data)
    with pytest.raises(ReleaseError) as caught:
        verify_folder(release.folder)
    for name, other in (("config.json", "lock.json"), ("lock.json", "config.json")):
        line = f"{name}: damaged: expected sha256 {release.hashes[name]}, found sha256 {release.hashes[other]}"
        assert line in str(caught.value)


EDITS: dict[str, Callable[[list[str]], str]] = {
    "reversed": lambda lines: "".join(reversed(lines)),
    "line twice": lambda lines: "".join([*lines, lines[-1]]),
    "line removed": lambda lines: "".join(lines[1:]),
    "empty": lambda lines: "",
    "no last newline": lambda lines: "".join(lines).removesuffix("\n"),
    "windows newlines": lambda lines: "".join(lines).replace("\n", "\r\n"),
    "binary mark": lambda lines: "".join(lines).replace("  ", " *"),
    "upper case": lambda lines: lines[0].upper() + "".join(lines[1:]),
    "path out": lambda lines: "0" * 64 + "  ../escape\n" + "".join(lines),
    "absolute path": lambda lines: "0" * 64 + "  /etc/hostname\n" + "".join(lines),
    "itself": lambda lines: "0" * 64 + f"  {SUMS}\n" + "".join(lines),
    "comment": lambda lines: "# sums\n" + "".join(lines),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_sums_have_one_spelling(release: Release, edit: str) -> None:
    path = release.folder / SUMS
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    path.write_bytes(EDITS[edit](lines).encode("ascii"))
    with pytest.raises(ReleaseError, match=SUMS):
        verify_folder(release.folder)
    with pytest.raises(ReleaseError, match=SUMS):
        read_release(release.folder, verify=False)


def test_a_consistent_forgery_has_another_digest(release: Release) -> None:
    (release.folder / "recipe.yaml").write_bytes(b"model: other\n")
    lines = [f"{sha256(release.folder / name)}  {name}\n" for name in sorted(HASHED)]
    (release.folder / SUMS).write_bytes("".join(lines).encode("ascii"))
    forged = verify_folder(release.folder)
    assert forged != release.digest
    with pytest.raises(ReleaseError, match=f"{SUMS}: damaged: expected {release.digest}, found {forged}"):
        verify_folder(release.folder, expect=release.digest)


def test_damage_after_opening_is_found_when_read(release: Release) -> None:
    opened = read_release(release.folder)
    for name, read in (
        ("model.safetensors", opened.load_weights), ("recipe.yaml", opened.read_recipe),
        ("lock.json", opened.read_lock), ("README.md", opened.read_card),
    ):  # fmt: skip
        (release.folder / name).write_bytes(b"other")
        with pytest.raises(ReleaseError, match=f"{name}: damaged: expected sha256 {release.hashes[name]}"):
            read()
    (release.folder / "config.json").write_bytes(b"{}")
    with pytest.raises(ReleaseError, match=r"config\.json: damaged"):
        read_release(release.folder, verify=False)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for ask in (verify_folder, read_release):
        with pytest.raises(ReleaseError, match="no such release folder"):
            ask(tmp_path / "absent")
