"""A log that is settled line by line: written once, gone on with when equal, refused when not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import TraceError
from accelzoo.search.chain import verified_lines
from accelzoo.search.settled import SettledLog

HEADER = {"what": "widths", "seed": 3}
LINES: list[dict[str, Any]] = [
    {"genome": (0, 1), "seconds": 1e-3},
    {"genome": (1, 1), "seconds": 2e-3},
    {"done": True},
]
PLAIN = [HEADER, {"genome": [0, 1], "seconds": 1e-3}, {"genome": [1, 1], "seconds": 2e-3}, {"done": True}]


def settle(path: Path, lines: Sequence[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    """Settles lines after the header, and returns what was left of those that were there."""
    with SettledLog(path, HEADER, **{"kind": "width run", "resume": True, **settings}) as log:
        assert log.path == path
        for line in lines:
            log.settle(line)
        return log.left


def content(path: Path) -> list[dict[str, Any]]:
    return [line for _, _, line in verified_lines(path, path.read_bytes())]


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "width.jsonl"
    assert settle(path, LINES, resume=False) == []
    assert content(path) == PLAIN


def test_going_on_writes_only_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    settle(path, LINES[:2])
    before = path.read_bytes()
    assert settle(path, LINES[:1]) == PLAIN[2:3]
    assert path.read_bytes() == before
    settle(path, LINES)
    assert path.read_bytes().startswith(before)
    assert content(path) == PLAIN


def test_half_a_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    settle(path, LINES)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    settle(path, LINES)
    assert path.read_bytes() == whole


def test_another_line_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    settle(path, LINES)
    other = {"genome": (0, 1), "seconds": 3e-3}
    with pytest.raises(TraceError) as caught:
        settle(path, [other])
    assert str(caught.value) == f"{path}:2: the width run was begun otherwise:\n  seconds: recorded 0.001, now 0.003"
    with pytest.raises(TraceError, match=r"width\.jsonl:1: .* begun otherwise:\n  seed: recorded 3, now 4"):
        SettledLog(path, {**HEADER, "seed": 4}, kind="width run", resume=True)
    assert content(path) == PLAIN
    settle(path, LINES)  # whoever is refused holds no lock


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    settle(path, LINES)
    with pytest.raises(TraceError, match="there is a width run already, and it is never overwritten"):
        settle(path, LINES, resume=False)
    assert content(path) == PLAIN


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    with (
        SettledLog(path, HEADER, kind="width run", resume=True),
        pytest.raises(TraceError, match="another process is writing this width run"),
    ):
        settle(path, [])


def test_a_broken_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "width.jsonl"
    settle(path, LINES)
    path.write_bytes(path.read_bytes().replace(b"0.002", b"0.001"))
    with pytest.raises(TraceError, match=r"width\.jsonl:3: the chain breaks"):
        settle(path, LINES)
