"""A loopback hub and a client of it that knows no login of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accelzoo.hub import HfHub
from accelzoo.hubs.conformance import example_release
from accelzoo.release import Release
from tests.accelzoo.hubs.hf_server import TOKEN, FakeHub, serve


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def server() -> Iterator[FakeHub]:
    with serve(FakeHub()) as hub:
        yield hub


@pytest.fixture
def hub(server: FakeHub, tmp_path: Path) -> HfHub:
    return HfHub(server.endpoint, token=TOKEN, cache_dir=tmp_path / "cache")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return example_release(tmp_path / "release", value=1.0, size=2000)


@pytest.fixture
def other(tmp_path: Path) -> Release:
    return example_release(tmp_path / "other", value=2.0, size=2000)
