"""Recipes killed with SIGKILL at any moment, and gone on with: the same trace, winner and weights, to the byte."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def test_killed_at_file_operations_and_after_random_times(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.recipes.tiny", str(tmp_path / "runs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["statuses"]["steps"] == [-signal.SIGKILL] * 5
    assert set(found["statuses"]["moments"]) <= {0, -signal.SIGKILL}
    assert -signal.SIGKILL in found["statuses"]["moments"]
    outcomes = found["outcomes"]
    unbroken = outcomes.pop("unbroken")
    assert sorted(outcomes) == ["moments", *(f"step-{life}" for life in range(5))]
    assert outcomes == dict.fromkeys(outcomes, unbroken)
