"""The list of releases that load without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import accelzoo
from accelzoo import pretrained
from accelzoo.errors import ReleaseError
from accelzoo.hub import LocalHub, open_hub
from accelzoo.hubs.conformance import example_release
from accelzoo.hubs.finding import pull_release
from accelzoo.pretrained import ZOO, find_release, list_packaged
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.stand_in_hub import stand_in

NAME = "me/tiny"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELZOO_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("ACCELZOO_CACHE", str(tmp_path / "cache"))
    stand_in(monkeypatch, tmp_path / "far", refusal="no connection")


@pytest.fixture
def empty_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "ZOO", tmp_path / "zoo")


def test_packaged_releases_are_described() -> None:
    listed = accelzoo.list_releases()
    assert [(entry.name, entry.where, entry.error) for entry in listed] == [
        (name, "package", None) for name in list_packaged()
    ]
    (camera,) = accelzoo.list_releases("camera_*")
    assert (camera.task, camera.target) == ("classification", "camera-npu")
    assert camera.digest == find_release("camera_accel").digest
    assert camera.metrics is not None
    assert camera.metrics["test_top1"] == 0.7151  # as its card says
    assert camera.size_bytes == sum(path.stat().st_size for path in (ZOO / "camera_accel").iterdir())
    assert camera.architecture == find_release("camera_accel").config["accelzoo"]["arch_digest"]


@pytest.mark.usefixtures("empty_zoo")
def test_every_entry_loads_by_its_name_without_any_hub(tmp_path: Path) -> None:
    releases = [example_release(tmp_path / f"{value}", value=value) for value in (1.0, 2.0, 3.0)]
    for release, tags in zip(releases, (["v1", "paper"], [], ["v3"]), strict=True):
        open_hub().publish(release.folder, NAME, tags=tags)
    LocalHub(tmp_path / "far").publish(releases[1].folder, "you/far")
    pulled = LocalHub(tmp_path / "far").pull("you/far")
    listed = accelzoo.list_releases()
    first, second, third = (release.digest for release in releases)
    assert [(entry.name, entry.where, entry.digest, entry.tags) for entry in listed] == [
        (f"hub:{NAME}", "hub", third, ("v3",)),
        (f"hub:{NAME}@paper", "hub", first, ("paper", "v1")),
        (f"you/far@{second}", "cache", second, ()),
    ]
    assert listed[-1].folder == pulled
    for entry in listed:
        assert find_release(entry.name).digest == entry.digest
    assert [entry.name for entry in accelzoo.list_releases("you/*")] == [f"you/far@{second}"]


@pytest.mark.usefixtures("empty_zoo")
def test_damaged_entries_are_marked_and_hide_no_others(tmp_path: Path) -> None:
    releases = [example_release(tmp_path / f"{value}", value=value) for value in (1.0, 2.0, 3.0)]
    for release, name in zip(releases, ("me/a", "me/b", "me/c"), strict=True):
        open_hub().publish(release.folder, name)
        pull_release(name)
    damaged, swapped, whole = (tmp_path / "cache/releases/me" / name for name in "abc")
    (next(damaged.iterdir()) / "config.json").write_bytes(b"\xff")
    kept = next(swapped.iterdir())
    shutil.rmtree(kept)
    shutil.copytree(next(whole.iterdir()), kept)  # whole, but not what its name says
    (tmp_path / "hub/me/b/refs/head").write_text("nonsense")
    (whole / ".x.partial").mkdir()
    (whole / "notes").mkdir()
    listed = {(entry.where, entry.name.partition("@")[0]): entry for entry in accelzoo.list_releases()}
    faults = {key: entry.error for key, entry in listed.items() if entry.error}
    assert sorted(listed) == [
        *(("cache", f"me/{name}") for name in "abc"),
        *(("hub", f"hub:me/{name}") for name in "abc"),
    ]
    assert sorted(faults) == [("cache", "me/a"), ("cache", "me/b"), ("hub", "hub:me/b")]
    assert "config.json: damaged" in str(faults["cache", "me/a"])
    assert f"expected the digest sha256:{kept.name}, found {releases[2].digest}" in str(faults["cache", "me/b"])
    assert "head" in str(faults["hub", "hub:me/b"])
    broken = listed["cache", "me/a"]
    assert (broken.digest, broken.metrics, broken.size_bytes) == (releases[0].digest, None, None)
    with pytest.raises(ReleaseError, match=r"refs.head"):
        find_release("hub:me/b")


@pytest.mark.usefixtures("empty_zoo")
def test_another_cache_can_be_listed(tmp_path: Path) -> None:
    release = example_release(tmp_path / "one")
    open_hub().publish(release.folder, NAME)
    pull_release(NAME, cache_dir=tmp_path / "mine")
    assert [entry.where for entry in accelzoo.list_releases()] == ["hub"]
    assert [entry.where for entry in accelzoo.list_releases(cache_dir=tmp_path / "mine")] == ["hub", "cache"]


def test_listing_needs_neither_torch_nor_a_client_of_a_hub() -> None:
    code = (
        "import sys, accelzoo; accelzoo.list_releases(); "
        "print({'torch', 'timm', 'huggingface_hub'} & set(sys.modules))"
    )
    assert fresh_python(code).splitlines()[-1] == "set()"
