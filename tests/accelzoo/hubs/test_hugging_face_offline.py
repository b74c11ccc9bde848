"""Pulling without a network: what is pinned and cached needs no request, the rest says what it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from accelzoo.errors import ReleaseError
from accelzoo.hub import HfHub
from accelzoo.hubs.conformance import NAME
from accelzoo.release import Release, verify_folder
from tests.accelzoo.hubs.hf_server import FakeHub
from tests.checkout import ROOT

# The client hands its HTTP library an open file the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

# Pulls each of argv[3:] from the hub argv[1] with the cache argv[2]; prints the folder or the error, then the warnings.
PULL = """
import sys, warnings
from accelzoo.errors import ReleaseError
from accelzoo.hub import HfHub
for revision in sys.argv[3:]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            print(HfHub(sys.argv[1], cache_dir=sys.argv[2]).pull("zoo/tiny-net", revision or None))
        except ReleaseError as error:
            print("error:", error)
    print(*(warning.message for warning in seen))
"""


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_pinned_cached_release_needs_no_request(
    hub: HfHub, server: FakeHub, release: Release, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME)
    folder = hub.pull(NAME)
    server.log.clear()
    for revision in (release.digest, release.digest.removeprefix("sha256:")):
        assert hub.pull(NAME, revision) == folder
    assert verify_folder(hub.pull(NAME, release.digest, tmp_path / "into")) == release.digest
    assert server.log == []


def test_a_damaged_pinned_copy_is_fetched_again(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME)
    folder = hub.pull(NAME)
    (folder / "lock.json").write_bytes(b"{}")
    assert hub.pull(NAME, release.digest) == folder
    assert verify_folder(folder) == release.digest


@pytest.mark.parametrize("revision", ["v1", "digest", "prefix"])
def test_offline_a_cached_revision_is_found(
    hub: HfHub, server: FakeHub, release: Release, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    hub.publish(release.folder, NAME, tags=("v1",))
    folder = hub.pull(NAME, "v1")
    go_offline(monkeypatch)
    server.log.clear()
    wanted = {"digest": release.digest, "prefix": release.digest.removeprefix("sha256:")[:8]}.get(revision, revision)
    assert hub.resolve(NAME, wanted) == release.digest
    assert hub.pull(NAME, wanted) == folder
    assert server.log == []


def test_offline_the_head_is_what_it_last_was_and_says_so(
    hub: HfHub, release: Release, other: Release, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.publish(release.folder, NAME)
    folder = hub.pull(NAME)
    hub.publish(other.folder, NAME)  # never pulled here
    go_offline(monkeypatch)
    with pytest.warns(UserWarning, match=f"cannot be reached: {NAME} is what it last was, {release.digest}"):
        assert hub.pull(NAME) == folder
    with pytest.warns(UserWarning, match=release.digest):
        assert verify_folder(hub.pull(NAME, into=tmp_path / "into")) == release.digest
    for revision in (other.digest, "v9", None if release.digest == other.digest else "00000000"):
        with pytest.raises(ReleaseError, match=r"HF_HUB_OFFLINE is set(.|\n)*nothing of zoo/tiny-net@.* is in the cac"):
            hub.pull(NAME, revision)


def test_offline_nothing_else_pretends_to_work(
    hub: HfHub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_offline(monkeypatch)
    with pytest.raises(ReleaseError, match="nothing of zoo/tiny-net is in the cache"):
        hub.pull(NAME)
    for ask in (hub.list, lambda: hub.tags(NAME), lambda: hub.publish(release.folder, NAME)):
        with pytest.raises(ReleaseError, match="HF_HUB_OFFLINE is set"):
            ask()


def test_a_server_that_is_gone_is_like_no_network(tmp_path: Path, release: Release) -> None:
    from tests.accelzoo.hubs.hf_server import TOKEN, serve

    with serve(FakeHub()) as server:
        hub = HfHub(server.endpoint, token=TOKEN, cache_dir=tmp_path / "cache")
        hub.publish(release.folder, NAME)
        folder = hub.pull(NAME)
    assert hub.pull(NAME, release.digest) == folder
    with pytest.warns(UserWarning, match=release.digest):
        assert hub.pull(NAME) == folder
    with pytest.raises(ReleaseError, match="no answer from the server"):
        hub.pull(NAME, "v1")


def test_the_environment_variable_is_heeded(hub: HfHub, server: FakeHub, release: Release) -> None:
    hub.publish(release.folder, NAME)
    folder = hub.pull(NAME)
    server.log.clear()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", PULL, server.endpoint, str(hub.cache_dir), release.digest, "", "v1"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    pinned, no_warning, head, warning, unknown, _ = run.stdout.split("\n")[:6]
    assert (pinned, no_warning, head) == (str(folder), "", str(folder))
    assert release.digest in warning
    assert unknown.startswith("error: cannot read zoo/tiny-net")
    assert server.log == []
