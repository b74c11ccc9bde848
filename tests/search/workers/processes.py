"""Looking at the processes that a test has started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def alive(pid: int) -> bool:
    """Says whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Waits until something holds; False if it never does."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def all_gone(pids: Iterable[int]) -> bool:
    """Waits until none of the processes is left."""
    known = list(pids)
    return eventually(lambda: not any(alive(pid) for pid in known))


def numbers_in(path: Path) -> list[int]:
    """Returns the numbers in a file of one per line; none if it is not there."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # gone meanwhile
        if int(parent) == pid:
            found.append(int(stat.parent.name))
    return found


def some_child(pid: int, timeout_s: float = 20.0) -> list[int]:
    """Waits until a process has started others, and returns them."""
    deadline = time.monotonic() + timeout_s
    while not (found := children(pid)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found
