"""Hubs and releases under real processes: rivals, locks, and SIGKILL at every step and at random moments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accelzoo.draw import generator, uniform
from accelzoo.errors import ReleaseError
from accelzoo.hub import LocalHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.release import Release, verify_folder
from tests.checkout import ROOT
from tests.forks import in_child, wait

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="publishing needs a POSIX system")

KILLS = 200

# Waits for a line on stdin, publishes argv[2] to the hub argv[1] expecting argv[3] ("-" for any), says how it went.
PUBLISH = """
import sys
from accelzoo.errors import ReleaseError
from accelzoo.hub import ConflictError, LocalHub
print("ready", flush=True)
sys.stdin.readline()
try:
    LocalHub(sys.argv[1]).publish(sys.argv[2], sys.argv[4], None if sys.argv[3] == "-" else sys.argv[3])
    print("won", flush=True)
except ConflictError:
    print("lost", flush=True)
except ReleaseError:
    print("refused", flush=True)
"""

HOLD_LOCK = """
import sys, pathlib
from accelzoo._files import exclusive_lock
with exclusive_lock(pathlib.Path(sys.argv[1]), timeout_s=10):
    print("held", flush=True)
    sys.stdin.readline()
"""

# Repeats one action in forked children; child k kills itself right before its k-th file-system call. Prints, per child,
# what `observe` saw afterwards; stops at the first child that lived to the end.
CRASH_AT_EVERY_CALL = """
import json, os, shutil, signal, sys
from pathlib import Path
from accelzoo import _files
from accelzoo.errors import ReleaseError
from accelzoo.hub import LocalHub
from accelzoo.release import verify_folder

work, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
os.fsync = lambda descriptor: None  # what a dead process wrote is there without it
if mode == "install-without-exchange":
    _files.swap_folders = lambda first, second: False

def act():
    if mode == "publish":
        LocalHub(work / "hub").publish(work / "second", name, tags=("v2",))
    else:
        _files.install_folder(work / "staged", work / "target", replace=True)

def observe():
    if mode == "publish":
        hub = LocalHub(work / "hub")
        for folder in (work / "hub" / name / "releases").iterdir():
            verify_folder(folder, expect="sha256:" + folder.name)
        return hub.resolve(name)
    try:
        return verify_folder(work / "target")
    except ReleaseError as error:
        return str(error)

def reset():
    for part in ("hub", "target", "staged"):
        shutil.rmtree(work / part, ignore_errors=True)
    shutil.copytree(work / "pristine", work / "hub")
    shutil.copytree(work / "first", work / "target")
    shutil.copytree(work / "second", work / "staged")
    for path in work.glob(".target.*"):
        shutil.rmtree(path)

def watch(fatal):
    calls = 0
    def hook(event, arguments):
        nonlocal calls
        if event.split(".")[0] in ("open", "os", "shutil", "fcntl", "ctypes"):
            calls += 1
            if calls == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

seen, status = [], None
while status != 0:
    reset()
    child = os.fork()
    if child == 0:
        watch(len(seen) + 1)
        act()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    seen.append(observe())
    if mode == "publish":
        act()
        assert list((work / "hub" / name / "staging").iterdir()) == []
        assert LocalHub(work / "hub").tags(name) == {"v2": observe()}
print(json.dumps(seen))
"""


def start(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> None:
    """Closes the pipes of a child of ours and collects it, killing it if it still runs."""
    process.kill()
    process.communicate()


@pytest.fixture
def first(tmp_path: Path) -> Release:
    return example_release(tmp_path / "first", value=1.0)


@pytest.fixture
def second(tmp_path: Path) -> Release:
    return example_release(tmp_path / "second", value=2.0)


@pytest.fixture
def hub(tmp_path: Path, first: Release) -> LocalHub:
    local = LocalHub(tmp_path / "hub", cache_dir=tmp_path / "cache")
    local.publish(first.folder, NAME)
    return local


@pytest.mark.parametrize("with_expectation", [True, False])
def test_rival_publishers(hub: LocalHub, first: Release, tmp_path: Path, with_expectation: bool) -> None:
    rivals = [example_release(tmp_path / f"rival{index}", value=10.0 + index) for index in range(5)]
    expect = first.digest if with_expectation else "-"
    processes = [start(PUBLISH, hub.root, rival.folder, expect, NAME) for rival in rivals]
    try:
        assert [read_line(process) for process in processes] == ["ready"] * len(rivals)
        for process in processes:
            go(process)
        results = [read_line(process) for process in processes]
    finally:
        for process in processes:
            end(process)
    if with_expectation:
        assert sorted(results) == ["lost"] * 4 + ["won"]
        assert hub.resolve(NAME) == rivals[results.index("won")].digest
    else:
        assert results == ["won"] * 5
        assert hub.resolve(NAME) in {rival.digest for rival in rivals}
    for folder in (hub.root / NAME / "releases").iterdir():
        assert verify_folder(folder) == f"sha256:{folder.name}"


def test_a_dead_publisher_frees_the_lock(hub: LocalHub, second: Release) -> None:
    holder = start(HOLD_LOCK, hub.root / NAME / "lock")
    try:
        assert read_line(holder) == "held"
        hub.lock_timeout_s = 0.1
        with pytest.raises(ReleaseError, match="held by another process"):
            hub.publish(second.folder, NAME)
        assert hub.resolve(NAME) != second.digest
        hub.pull(NAME)  # readers never wait
    finally:
        end(holder)
    hub.lock_timeout_s = 10.0
    assert hub.publish(second.folder, NAME) == second.digest


def crash_at_every_call(work: Path, hub: LocalHub, mode: str) -> list[str]:
    shutil.copytree(hub.root, work / "pristine")
    process = start(CRASH_AT_EVERY_CALL, work, NAME, mode)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    seen: list[str] = json.loads(output)
    return seen


def test_a_publisher_killed_before_any_call_leaves_the_old_head_or_the_new(
    hub: LocalHub, first: Release, second: Release, tmp_path: Path
) -> None:
    seen = crash_at_every_call(tmp_path, hub, "publish")
    switch = seen.index(second.digest)
    assert seen == [first.digest] * switch + [second.digest] * (len(seen) - switch)
    assert switch > 30  # seven files are opened, hashed, written and hashed again before the head moves


def test_a_replacement_killed_before_any_call_leaves_the_old_release_or_the_new(
    hub: LocalHub, first: Release, second: Release, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    from accelzoo._files import swap_folders

    if not swap_folders(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange two folders in one step")
    seen = crash_at_every_call(tmp_path, hub, "install")
    assert set(seen) == {first.digest, second.digest}


def test_without_exchange_the_old_release_is_beside_its_place_for_one_step(
    hub: LocalHub, first: Release, second: Release, tmp_path: Path
) -> None:
    seen = crash_at_every_call(tmp_path, hub, "install-without-exchange")
    gaps = [text for text in seen if text not in (first.digest, second.digest)]
    assert set(seen) > {first.digest, second.digest}
    assert len(gaps) == 1
    assert "rename it back to recover" in gaps[0]


def publish_and_wait(hub: LocalHub, folder: Path) -> None:
    hub.publish(folder, NAME)
    signal.pause()


def test_publishers_killed_at_random_moments(
    hub: LocalHub, first: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a dead process wrote is there without it; waiting for the disk only makes kills slow.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    big = example_release(tmp_path / "big", value=3.0, size=50_000)
    begun_s = time.monotonic()
    hub.publish(big.folder, NAME)
    publish_s = time.monotonic() - begun_s
    rng = generator(7)
    heads = []
    for attempt in range(KILLS):
        hub.publish(first.folder, NAME)
        shutil.rmtree(hub.root / NAME / "releases" / big.digest.removeprefix("sha256:"), ignore_errors=True)
        child = in_child(lambda: publish_and_wait(hub, big.folder))
        try:
            if attempt == KILLS - 1:  # dies after it ended, the first while it begins: both outcomes are always seen
                while hub.resolve(NAME) != big.digest:
                    time.sleep(0.001)
            elif attempt:
                time.sleep(2 * publish_s * uniform(rng))
        finally:
            os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
        heads.append(hub.resolve(NAME))
        for folder in (hub.root / NAME / "releases").iterdir():
            assert verify_folder(folder) == f"sha256:{folder.name}"
    assert set(heads) == {first.digest, big.digest}
    assert hub.publish(big.folder, NAME) == big.digest
    assert list((hub.root / NAME / "staging").iterdir()) == []


def test_new_names_that_differ_only_in_case_race(hub: LocalHub, first: Release) -> None:
    names = ("zoo/twin", "zoo/Twin", "zoo/TWIN", "ZOO/twin")
    processes = [start(PUBLISH, hub.root, first.folder, "-", name) for name in names]
    try:
        assert [read_line(process) for process in processes] == ["ready"] * len(names)
        for process in processes:
            go(process)
        results = [read_line(process) for process in processes]
    finally:
        for process in processes:
            end(process)
    assert sorted(results) == ["refused"] * 3 + ["won"]
    assert hub.list() == tuple(sorted((NAME, names[results.index("won")])))
