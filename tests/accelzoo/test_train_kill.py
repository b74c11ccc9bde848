"""A training killed with SIGKILL at any moment goes on to the same weights and history, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.accelzoo.train_toy import CONFIGS, train
from tests.checkout import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
TOY = ("-m", "tests.accelzoo.train_toy")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, *TOY, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    parsed: dict[str, Any] = json.loads(out)
    return parsed


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_killed_at_every_file_operation(tmp_path: Path, name: str) -> None:
    found = answer(start("every-file-step", tmp_path, name))
    outcomes, resumed_from = found["outcomes"], found["resumed_from"]
    assert set(resumed_from) == {0, 2, 4}
    assert len(outcomes) >= 2 * 10  # each checkpoint takes ten operations and more
    assert all(outcome == found["unbroken"] for outcome in outcomes)


def test_killed_after_random_times(tmp_path: Path) -> None:
    found = answer(start("any-moment", tmp_path, "adamw"))
    assert set(found["statuses"]) <= {0, -signal.SIGKILL}
    assert found["statuses"].count(-signal.SIGKILL) >= 2
    assert found["outcomes"] == [found["unbroken"]]


def test_another_process_takes_up_a_killed_training(tmp_path: Path) -> None:
    steps = 150
    first = start("train", tmp_path / "broken", "adamw", steps)
    index = tmp_path / "broken" / "checkpoint.json"
    deadline_s = time.monotonic() + 100
    while not index.exists() and first.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.002)
    first.kill()
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert 0 < json.loads(index.read_text())["step"] < steps
    resumed = answer(start("train", tmp_path / "broken", "adamw", steps))
    assert resumed == train(None, replace(CONFIGS["adamw"], steps=steps))
