"""Releases made to harm whoever reads them: bombs, endless files, bytes that are no text, values of other types."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accelzoo._printable import printable
from accelzoo.errors import ReleaseError
from accelzoo.hubs.conformance import example_release
from accelzoo.model_card import check_card, read_card
from accelzoo.release import Release, read_release, verify_folder
from tests.accelzoo.tampering import reseal

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
"""Twelve lines that stand for 2·8¹¹ values, 17 thousand million."""


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return example_release(tmp_path / "release", value=1.5)


def changed(release: Release, name: str, data: bytes) -> Release:
    """Puts other bytes into a file, as whoever makes a release can, and opens it."""
    (release.folder / name).write_bytes(data)
    reseal(release.folder)
    return read_release(release.folder)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (LAUGHS + "library_name: *l\n", "holds an alias"),
        ("library_name: &x [*x]\n", "holds an alias"),
        ("base: &base {license: mit}\nlibrary_name: {<<: *base}\n", "holds an alias"),
        ("library_name: " + "[" * 5000 + "]" * 5000 + "\n", "not YAML"),
        ("library_name: 2026-99-99\n", "not YAML"),
        ("library_name: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("library_name: " + "x" * (1 << 20) + "\n", "longer than"),
        ("library_name: accelzoo\x1b[2J\n", "not YAML"),
    ],
    ids=["laughs", "recursive alias", "merge key", "deep", "no date", "object", "long", "control character"],
)
def test_a_hostile_card_is_refused(front: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=rf"README\.md: the front matter .*{message}|README.md.*{message}"):
        read_card(f"---\n{front}---\n# card\n")


def test_an_escape_in_a_card_cannot_reach_the_terminal_raw() -> None:
    with pytest.raises(ReleaseError) as caught:
        check_card('---\nlibrary_name: "a\\e[2J"\nlicense: x\ntags: []\ndatasets: []\nmodel-index: []\n---\n')
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "read"),
    [("README.md", Release.read_card), ("recipe.yaml", Release.read_recipe), ("lock.json", Release.read_lock)],
)
def test_bytes_that_are_no_text_are_named(release: Release, name: str, read: Callable[[Release], Any]) -> None:
    opened = changed(release, name, b"\xff\xfe\x00caf\xe9")
    with pytest.raises(ReleaseError, match=rf"{name}: not (UTF-8|JSON)"):
        read(opened)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000 + "]" * 200_000, '{"s": NaN}', '{"s": -Infinity}', "[]", "", '{"a": ' + "9" * 5000 + "}"],
    ids=["deep", "nan", "infinity", "list", "empty", "long number"],
)
def test_a_hostile_lock_is_named(release: Release, text: str) -> None:
    opened = changed(release, "lock.json", text.encode())
    with pytest.raises(ReleaseError, match=r"lock\.json: (not JSON|expected a JSON object)"):
        opened.read_lock()


@pytest.mark.parametrize(
    ("name", "read"),
    [("README.md", Release.read_card), ("lock.json", Release.read_lock)],
)
def test_an_endless_file_is_not_read(release: Release, name: str, read: Callable[[Release], Any]) -> None:
    os.truncate(release.folder / name, (1 << 26) + 1)
    reseal(release.folder)
    opened = read_release(release.folder, verify=False)
    with pytest.raises(ReleaseError, match=rf"longer than 67108864 bytes.*{name}"):
        read(opened)


def test_endless_sums_are_not_read(release: Release) -> None:
    os.truncate(release.folder / "SHA256SUMS", 1 << 40)
    for ask in (verify_folder, read_release, lambda folder: read_release(folder, verify=False)):
        with pytest.raises(ReleaseError, match=r"longer than 65536 bytes.*SHA256SUMS"):
            ask(release.folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metrics", ["accuracy"]),
        ("metrics", {"accuracy": "0.9\x1b[2J"}),
        ("metrics", {"accuracy": {}}),
        ("metrics", {"accuracy": True}),
        ("cost", [1]),
        ("target", ["camera-npu"]),
        ("class_names", "cat"),
    ],
)
def test_a_config_of_other_types_is_refused(release: Release, key: str, value: Any) -> None:
    config = json.loads((release.folder / "config.json").read_text("utf-8"))
    config["accelzoo"][key] = value
    with pytest.raises(ReleaseError, match=f"accelzoo.{key}") as caught:
        changed(release, "config.json", json.dumps(config).encode())
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
@pytest.mark.parametrize("key", ["metrics", "cost"])
def test_a_number_that_cannot_be_printed_is_refused(release: Release, key: str, number: str) -> None:
    config = json.loads((release.folder / "config.json").read_text("utf-8"))
    config["accelzoo"][key] = {"speed": "HUGE"}
    with pytest.raises(ReleaseError, match=rf"accelzoo.{key}.speed: expected a finite number") as caught:
        changed(release, "config.json", json.dumps(config).replace('"HUGE"', number).encode())
    assert str(release.folder / "config.json") in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff" * 8 + b"{}", b"", (1 << 40).to_bytes(8, "little") + b"{}", b"\x80\x04K\x01."])
def test_weights_that_are_none_are_named(release: Release, data: bytes) -> None:
    opened = changed(release, "model.safetensors", data)
    with pytest.raises(ReleaseError, match=r"model\.safetensors: not a readable safetensors file"):
        opened.load_weights()


def test_control_characters_are_spelled_out() -> None:
    hostile = "a\x00\x1b[31mb\x9bc\x7f\u202edcba\u2066\u2028\ud800 é 日本 👩‍💻\n\t"
    shown = printable(hostile)
    assert shown == r"a\u0000\u001b[31mb\u009bc\u007f\u202edcba\u2066\u2028\ud800 é 日本 👩‍💻\u000a\u0009"
    assert printable("one\ntwo\r", keep="\n") == "one\ntwo\\u000d"
    assert printable("plain – text × 3") == "plain – text × 3"
