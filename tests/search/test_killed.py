"""Searches killed with SIGKILL at chosen and at random moments resume to the trace of an unbroken one, to the byte."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from accelzoo.errors import TraceError
from accelzoo.search import read_trace
from accelzoo.search.results import FILE_NAME as RESULTS
from accelzoo.search.trace import FILE_NAME
from tests.search import worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("unbroken")
    assert worker.finish(folder, resume=False) == 0
    return (folder / FILE_NAME).read_bytes()


def test_the_unbroken_search_has_something_of_everything(unbroken: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(unbroken)
    trace = read_trace(tmp_path)
    assert {record.status for record in trace.records} == {"ok", "infeasible", "failed", "duplicate"}
    assert sum(record.evaluated for record in trace.records) == 60


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("price", 1),  # while feasibility is looked for, before there is a file
        ("half", 1),  # half of the header is written
        ("written", 1),  # the header is written, nothing is synced
        ("half", 2),  # half of the first candidate
        ("signal", 1),  # in the first evaluation
        ("signal", 33),
        ("half", 40),
        ("written", 41),
        ("unsynced", 1),  # the header
        ("synced", 1),
        ("unsynced", 2),  # its folder
    ],
)
def test_killed_at_a_chosen_moment(unbroken: bytes, tmp_path: Path, moment: str, count: int) -> None:
    assert worker.finish(tmp_path, kill=(moment, count)) == -signal.SIGKILL
    path = tmp_path / FILE_NAME
    left = path.read_bytes() if path.exists() else b""
    assert unbroken.startswith(left)
    assert left != unbroken
    assert worker.finish(tmp_path) == 0
    assert path.read_bytes() == unbroken


@pytest.fixture(scope="module")
def three_at_once(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("three")
    worker.search(folder, resume=False, algorithm="nsga2", pending=3)
    return (folder / FILE_NAME).read_bytes()


@pytest.mark.parametrize(
    ("moment", "count", "again"),
    [
        ("kept", 1, 0),  # a result that came before its turn is on the disk, the trace has not got it
        ("kept", 9, 0),
        ("half", 30, 1),  # half a result or half a candidate is written: that one is evaluated again
        ("signal", 20, 1),
    ],
)
def test_killed_while_three_are_evaluated(
    three_at_once: bytes, tmp_path: Path, moment: str, count: int, again: int
) -> None:
    settings: dict[str, Any] = {"algorithm": "nsga2", "pending": 3}
    assert worker.finish(tmp_path, kill=(moment, count), shuffled=1, **settings) == -signal.SIGKILL
    assert three_at_once.startswith((tmp_path / FILE_NAME).read_bytes())
    worker.search(tmp_path, shuffled=2, **settings)
    assert (tmp_path / FILE_NAME).read_bytes() == three_at_once
    evaluated = (tmp_path / "evaluated.txt").read_text().splitlines()
    assert len(evaluated) - len(set(evaluated)) <= again
    assert not (tmp_path / RESULTS).exists()


def test_killed_many_times_at_random_moments(unbroken: bytes, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    moments = random.Random(17)
    killed, sizes = 0, [0]
    for _ in range(8):
        process = worker.start(tmp_path, pause_s=0.03)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.stat().st_size > sizes[-1]:
                break  # it is past where the last one was killed
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.08))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        sizes.append(path.stat().st_size)
        assert unbroken.startswith(path.read_bytes())
    assert killed >= 2  # on a busy machine it may get further between two kills
    assert worker.finish(tmp_path) == 0
    assert path.read_bytes() == unbroken


def test_killed_while_it_resumes(unbroken: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(unbroken[: len(unbroken) * 2 // 3])
    assert worker.finish(tmp_path, kill=("half", 1)) == -signal.SIGKILL
    assert worker.finish(tmp_path, kill=("signal", 2)) == -signal.SIGKILL
    assert worker.finish(tmp_path) == 0
    assert (tmp_path / FILE_NAME).read_bytes() == unbroken


def test_cut_anywhere_in_the_first_and_last_lines(unbroken: bytes, tmp_path: Path) -> None:
    lines = unbroken.splitlines(keepends=True)
    first, last = len(lines[0]) + len(lines[1]), len(unbroken) - len(lines[-1]) - len(lines[-2])
    cuts = {*range(0, first + 2, 23), len(lines[0]), first, *range(last - 1, len(unbroken), 23), len(unbroken) - 1}
    for cut in sorted(cuts):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(unbroken[:cut])
        worker.search(folder)
        assert (folder / FILE_NAME).read_bytes() == unbroken


@pytest.mark.parametrize(("algorithm", "pending"), [("evolution", 1), ("default", 3)])
def test_another_hash_seed_gives_the_same_bytes(tmp_path: Path, algorithm: str, pending: int) -> None:
    traces = []
    for hash_seed in ("0", "31337"):
        folder = tmp_path / hash_seed
        shuffled = None if pending == 1 else int(hash_seed)
        assert worker.finish(folder, hash_seed=hash_seed, algorithm=algorithm, pending=pending, shuffled=shuffled) == 0
        traces.append((folder / FILE_NAME).read_bytes())
    assert traces[0] == traces[1]


def test_control_c_says_how_to_resume(unbroken: bytes, tmp_path: Path) -> None:
    process = worker.start(tmp_path, pause_s=0.01)
    path = tmp_path / FILE_NAME
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path.exists() and path.read_bytes().count(b"\n") > 5):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in text
    assert f"they are in {path}; the same call with resume=True goes on" in text
    assert worker.finish(tmp_path) == 0
    assert path.read_bytes() == unbroken


def test_two_processes_never_write_one_trace(tmp_path: Path) -> None:
    process = worker.start(tmp_path, pause_s=0.05)
    path = tmp_path / FILE_NAME
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size):
        time.sleep(0.001)
    try:
        with pytest.raises(TraceError, match="another process is writing this trace"):
            worker.search(tmp_path)
        assert read_trace(tmp_path).header["seed"] == 5  # reading is always allowed
    finally:
        process.kill()
        process.communicate()
