"""Where a release is looked for: the cache, the local hub, Hugging Face; and what pins it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from accelzoo import create_model
from accelzoo.errors import AccelzooError, ConfigError, ReleaseError, UnknownNameError
from accelzoo.hub import LocalHub, open_hub
from accelzoo.hubs.conformance import example_release
from accelzoo.hubs.finding import is_reference, pull_release
from accelzoo.release import Release, verify_folder
from tests.accelzoo.stand_in_hub import StandInHub, stand_in

NAME = "me/tiny"


@pytest.fixture(autouse=True)
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[StandInHub]:
    """Hugging Face's stand-in, beside a local hub and a cache of this test alone."""
    monkeypatch.setenv("ACCELZOO_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("ACCELZOO_CACHE", str(tmp_path / "cache"))
    return stand_in(monkeypatch, tmp_path / "far")


@pytest.fixture
def first(tmp_path: Path) -> Release:
    return example_release(tmp_path / "first", value=1.0)


@pytest.fixture
def second(tmp_path: Path) -> Release:
    return example_release(tmp_path / "second", value=2.0)


def test_the_local_hub_comes_before_hugging_face(first: Release, second: Release, far: type[StandInHub]) -> None:
    open_hub().publish(first.folder, NAME)
    LocalHub(far.root).publish(second.folder, NAME)
    assert verify_folder(pull_release(NAME)) == first.digest
    assert verify_folder(pull_release(f"hub:{NAME}")) == first.digest
    assert far.asked == []
    assert verify_folder(pull_release(f"hf:{NAME}")) == second.digest
    assert far.asked == [f"pull {NAME}@None from None"]


def test_what_the_local_hub_lacks_comes_from_hugging_face(first: Release, far: type[StandInHub]) -> None:
    LocalHub(far.root).publish(first.folder, NAME, tags=["v1"])
    assert verify_folder(pull_release(NAME)) == first.digest
    assert verify_folder(pull_release(f"{NAME}@v1")) == first.digest
    assert verify_folder(pull_release(NAME, revision="v1")) == first.digest
    with pytest.raises(UnknownNameError, match="me/tiny"):
        pull_release(f"hub:{NAME}")


def test_the_hub_that_has_the_name_decides_on_the_revision(
    first: Release, second: Release, far: type[StandInHub]
) -> None:
    open_hub().publish(first.folder, NAME)
    LocalHub(far.root).publish(second.folder, NAME, tags=["v2"])
    with pytest.raises(ReleaseError, match="no such revision"):
        pull_release(f"{NAME}@v2")
    assert far.asked == []


def test_the_error_lists_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError) as caught:
        create_model("me/cells_v4")
    lines = str(caught.value).splitlines()
    assert lines[0] == "me/cells_v4: not on this machine"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "- folders",
        "- the package",
        "- the local hub",
        "- Hugging Face",
    ]
    assert "did you mean 'cells_v" in lines[2]
    assert str(tmp_path / "hub") in lines[3]
    stand_in(monkeypatch, tmp_path / "far", refusal="no connection")
    with pytest.raises(ReleaseError, match="- Hugging Face: no connection") as refused:
        create_model("me/cells_v4")
    assert str(refused.value).splitlines()[:4] == lines[:4]


def test_a_damaged_local_copy_is_not_looked_for_elsewhere(
    first: Release, far: type[StandInHub], tmp_path: Path
) -> None:
    open_hub().publish(first.folder, NAME)
    LocalHub(far.root).publish(first.folder, NAME)
    (stored,) = (tmp_path / "hub").rglob("config.json")
    stored.write_bytes(b"{}")
    with pytest.raises(ReleaseError, match=r"config\.json"):
        pull_release(NAME)
    assert far.asked == []


def test_a_pinned_release_in_the_cache_needs_no_hub(
    first: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalHub(tmp_path / "far").publish(first.folder, NAME)
    folder = pull_release(f"hf:{NAME}")
    shutil.rmtree(tmp_path / "far")
    far = stand_in(monkeypatch, tmp_path / "far", refusal="no connection")
    for reference in (f"hf:{NAME}", f"hub:{NAME}", NAME):
        assert pull_release(f"{reference}@{first.digest}") == folder
        assert pull_release(reference, revision=first.digest) == folder
    assert far.asked == []
    (folder / "config.json").write_bytes(b"{}")
    with pytest.raises(ReleaseError, match="no connection"):
        pull_release(f"hf:{NAME}@{first.digest}")


def test_a_damaged_copy_in_the_cache_is_mended(first: Release) -> None:
    open_hub().publish(first.folder, NAME)
    folder = pull_release(NAME)
    (folder / "model.safetensors").write_bytes(b"")
    assert pull_release(f"{NAME}@{first.digest}") == folder
    assert verify_folder(folder) == first.digest


@pytest.mark.parametrize("reference", [f"hub:{NAME}", f"hf:{NAME}", NAME])
def test_the_cache_can_be_elsewhere(reference: str, first: Release, far: type[StandInHub], tmp_path: Path) -> None:
    for hub in (open_hub(), LocalHub(far.root)):
        hub.publish(first.folder, NAME)
    folder = pull_release(reference, cache_dir=tmp_path / "mine")
    assert folder.is_relative_to(tmp_path / "mine")
    assert verify_folder(folder, expect=first.digest) == first.digest
    assert not (tmp_path / "cache").exists()
    asked = list(far.asked)
    assert pull_release(f"{reference}@{first.digest}", cache_dir=tmp_path / "mine") == folder
    assert far.asked == asked


def test_a_revision_is_given_once(first: Release) -> None:
    open_hub().publish(first.folder, NAME, tags=["v1"])
    assert pull_release(f"{NAME}@v1", revision="v1")
    with pytest.raises(ConfigError, match=r"revision 'v1' contradicts the name's 'v2'"):
        pull_release(f"{NAME}@v2", revision="v1")
    with pytest.raises(ReleaseError, match="neither a tag nor a digest"):
        pull_release(NAME, revision="../head")


def test_an_address_overrides_the_prefix_but_does_not_contradict_it(first: Release, tmp_path: Path) -> None:
    LocalHub(tmp_path / "other").publish(first.folder, NAME)
    for reference in (NAME, f"hub:{NAME}"):
        assert verify_folder(pull_release(reference, hub=tmp_path / "other")) == first.digest
    with pytest.raises(AccelzooError, match="is a directory, not Hugging Face"):
        pull_release(f"hf:{NAME}", hub=tmp_path / "other")


def test_a_server_takes_the_callers_settings(tmp_path: Path) -> None:
    hub = open_hub("https://hub.example", private=True)
    assert (hub.endpoint, hub.private) == ("https://hub.example", True)  # type: ignore[union-attr]
    assert open_hub("hf:").private is False  # type: ignore[union-attr]
    with pytest.raises(AccelzooError, match="its permissions say who may read it"):
        open_hub(tmp_path, private=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me/tiny", True),
        ("me/tiny@v1", True),
        ("hub:tiny", True),
        ("hf:me/tiny", True),
        ("tiny", False),
        ("tiny@v1", False),
        ("./tiny", False),
        ("../me/tiny", False),
        ("a/b/c", False),
        ("/me/tiny", False),
        ("timm:tag", False),
    ],
)
def test_what_names_a_published_release(text: str, expected: bool) -> None:
    assert is_reference(text) is expected
