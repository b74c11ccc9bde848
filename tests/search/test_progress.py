"""The progress line: what it says, and that it keeps quiet where nobody watches."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from accelzoo.search import run
from accelzoo.search.progress import ProgressLine
from tests.search.toy import ToySpace, accuracy


def test_it_shows_rate_share_best_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr("accelzoo.search.progress.time.monotonic", lambda: now[0])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, no_color=True)
    with ProgressLine(total=100, done=10, candidates=40, shown=True, console=console) as line:
        now[0] = 52.0
        line.update(done=50, candidates=80, infeasible=20, best=0.7253999999)
        line.update(done=51, candidates=81, infeasible=20, best=0.9)  # too soon after the last one to be drawn
    text = screen.getvalue()
    assert "50/100" in text
    assert " 20.0/s " in text  # (80 − 40) / 2 s: those of the resumed trace do not count
    assert "feasible 75%" in text
    assert "best 0.7254" in text
    assert re.search(r"ETA.*(-:--:--|\d:\d\d:\d\d)", text)
    assert "0.9" not in text


def test_of_several_objectives_it_shows_the_front_within_a_hundred_columns() -> None:
    shown = {}
    for width in (80, 100):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=width, no_color=True)
        with ProgressLine(total=4000, done=0, candidates=0, shown=True, console=console) as line:
            state: dict[str, Any] = {"done": 3999, "candidates": 5000, "infeasible": 0, "best": 0.72539}
            line.update(**state, front=lambda: (137, 0.0203051), final=True)
        shown[width] = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).splitlines()
    for width, lines in shown.items():
        assert max(map(len, lines)) <= width
    assert any("front 137 hypervolume 0.02031" in line and "ETA" in line for line in shown[100])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, no_color=True)
    with ProgressLine(total=4, done=0, candidates=0, shown=True, console=console) as line:
        line.update(done=1, candidates=1, infeasible=0, best=0.5, front=lambda: (1, None), final=True)
    assert "front 1 " in screen.getvalue()
    assert "hypervolume" not in screen.getvalue()


def test_the_last_state_is_always_shown() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, no_color=True)
    with ProgressLine(total=3, done=0, candidates=0, shown=True, console=console) as line:
        line.update(done=3, candidates=4, infeasible=1, best=None, final=True)
    assert "3/3" in screen.getvalue()


def test_it_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run(ToySpace(), accuracy, evaluations=5)
    run(ToySpace(), accuracy, evaluations=5, progress=False)
    assert capfd.readouterr() == ("", "")


def test_it_can_be_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    run(ToySpace(), accuracy, evaluations=5, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "5/5" in err
