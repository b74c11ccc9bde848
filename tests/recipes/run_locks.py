"""The two locks of a run: that of its folder and that of a release agree, and each names what it must."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from accelzoo.recipes.verify import verify_release
from accelzoo.release import Release

TIED = frozenset({"model.safetensors", "quantization.json", "recipe.yaml", "trace.jsonl"})


def assert_tied(release: Release, folder: Path, network: str | None = None) -> None:
    """Compares a release's lock with the run's.

    Args:
        release: The release.
        folder: The run's.
        network: Which of the run's releases it is; None: the only one.
    """
    own, run = release.read_lock(), json.loads((folder / "lock.json").read_text("utf-8"))
    digest = run.pop("release")
    assert (digest if network is None else digest[network]) == release.digest
    tied = TIED & release.hashes.keys()
    assert own.pop("files") == {name: sha256((release.folder / name).read_bytes()).hexdigest() for name in tied}
    if network is not None:
        own["winner_digest"] = run["winner_digest"]
    assert own == run


def assert_checked(release: Release) -> None:
    """Makes every check of a release whose data are at hand; here the score is the same to the last digit."""
    found = verify_release(release.folder)
    assert {check.name: check.status for check in found.checks if check.status != "ok"} == {}
    assert "on an equal set-up" in found.checks[-1].said
