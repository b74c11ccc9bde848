"""Hubs: the contract on a directory, what only a directory does, and how hubs and releases are addressed."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from accelzoo.errors import AccelzooError, ReleaseError
from accelzoo.hub import ABSENT, Hub, LocalHub, Reference, open_hub, parse_reference
from accelzoo.hubs.conformance import NAME, HubContract, example_release
from accelzoo.hubs.locations import cached_release
from accelzoo.release import Release, verify_folder
from tests.checkout import ROOT

HEAVY = ("torch", "timm", "numpy", "yaml", "safetensors", "huggingface_hub", "pytest")


class TestLocalHub(HubContract):
    @pytest.fixture
    def hub(self, tmp_path: Path) -> Hub:
        return LocalHub(tmp_path / "hub", cache_dir=tmp_path / "cache")

    def reopen(self, hub: Hub) -> Hub:
        assert isinstance(hub, LocalHub)
        return LocalHub(hub.root, cache_dir=hub.cache_dir)

    def stored_file(self, hub: Hub, name: str, digest: str, filename: str) -> Path | None:
        assert isinstance(hub, LocalHub)
        return hub.root / name / "releases" / digest.removeprefix("sha256:") / filename


@pytest.fixture
def local(tmp_path: Path) -> LocalHub:
    return LocalHub(tmp_path / "hub", cache_dir=tmp_path / "cache")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return example_release(tmp_path / "release", value=1.0)


def shelf_of(local: LocalHub) -> Path:
    return local.root / NAME


def test_opening_and_asking_create_nothing(local: LocalHub) -> None:
    assert local.list() == ()
    with pytest.raises(AccelzooError):
        local.pull(NAME)
    assert not local.root.exists()


def test_the_layout_is_content_addressed(local: LocalHub, release: Release) -> None:
    local.publish(release.folder, NAME, tags=("v1",))
    hexadecimal = release.digest.removeprefix("sha256:")
    files = {path.relative_to(shelf_of(local)).as_posix() for path in shelf_of(local).rglob("*") if path.is_file()}
    stored = {f"releases/{hexadecimal}/{path.name}" for path in release.folder.iterdir()}
    assert files == stored | {"refs/head", "refs/tags/v1", "lock"}
    seal = hashlib.sha256(f"{NAME}\nhead\n{release.digest}\n".encode()).hexdigest()
    assert (shelf_of(local) / "refs/head").read_text(encoding="ascii") == f"{release.digest}\nseal {seal}\n"
    assert list((shelf_of(local) / "staging").iterdir()) == []


def test_a_shared_hub_is_readable_by_others(local: LocalHub, release: Release) -> None:
    previous = os.umask(0o022)
    try:
        local.publish(release.folder, NAME)
    finally:
        os.umask(previous)
    for path in (local.root, *local.root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), path


def test_an_ambiguous_prefix_lists_the_candidates(local: LocalHub, release: Release) -> None:
    local.publish(release.folder, NAME)
    digits = release.digest.removeprefix("sha256:")
    twin = digits[:10] + "".join("1" if digit == "0" else "0" for digit in digits[10:])
    (shelf_of(local) / "releases" / twin).mkdir()
    with pytest.raises(ReleaseError, match="several releases") as caught:
        local.resolve(NAME, digits[:8])
    assert digits in str(caught.value)
    assert twin in str(caught.value)
    assert local.resolve(NAME, digits[:11]) == release.digest


@pytest.mark.parametrize("ref", ["head", "tags/v1"])
@pytest.mark.parametrize("content", ["", "garbage", "sha256:" + "0" * 64])
def test_a_damaged_ref_is_named(local: LocalHub, release: Release, ref: str, content: str) -> None:
    local.publish(release.folder, NAME, tags=("v1",))
    (shelf_of(local) / "refs" / ref).write_text(content, encoding="ascii")
    with pytest.raises(ReleaseError, match="damaged: expected"):
        local.resolve(NAME, None if ref == "head" else "v1")


def test_what_a_killed_publisher_left_is_removed_by_the_next(local: LocalHub, release: Release, tmp_path: Path) -> None:
    local.publish(release.folder, NAME)
    staging = shelf_of(local) / "staging"
    (staging / ("0" * 64)).mkdir()
    (staging / ("0" * 64) / "model.safetensors").write_bytes(b"half")
    (staging / "head.123").write_bytes(b"sha")
    (staging / "link").symlink_to(release.folder)
    local.publish(example_release(tmp_path / "next", value=2.0).folder, NAME)
    assert list(staging.iterdir()) == []
    assert verify_folder(release.folder) == release.digest


@pytest.mark.parametrize("kind", ["link", "folder", "missing"])
def test_a_hub_file_that_is_no_file_is_named(local: LocalHub, release: Release, tmp_path: Path, kind: str) -> None:
    local.publish(release.folder, NAME)
    stored = shelf_of(local) / "releases" / release.digest.removeprefix("sha256:") / "lock.json"
    stored.unlink()
    if kind == "link":
        stored.symlink_to(release.folder / "lock.json")
    elif kind == "folder":
        stored.mkdir()
    with pytest.raises(ReleaseError, match=r"lock\.json: (missing|expected a plain file)"):
        local.pull(NAME, into=tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_folder_that_changes_while_published_is_refused(
    local: LocalHub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelzoo.hubs import local as module

    def verify_then_change(folder: Path, expect: str | None = None) -> str:
        digest = verify_folder(folder, expect)
        (release.folder / "recipe.yaml").write_bytes(b"changed")
        return digest

    monkeypatch.setattr(module, "verify_folder", verify_then_change)
    with pytest.raises(ReleaseError, match=r"changed while(.|\n)*recipe\.yaml: damaged"):
        local.publish(release.folder, NAME, expect=ABSENT)
    assert local.list() == ()


def test_pulls_are_cached_by_content(local: LocalHub, release: Release, tmp_path: Path) -> None:
    local.publish(release.folder, NAME)
    folder = local.pull(NAME)
    assert folder == tmp_path / "cache" / "releases" / NAME / release.digest.removeprefix("sha256:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub:zoo/net", Reference("zoo/net", None)),
        ("hub:zoo/net_1.5@v1.0", Reference("zoo/net_1.5", "v1.0")),
        ("hub:zoo/net@sha256:" + "0" * 64, Reference("zoo/net", "sha256:" + "0" * 64)),
        ("hub:zoo/net@sha256:01234567", Reference("zoo/net", "sha256:01234567")),
        ("hub:zoo/net@deadbeef", Reference("zoo/net", "deadbeef")),
        ("hf:zoo/net", Reference("zoo/net", None, "hf")),
        ("hf:zoo/net@main", Reference("zoo/net", "main", "hf")),
        ("hf:zoo/net@sha256:01234567", Reference("zoo/net", "sha256:01234567", "hf")),
    ],
)
def test_references_are_read(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "zoo/net", "hub:", "hub:net", "hub:zoo/net@", "hub:zoo/net@a@b", "hub:zoo/net@../x", "hub:../net",
     "hub:zoo/net@sha256:", "HUB:zoo/net", "hub:zoo/net@v1\n", "hf:", "hf:net", "hf:zoo/net@", "hf://zoo/net"],
)  # fmt: skip
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"reference|release name"):
        parse_reference(text)


def root_of(hub: Hub) -> Path:
    assert isinstance(hub, LocalHub)
    return hub.root


def test_a_hub_address_is_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root_of(open_hub(tmp_path)) == tmp_path
    assert root_of(open_hub(str(tmp_path / "a b"))) == tmp_path / "a b"
    assert root_of(open_hub("~/hub")) == tmp_path / "hub"
    assert root_of(open_hub("hubs/mine")) == Path("hubs/mine")
    assert root_of(open_hub("file:///srv/a%20b")) == Path("/srv/a b")
    assert root_of(open_hub("file://localhost/srv/hub")) == Path("/srv/hub")


def test_the_default_hub_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("ACCELZOO_HUB", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert root_of(open_hub()) == tmp_path / ".local/share/accelzoo/hub"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert root_of(open_hub()) == tmp_path / ".local/share/accelzoo/hub"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert root_of(open_hub()) == tmp_path / "data/accelzoo/hub"
    for value in ("file:///srv/hub", "/srv/hub"):
        monkeypatch.setenv("ACCELZOO_HUB", value)
        assert root_of(open_hub()) == Path("/srv/hub")


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("ACCELZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    end = Path("releases/zoo/net/12")
    assert cached_release("zoo/net", "sha256:12") == tmp_path / ".cache/accelzoo" / end
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cached_release("zoo/net", "sha256:12") == tmp_path / "xdg/accelzoo" / end
    monkeypatch.setenv("ACCELZOO_CACHE", str(tmp_path / "own"))
    assert cached_release("zoo/net", "sha256:12") == tmp_path / "own" / end
    assert cached_release("zoo/net", "sha256:12", tmp_path / "given") == tmp_path / "given" / end


def test_hugging_face_has_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert repr(open_hub("hf:")) == repr(open_hub("https://huggingface.co/")) == "HfHub('https://huggingface.co')"
    assert repr(open_hub("https://hub.example:8443/mirror/")) == "HfHub('https://hub.example:8443/mirror')"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert repr(open_hub("hf:")) == "HfHub('http://127.0.0.1:1')"
    monkeypatch.setenv("ACCELZOO_HUB", "hf:")
    assert repr(open_hub()) == "HfHub('http://127.0.0.1:1')"


@pytest.mark.parametrize("url", ["hf:zoo", "hf://zoo/net", "https://huggingface.co/zoo/net", "https://", "https://a?b"])
def test_an_address_is_no_reference(url: str) -> None:
    with pytest.raises(AccelzooError, match=r"hub address.* expected '(hf:|https://server)"):
        open_hub(url)


@pytest.mark.parametrize("url", ["", "s3://bucket/x", "ftp://[", "file://server/x", "file:relative", "file:///a?b"])
def test_an_unknown_address_is_refused(url: str) -> None:
    with pytest.raises(AccelzooError, match="allowed: a directory"):
        open_hub(url)


def test_the_hub_loads_nothing_heavy() -> None:
    code = f"import sys, accelzoo.hub, accelzoo.release; print([name for name in {HEAVY} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
