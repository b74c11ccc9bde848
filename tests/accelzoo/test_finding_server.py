"""Releases found on a server by their names: order, pins, offline, and the bar that a terminal shows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelzoo import create_model
from accelzoo.errors import ReleaseError, UnknownNameError
from accelzoo.hub import HfHub, open_hub
from accelzoo.hubs.available import list_releases
from accelzoo.hubs.conformance import example_release
from accelzoo.hubs.finding import pull_release
from accelzoo.release import verify_folder
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub, serve
from tests.accelzoo.test_pretrained import check_network, write

# The client uploads in a way that its own HTTP library calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
NAME = "zoo/tiny-net"
PULL = f"from accelzoo.hubs.finding import pull_release; pull_release('hf:{NAME}')"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A server in Hugging Face's place; its user is logged in by the environment."""
    with serve(FakeHub()) as hub:
        for variable, value in {
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": TOKEN,
            "ACCELZOO_HUB": str(tmp_path / "hub"),
            "ACCELZOO_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(variable, value)
        yield hub


def test_a_network_comes_from_the_server_once(server: FakeHub, tmp_path: Path) -> None:
    release = write(tmp_path / "release")
    open_hub("hf:", private=True).publish(release.folder, NAME, tags=["v1"])
    assert server.repositories[NAME].private
    for name in (NAME, f"{NAME}@v1", f"hf:{NAME}", f"hf:{NAME}@{release.digest[:17]}"):
        check_network(create_model(name))
    server.log.clear()
    check_network(create_model(f"hf:{NAME}@{release.digest}"))
    check_network(create_model(NAME, revision=release.digest))
    assert server.log == []
    (entry,) = list_releases("zoo/*")
    assert (entry.name, entry.where, entry.task) == (f"{NAME}@{release.digest}", "cache", "classification")


def test_the_local_hub_spares_the_server(server: FakeHub, tmp_path: Path) -> None:
    open_hub().publish(example_release(tmp_path / "here", value=1.0).folder, NAME)
    far = HfHub().publish(example_release(tmp_path / "far", value=2.0).folder, NAME)
    server.log.clear()
    assert verify_folder(pull_release(NAME)) != far
    assert server.log == []
    assert verify_folder(pull_release(f"hf:{NAME}")) == far


def test_a_name_that_nobody_has_names_the_server(server: FakeHub) -> None:
    with pytest.raises(UnknownNameError, match=f"- Hugging Face: .*{server.endpoint}"):
        create_model("zoo/nothing")


def test_a_server_that_is_gone_is_said_to_be(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(ReleaseError, match=r"- the local hub: (?s:.)*- Hugging Face: (?s:.)*127\.0\.0\.1:9"):
        create_model("zoo/nothing")


def test_a_terminal_shows_how_far_a_download_is_and_a_pipe_does_not(server: FakeHub, tmp_path: Path) -> None:
    pty, termios = (pytest.importorskip(name, reason="terminals are of POSIX") for name in ("pty", "termios"))
    HfHub().publish(example_release(tmp_path / "release", size=100_000).folder, NAME)
    shown = []
    for is_terminal in (True, False):
        ours, theirs = pty.openpty() if is_terminal else os.pipe()
        if is_terminal:
            termios.tcsetwinsize(theirs, (24, 80))
        environment = {**os.environ, "ACCELZOO_CACHE": str(tmp_path / f"cache-{is_terminal}"), "TERM": "xterm"}
        with subprocess.Popen([sys.executable, "-c", PULL], stderr=theirs, stdout=theirs, env=environment) as process:
            os.close(theirs)
            shown.append(_read(ours))
        assert process.returncode == 0, shown[-1]
    assert "model.safetensors" in shown[0]
    assert "100%" in shown[0]
    assert shown[1] == ""


def _read(descriptor: int) -> str:
    """Reads to the end; a terminal whose other side is closed ends with an error."""
    parts = []
    try:
        while part := os.read(descriptor, 4096):
            parts.append(part)
    except OSError:
        pass
    os.close(descriptor)
    return b"".join(parts).decode("utf-8", errors="replace")
