"""The verb replay, in this process and in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from accelzoo.recipes import cli
from tests.checkout import ROOT
from tests.recipes.calls import Capture, run_json
from tests.recipes.replay.finished_runs import change_lock


def test_another_process_says_the_same(funnel_run: Path, tmp_path: Path, capsys: Capture) -> None:
    here = run_json(capsys, "replay", str(funnel_run))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "accelzoo", "replay", "../run", "--workers", "2", "--json"]
    settings = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=elsewhere, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there == {**here, "of": "../run"}
    assert here["diverged"] is False
    assert {part["status"] for part in here["parts"]} == {"identical"}


def test_a_divergence_is_printed_and_is_the_exit_code(funnel_run: Path, capsys: Capture) -> None:
    change_lock(funnel_run, lambda lock: lock["search"].update(candidates=99))
    assert cli.main(["replay", str(funnel_run)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"replay of {funnel_run} (recipe tiny)"
    assert "    candidates: expected 99, got 3" in lines
    assert lines[-1] == "diverged: search: candidates: expected 99, got 3"
