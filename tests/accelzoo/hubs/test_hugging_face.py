"""The hub on Hugging Face: the contract and what only it does, on a loopback server with the unmodified client."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from accelzoo._checksums import format_sums, parse_sums
from accelzoo.errors import ReleaseError, UnknownNameError
from accelzoo.hub import ConflictError, HfHub, Hub
from accelzoo.hubs.conformance import NAME, HubContract, example_release
from accelzoo.hubs.hf_client import HfClient
from accelzoo.release import Release, read_release, verify_folder
from tests.accelzoo.hubs.hf_repositories import Commit, File, Repository
from tests.accelzoo.hubs.hf_server import READER_TOKEN, TOKEN, FakeHub

# The client hands its HTTP library an open file the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


class TestHfHub(HubContract):
    @pytest.fixture
    def hub(self, server: FakeHub, tmp_path: Path) -> Hub:
        return HfHub(server.endpoint, token=TOKEN, cache_dir=tmp_path / "cache")

    def reopen(self, hub: Hub) -> Hub:
        assert isinstance(hub, HfHub)
        return HfHub(hub.endpoint, token=TOKEN, cache_dir=hub.cache_dir)


def edit_on_the_site(server: FakeHub, path: str, data: bytes | None) -> None:
    repository = server.repositories[NAME]
    files = {name: file for name, file in repository.head.files.items() if name != path}
    if data is not None:
        files[path] = File.small(data)
    repository.commits.append(Commit(repository.head.id, f"Update {path}", files))


def test_a_release_is_one_commit_marked_by_its_digest(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME, tags=("v1",))
    repository = server.repositories[NAME]
    assert [commit.title for commit in repository.commits] == ["initial commit", f"Publish {release.digest}"]
    hexadecimal = release.digest.removeprefix("sha256:")
    assert repository.tags == {f"sha256-{hexadecimal}": repository.head.id, "v1": repository.head.id}
    assert set(repository.head.files) == {path.name for path in release.folder.iterdir()} | {".gitattributes"}
    weights = repository.head.files["model.safetensors"]
    assert server.objects[str(weights.sha256)] == release.weights_path.read_bytes()


def test_finding_a_release_takes_one_request(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME, tags=("v1",))
    for revision in (None, "main", "v1", release.digest):
        server.log.clear()
        assert hub.resolve(NAME, revision) == release.digest
        assert [request.path for request in server.log] == [f"/api/models/{NAME}/refs"]


def test_publishing_the_head_again_makes_no_commit(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME)
    server.log.clear()
    hub.publish(release.folder, NAME)
    assert len(server.repositories[NAME].commits) == 2
    assert not any("/commit/" in request.path or request.method == "PUT" for request in server.log)


def test_a_file_that_the_next_release_lacks_is_removed(hub: HfHub, server: FakeHub, tmp_path: Path) -> None:
    plain = example_release(tmp_path / "plain")
    packed = read_release(plain.folder)
    extended = write_with_quantization(packed, tmp_path / "extended")
    hub.publish(extended.folder, NAME)
    edit_on_the_site(server, "poster.png", b"not ours")
    assert hub.publish(plain.folder, NAME) == plain.digest
    assert "quantization.json" not in server.repositories[NAME].head.files
    assert "poster.png" in server.repositories[NAME].head.files
    for digest, names in ((plain.digest, 7), (extended.digest, 8)):
        assert len(list(hub.pull(NAME, digest).iterdir())) == names


def write_with_quantization(release: Release, folder: Path) -> Release:
    from accelzoo.release import write_release

    return write_release(
        folder,
        weights=release.load_weights(),
        config=release.config,
        recipe_yaml=release.read_recipe(),
        lock=release.read_lock(),
        trace_path=release.trace_path,
        card=release.read_card(),
        quantization={"ranges": {}},
    )


@pytest.mark.parametrize(("path", "named"), [("model.safetensors", r"model\.safetensors"), ("notes/a.md", "notes")])
def test_a_repository_with_something_else_is_left_alone(
    path: str, named: str, hub: HfHub, server: FakeHub, release: Release
) -> None:
    server.repositories[NAME] = Repository(NAME, private=False)
    edit_on_the_site(server, path, b"years of work")
    with pytest.raises(ReleaseError, match=f"holds '{named}' but no release"):
        hub.publish(release.folder, NAME)
    assert len(server.repositories[NAME].commits) == 2


def test_an_edit_on_the_site_is_refused_and_mended(
    hub: HfHub, server: FakeHub, release: Release, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME)
    edit_on_the_site(server, "README.md", b"# Better than it was\n")
    assert hub.resolve(NAME) == release.digest
    with pytest.raises(ReleaseError, match=r"README\.md: damaged"):
        hub.pull(NAME, into=tmp_path / "head")
    assert verify_folder(hub.pull(NAME, release.digest, tmp_path / "pinned")) == release.digest
    hub.publish(release.folder, NAME)
    assert verify_folder(hub.pull(NAME, into=tmp_path / "mended")) == release.digest


def test_a_forged_list_of_hashes_is_another_release(
    hub: HfHub, server: FakeHub, release: Release, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME, tags=("v1",))
    repository = server.repositories[NAME]
    lock = json.dumps({"seed": 2}).encode("ascii")
    hashes, _ = parse_sums(repository.head.files["SHA256SUMS"].data or b"")
    forged = format_sums({**hashes, "lock.json": hashlib.sha256(lock).hexdigest()})
    edit_on_the_site(server, "lock.json", lock)
    edit_on_the_site(server, "SHA256SUMS", forged)
    assert hub.resolve(NAME) == f"sha256:{hashlib.sha256(forged).hexdigest()}"
    repository.tags[f"sha256-{release.digest.removeprefix('sha256:')}"] = repository.head.id
    with pytest.raises(ReleaseError, match=f"SHA256SUMS: damaged: expected {release.digest}, found sha256:"):
        hub.pull(NAME, release.digest, tmp_path / "pinned")
    assert not (tmp_path / "pinned").exists()


def test_a_tag_called_as_a_digest_diverts_no_pin(
    hub: HfHub, server: FakeHub, release: Release, other: Release, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME)
    hub.publish(other.folder, NAME)
    repository = server.repositories[NAME]
    digits = release.digest.removeprefix("sha256:")
    pins = (release.digest, digits, digits[:12])
    repository.tags.update(dict.fromkeys([*pins, "main"], repository.head.id))
    assert hub.tags(NAME) == {}
    for pin in pins:
        assert verify_folder(hub.pull(NAME, pin, tmp_path / pin.replace(":", "-"))) == release.digest


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"branches": [{}], "tags": []}'])
def test_a_server_of_another_kind_is_told(hub: HfHub, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(HfClient, "_get", lambda self, path: SimpleNamespace(json=lambda: json.loads(answer)))
    with pytest.raises(ReleaseError, match="does not answer as Hugging Face does"):
        hub.resolve(NAME)


def test_a_digest_tag_on_another_release_is_refused(
    hub: HfHub, server: FakeHub, release: Release, other: Release, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME)
    hub.publish(other.folder, NAME)
    server.repositories[NAME].tags[f"sha256-{release.digest.removeprefix('sha256:')}"] = server.repositories[
        NAME
    ].head.id
    with pytest.raises(ReleaseError, match="SHA256SUMS: damaged") as caught:
        hub.pull(NAME, release.digest, tmp_path / "pinned")
    assert release.digest in str(caught.value)
    assert other.digest in str(caught.value)


def test_a_head_without_its_tags_is_marked_by_the_next_publisher(
    hub: HfHub, server: FakeHub, release: Release, other: Release
) -> None:
    hub.publish(release.folder, NAME)
    server.repositories[NAME].tags.clear()  # its publisher was killed right after the commit
    assert hub.resolve(NAME) == hub.resolve(NAME, release.digest) == release.digest
    hub.publish(other.folder, NAME)
    assert hub.resolve(NAME, release.digest) == release.digest
    assert verify_folder(hub.pull(NAME, release.digest)) == release.digest


def test_private_repositories_need_a_token(server: FakeHub, release: Release, tmp_path: Path) -> None:
    writer = HfHub(server.endpoint, token=TOKEN, private=True, cache_dir=tmp_path / "cache")
    writer.publish(release.folder, NAME)
    assert server.repositories[NAME].private
    stranger = HfHub(server.endpoint, cache_dir=tmp_path / "other")
    assert stranger.list() == ()
    with pytest.raises(UnknownNameError, match="hf auth login"):
        stranger.pull(NAME)
    reader = HfHub(server.endpoint, token=READER_TOKEN, cache_dir=tmp_path / "other")
    assert reader.list() == (NAME,)
    assert verify_folder(reader.pull(NAME)) == release.digest
    with pytest.raises(ReleaseError, match="write access"):
        reader.publish(example_release(tmp_path / "next", value=3.0).folder, NAME)


def test_nothing_private_goes_to_a_public_repository(server: FakeHub, release: Release, other: Release) -> None:
    HfHub(server.endpoint, token=TOKEN).publish(release.folder, NAME)
    with pytest.raises(ReleaseError, match="is public"):
        HfHub(server.endpoint, token=TOKEN, private=True).publish(other.folder, NAME)
    assert len(server.repositories[NAME].commits) == 2


def test_large_files_go_up_in_parts(hub: HfHub, server: FakeHub, release: Release) -> None:
    server.part_bytes = 1000
    hub.publish(release.folder, NAME)
    puts = [request for request in server.log if request.method == "PUT"]
    assert len(puts) == -(-release.weights_path.stat().st_size // 1000)
    assert verify_folder(hub.pull(NAME)) == release.digest


def test_a_folder_that_changes_while_published_is_refused(
    hub: HfHub, server: FakeHub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelzoo.hubs import hugging_face as module

    def verify_then_change(folder: Path, expect: str | None = None) -> str:
        digest = verify_folder(folder, expect)
        (release.folder / "recipe.yaml").write_bytes(b"changed")
        return digest

    monkeypatch.setattr(module, "verify_folder", verify_then_change)
    with pytest.raises(ReleaseError, match=r"changed while(.|\n)*recipe\.yaml: damaged"):
        hub.publish(release.folder, NAME)
    assert hub.list() == ()


def test_a_tag_taken_meanwhile_is_told(hub: HfHub, server: FakeHub, release: Release, other: Release) -> None:
    from tests.accelzoo.hubs.hf_server import Fault

    hub.publish(release.folder, NAME)
    first = server.repositories[NAME].head.id
    take = Fault("call", "POST", "/commit/", call=lambda: server.repositories[NAME].tags.update(v1=first))
    server.faults.append(take)
    with pytest.raises(ConflictError, match=r"'v1' marks .* which is the head now"):
        hub.publish(other.folder, NAME, tags=("v1",))
    assert hub.tags(NAME) == {"v1": release.digest}
    assert hub.resolve(NAME) == other.digest
