"""What the verb watch shows, of runs that are done, stopped, and going on in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accelzoo.locks import try_lock
from accelzoo.recipes import run_state
from accelzoo.recipes.run_snapshot import Watcher
from accelzoo.recipes.run_state import find_state, lock_holder
from accelzoo.recipes.run_view import find_run
from accelzoo.search import Result
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json
from tests.recipes.run_folders import failing, write_run, write_search

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists locks")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "recipe"
    return folder, write_run(folder, asked=60)


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A search that another process runs, some candidates of which are there."""
    folder = tmp_path / "going on"
    command = [sys.executable, "-m", "tests.recipes.run_folders", str(folder), "0.02"]
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT) as process:
        try:
            trace = folder / "trace.jsonl"
            wait_for(lambda: trace.is_file() and trace.read_bytes().count(b"\n") > 5)
            yield folder, process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_numbers_are_those_of_the_trace(made: tuple[Path, Result], capsys: Capture) -> None:
    folder, result = made
    before = contents(folder)
    found = run_json(capsys, "watch", str(folder))
    statuses = [record.status for record in result.trace]
    assert found["state"] == "stopped"
    assert (found["evaluations"], found["evaluations_asked"], found["candidates"]) == (40, 60, len(statuses))
    assert {name: found[name] for name in ("infeasible", "failed", "duplicate")} == {
        name: statuses.count(name) for name in ("infeasible", "failed", "duplicate")
    }
    assert found["failed"] > 0
    assert found["feasible_share"] == pytest.approx(1 - statuses.count("infeasible") / len(statuses))
    assert found["last_failure"].endswith("the loss is not finite at step 3")
    assert (found["best"]["index"], found["best"]["accuracy"]) == (result.best.index, result.best.accuracy)
    assert found["best"]["knobs"]["stem.out_channels"] == result.best.arch.stem.out_channels
    assert found["pareto_size"] == len(run_json(capsys, "front", str(folder))["front"])
    assert found["hypervolume"] > 0
    assert (found["candidates_per_s"], found["eta_s"]) == (None, None)
    assert contents(folder) == before


def test_text_has_the_same(made: tuple[Path, Result], capsys: Capture) -> None:
    folder, result = made
    text = run(capsys, "watch", str(folder))  # no terminal: once
    assert text == run(capsys, "watch", str(folder), "--once")
    assert "40 of 60" in text
    assert f"candidate {result.best.index}: accuracy {100 * result.best.accuracy:.2f} %" in text
    assert f"out_channels={result.best.arch.stem.out_channels}" in text


def test_the_curve_is_the_best_score_so_far(made: tuple[Path, Result]) -> None:
    watcher = Watcher(find_run(made[0]))
    watcher.look()
    best, evaluated, expected = float("-inf"), 0, []
    for record in made[1].trace:
        evaluated += record.evaluated
        if record.status == "ok" and record.score is not None and record.score > best:
            best = record.score
            expected.append((evaluated, best))
    assert watcher.scores == expected


def test_a_running_search_is_followed_and_left_alone(
    searching: tuple[Path, subprocess.Popen[bytes]], capsys: Capture
) -> None:
    folder, process = searching
    watcher = Watcher(find_run(folder))
    first = watcher.look()
    counts = [first.candidates]

    def grown() -> bool:
        counts.append(watcher.look().candidates)
        return counts[-1] >= first.candidates + 5

    wait_for(grown)
    assert counts == sorted(counts)
    now = watcher.look()
    assert now.candidates >= counts[-1] > 5
    if sys.platform == "linux":
        assert now.state.phase == "searching"
        assert now.candidates_per_s is not None
        assert now.candidates_per_s > 0
        assert lock_holder(folder / "trace.jsonl") == process.pid
    assert run_json(capsys, "front", str(folder))["front"]
    assert process.poll() is None
    process.kill()
    process.wait()
    last = watcher.look()
    whole = (folder / "trace.jsonl").read_bytes()
    assert last.candidates == whole.count(b"\n") - 1
    if sys.platform == "linux":
        assert last.state.phase == "stopped"
    # Whoever watched has left nothing that keeps the search from going on.
    assert len(write_search(folder, evaluations=last.evaluated + 3).trace) == last.candidates + 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_leaves_the_run_alone(searching: tuple[Path, subprocess.Popen[bytes]]) -> None:
    import pty

    folder, process = searching
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "accelzoo", "watch", str(folder)]
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"}
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs, cwd=ROOT) as watching:
        os.close(theirs)
        seen = b""
        while seen.count(b"best so far") < 2:  # drawn, and drawn anew
            seen += os.read(terminal, 4096)
        watching.send_signal(signal.SIGINT)
        try:
            while more := os.read(terminal, 4096):
                seen += more
        except OSError:  # the other end is closed
            pass
        assert watching.wait() == 0
    os.close(terminal)
    assert b"Traceback" not in seen
    assert b"searching" in seen or sys.platform != "linux"
    assert process.poll() is None


@linux
def test_the_holder_of_a_lock_is_found_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert lock_holder(path) is None
    descriptor = os.open(path, os.O_RDWR)
    try:
        assert try_lock(descriptor)
        assert lock_holder(path) == os.getpid()
    finally:
        os.close(descriptor)
    assert lock_holder(path) is None


def phase(folder: Path, *, searched: bool | None = None) -> str:
    return find_state(find_run(folder), searched=searched).text()


@linux
def test_states_of_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    write_run(folder, failing, asked=2, done=2)
    trace = folder / "search" / "trace.jsonl"
    kept = trace.rename(tmp_path / "kept")
    assert phase(folder) == "starting"
    kept.rename(trace)
    assert phase(folder, searched=False).startswith("stopped since 2")
    assert phase(folder, searched=True) == "finalists"
    for name, expected in (("finalist-candidate1", "finalists"), ("winner-seed0", "training")):
        training = folder / "trainings" / name
        training.mkdir(parents=True)
        descriptor = os.open(training / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            assert try_lock(descriptor)
            assert phase(folder, searched=True) == f"{expected}: {name}"
            (training / "checkpoint.json").write_text(json.dumps({"step": 1200}), encoding="utf-8")
            assert phase(folder, searched=True) == f"{expected}: {name}, checkpoint at step 1,200"
        finally:
            os.close(descriptor)
    assert phase(folder, searched=True) == "training"  # between two of them
    with monkeypatch.context() as patch:
        patch.setattr(run_state, "GRACE_S", 0.0)
        assert phase(folder, searched=True).startswith("stopped since")
    (folder / "lock.json").write_text("{}", encoding="utf-8")
    assert phase(folder).startswith("done since")


def test_where_locks_cannot_be_seen_signs_of_life_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_search(tmp_path / "own", evaluations=2)
    monkeypatch.setattr(run_state, "_LOCKS", tmp_path / "no such list")
    assert phase(tmp_path / "own") == "searching"
    long_ago = time.time() - 3600
    for path in (tmp_path / "own" / "trace.jsonl", tmp_path / "own"):
        os.utime(path, (long_ago, long_ago))
    assert phase(tmp_path / "own").startswith("stopped since")


def test_a_recipe_that_has_just_begun_is_shown(made: tuple[Path, Result], capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes((made[0] / "recipe.yaml").read_bytes())
    found: dict[str, Any] = run_json(capsys, "watch", str(tmp_path))
    assert (found["state"], found["candidates"], found["best"]) == ("starting", 0, None)
    assert "starting" in run(capsys, "watch", str(tmp_path), "--once")


def test_mistakes_are_told(made: tuple[Path, Result], capsys: Capture, tmp_path: Path) -> None:
    assert "neither recipe.yaml nor trace.jsonl" in failure(capsys, "watch", str(tmp_path))
    whole = (made[0] / "search" / "trace.jsonl").read_bytes()
    (tmp_path / "trace.jsonl").write_bytes(whole.replace(b'"seed":2', b'"seed":3'))
    assert "trace.jsonl:1: the chain breaks" in failure(capsys, "watch", str(tmp_path), "--json")
