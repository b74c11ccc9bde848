"""A hub in a directory that stands for Hugging Face: what is tested is who is asked, and when."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from accelzoo import hub as hub_page
from accelzoo.errors import ReleaseError
from accelzoo.hub import LocalHub
from accelzoo.hubs import finding


class StandInHub:
    """Answers as a directory does and remembers what it was asked."""

    root: ClassVar[Path]
    asked: ClassVar[list[str]]
    refusal: ClassVar[str] = ""

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        private: bool = False,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.private = private
        self._local = LocalHub(self.root, cache_dir=cache_dir)

    def publish(self, folder: str | Path, name: str, expect: str | None = None, tags: tuple[str, ...] = ()) -> str:
        self.asked.append(f"publish {name} to {self.endpoint}, private={self.private}")
        return self._local.publish(folder, name, expect, tags)

    def pull(
        self, name: str, revision: str | None = None, into: str | Path | None = None, *, force: bool = False
    ) -> Path:
        self.asked.append(f"pull {name}@{revision} from {self.endpoint}")
        if self.refusal:
            raise ReleaseError(self.refusal)
        return self._local.pull(name, revision, into, force=force)


def stand_in(monkeypatch: pytest.MonkeyPatch, root: Path, refusal: str = "") -> type[StandInHub]:
    """Puts a new stand-in in Hugging Face's place, for as long as a test runs."""
    kind = type("StandIn", (StandInHub,), {"root": root, "asked": [], "refusal": refusal})
    monkeypatch.setattr(finding, "HfHub", kind)
    monkeypatch.setattr(hub_page, "HfHub", kind)
    return kind
