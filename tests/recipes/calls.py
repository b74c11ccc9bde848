"""Calls of the command line in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accelzoo.recipes import cli

Capture = pytest.CaptureFixture[str]


def run(capture: Capture, *arguments: str) -> str:
    """Runs a command that must succeed, and returns what it prints."""
    assert cli.main(arguments) == 0, capture.readouterr().err
    return capture.readouterr().out


def run_json(capture: Capture, *arguments: str) -> Any:
    """Runs a command with `--json`, and returns the data."""
    return json.loads(run(capture, *arguments, "--json"))


def failure(capture: Capture, *arguments: str) -> str:
    """Runs a command that must fail as the user's mistake, and returns its message."""
    assert cli.main(arguments) == 2
    shown = capture.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return shown.err
