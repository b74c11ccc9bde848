"""What the hub does when the server or the network fails: nothing half done, and a message that helps."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from accelzoo.errors import ReleaseError, UnknownNameError
from accelzoo.hub import ConflictError, HfHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.release import RELEASE_FILES, Release, verify_folder
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub, Fault

# The client hands its HTTP library an open file the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits between its attempts; here it does not."""
    impatient = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
    monkeypatch.setattr("huggingface_hub.file_download.time", impatient)


def test_a_server_error_on_the_commit_changes_nothing(
    hub: HfHub, server: FakeHub, release: Release, other: Release
) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("status", "POST", "/commit/main", status=500))
    with pytest.raises(ReleaseError, match=rf"cannot publish {NAME} on .*try again later .*500"):
        hub.publish(other.folder, NAME, tags=("v2",))
    assert hub.resolve(NAME) == release.digest
    assert hub.tags(NAME) == {}
    assert hub.publish(other.folder, NAME, tags=("v2",)) == other.digest
    assert hub.resolve(NAME, "v2") == other.digest


@pytest.mark.parametrize("path", ["/commit/main", "/preupload/", "/objects/batch", "/objects/verify", "/tag/"])
def test_a_lost_connection_is_no_publication(
    hub: HfHub, server: FakeHub, release: Release, other: Release, path: str
) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("drop", "POST", path, times=99))
    with pytest.raises(ReleaseError, match="no answer from the server"):
        hub.publish(other.folder, NAME)
    server.faults.clear()
    assert hub.resolve(NAME) == (other.digest if path == "/tag/" else release.digest)
    assert hub.publish(other.folder, NAME) == other.digest
    assert hub.resolve(NAME, other.digest) == other.digest


def test_after_a_lost_answer_publishing_again_is_safe(
    hub: HfHub, server: FakeHub, release: Release, other: Release
) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("lose answer", "POST", "/commit/main"))
    with pytest.raises(ReleaseError, match="no answer from the server"):
        hub.publish(other.folder, NAME)
    assert hub.publish(other.folder, NAME) == other.digest
    assert [commit.title for commit in server.repositories[NAME].commits][2:] == [f"Publish {other.digest}"]
    assert hub.resolve(NAME, other.digest) == other.digest


def test_a_dropped_upload_is_sent_again(hub: HfHub, server: FakeHub, release: Release) -> None:
    server.faults.append(Fault("drop", "PUT", "", times=2))
    hub.publish(release.folder, NAME)
    assert sum(request.method == "PUT" for request in server.log) == 3
    assert verify_folder(hub.pull(NAME)) == release.digest


def test_an_upload_that_never_arrives_changes_nothing(
    hub: HfHub, server: FakeHub, release: Release, other: Release
) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("drop", "PUT", "", times=99))
    with pytest.raises(ReleaseError, match="no answer from the server"):
        hub.publish(other.folder, NAME)
    assert hub.resolve(NAME) == release.digest
    assert len(server.repositories[NAME].commits) == 2


def test_a_rival_who_came_first_is_named(hub: HfHub, server: FakeHub, release: Release, tmp_path: Path) -> None:
    hub.publish(release.folder, NAME)
    mine, rival = (example_release(tmp_path / name, value=value) for name, value in (("mine", 3.0), ("rival", 4.0)))
    rival_hub = HfHub(server.endpoint, token=TOKEN)
    come_first = Fault("call", "POST", "/commit/main", call=lambda: rival_hub.publish(rival.folder, NAME))
    server.faults.append(come_first)
    with pytest.raises(ConflictError, match=rival.digest):
        hub.publish(mine.folder, NAME, expect=release.digest)
    assert come_first.hits == 1
    assert hub.resolve(NAME) == rival.digest


def test_without_an_expectation_both_rivals_are_published(
    hub: HfHub, server: FakeHub, release: Release, other: Release
) -> None:
    rival_hub = HfHub(server.endpoint, token=TOKEN)
    server.faults.append(Fault("call", "POST", "/commit/main", call=lambda: rival_hub.publish(other.folder, NAME)))
    assert hub.publish(release.folder, NAME) == release.digest
    titles = [commit.title for commit in server.repositories[NAME].commits]
    assert titles == ["initial commit", f"Publish {other.digest}", f"Publish {release.digest}"]


def test_a_head_that_always_moves_is_given_up(hub: HfHub, server: FakeHub, release: Release) -> None:
    server.faults.append(Fault("status", "POST", "/commit/main", times=99, status=412))
    with pytest.raises(ConflictError, match="has moved 5 times"):
        hub.publish(release.folder, NAME)
    assert hub.list() == ()


@pytest.mark.parametrize("filename", RELEASE_FILES)
def test_one_flipped_bit_is_refused(
    hub: HfHub, server: FakeHub, release: Release, tmp_path: Path, filename: str
) -> None:
    hub.publish(release.folder, NAME)
    address = release.hashes[filename] if filename == "model.safetensors" else f"/{filename}"
    size = (release.folder / filename).stat().st_size
    flip = Fault("flip", "GET", address, at_byte=size // 2)
    server.faults.append(flip)
    folder = tmp_path / "pulled" / "here"
    with pytest.raises(ReleaseError, match=f"{filename}: damaged: expected") as caught:
        hub.pull(NAME, into=folder)
    assert flip.hits == 1
    assert "lock.json" in str(caught.value) or filename != "lock.json"
    assert not folder.exists()
    assert verify_folder(hub.pull(NAME, into=folder)) == release.digest


def test_a_truncated_download_continues_where_it_stopped(
    hub: HfHub, server: FakeHub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what it writes at a time: 10 MB
    hub.publish(release.folder, NAME)
    address = release.hashes["model.safetensors"]
    server.faults += [
        Fault("truncate", "GET", address, at_byte=5000),
        Fault("status", "GET", address, status=503),  # and the client's own second attempt fails
    ]
    with pytest.raises(ReleaseError, match=r"cannot (download|pull) (model\.safetensors of )?zoo/tiny-net"):
        hub.pull(NAME)
    server.log.clear()
    assert verify_folder(hub.pull(NAME)) == release.digest
    weights = [request for request in server.log if request.path.endswith("/model.safetensors")]
    assert [request.range for request in weights] == ["bytes=5000-"]  # only what was missing


@pytest.mark.parametrize("left", [b"\x00" * 100, b"\x00" * 100_000], ids=["other bytes", "too many bytes"])
def test_a_damaged_beginning_is_not_continued(hub: HfHub, release: Release, left: bytes) -> None:
    hub.publish(release.folder, NAME)
    begun = Path(str(hub.cache_dir)) / "downloads" / NAME / release.digest.removeprefix("sha256:")
    begun.mkdir(parents=True)
    (begun / "model.safetensors").write_bytes(left)
    assert verify_folder(hub.pull(NAME)) == release.digest
    assert not begun.exists()


def test_slow_heads_do_not_matter(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("delay", "HEAD", "", times=99, delay_s=30.0))
    assert verify_folder(hub.pull(NAME)) == release.digest
    assert not any(request.method == "HEAD" for request in server.log)


def test_a_server_without_an_answer_is_given_up(
    hub: HfHub, server: FakeHub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish(release.folder, NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.1)
    server.faults.append(Fault("delay", "GET", "/refs", times=99, delay_s=2.0))
    with pytest.raises(ReleaseError, match=r"no answer from the server(.|\n)*nothing of zoo/tiny-net is in the cache"):
        hub.pull(NAME)


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "hf auth login"), (403, "write access"), (429, "too many requests"), (502, "try again later")],
)
def test_each_refusal_says_what_to_do(hub: HfHub, server: FakeHub, status: int, advice: str) -> None:
    server.faults.append(Fault("status", "GET", "/api/models", times=99, status=status))
    with pytest.raises(ReleaseError, match=rf"cannot list releases on {server.endpoint}: .*{advice}"):
        hub.list()


def test_a_gated_repository_says_how_to_get_in(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME)
    server.faults.append(Fault("status", "GET", "/resolve/", times=99, status=403, code="GatedRepo"))
    with pytest.raises(ReleaseError, match="accept its terms"):
        hub.pull(NAME)


def test_an_unknown_name_is_told_though_nothing_can_be_listed(hub: HfHub, server: FakeHub) -> None:
    server.faults.append(Fault("status", "GET", "/api/models", times=99, status=403))
    server.faults.insert(0, Fault("status", "GET", "/refs", status=404, code="RepoNotFound"))
    with pytest.raises(UnknownNameError, match=NAME):
        hub.pull(NAME)
