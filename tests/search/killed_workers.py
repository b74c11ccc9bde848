"""A search with worker processes that is killed, part by part: `python -m tests.search.killed_workers JSON`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelzoo.errors import ShapeError
from accelzoo.search import CandidateError, Named, Result, run
from accelzoo.search.workers import LocalWorkers, Serial
from tests.checkout import ROOT
from tests.search import toy
from tests.search.workers.processes import all_gone, children, eventually, some_child

SPACE = toy.ToySpace(sizes=(5, 4, 5, 4, 3, 3), alias=True)
PENDING = 3


@dataclass(frozen=True)
class Signal:
    """A closed form that takes a while; it notes what it begins and finishes, and what it should not have begun.

    Lines of `journal`: `begin`, `again` (the result of this architecture is on the disk already) and `end`.
    """

    folder: Path
    journal: Path
    pause_s: float

    def __call__(self, arch: toy.ToyArch) -> float:
        name = "".join(map(str, arch.choices))
        self._note("again" if arch.choices in self._on_disk() else "begin", name)
        time.sleep(self.pause_s * (1 + sum(arch.choices) % 3) / 2)
        try:
            return _accuracy(arch)
        finally:
            self._note("end", name)

    def _note(self, what: str, name: str) -> None:
        file = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{what} {name} {os.getpid()}\n".encode())
        os.close(file)

    def _on_disk(self) -> set[toy.Genome]:
        return {SPACE.canonical(tuple(line["genome"])) for line in recorded(self.folder)}


def _accuracy(arch: toy.ToyArch) -> float:
    if arch.choices[:3] == (2, 2, 2):
        raise CandidateError("two is too many")
    if arch.choices[:3] == (3, 3, 3):
        raise ShapeError("three do not fit")
    if arch.choices[1:] == (1, 1, 1, 1, 1):
        raise MemoryError
    return float("nan") if arch.choices[:2] == (1, 1) else toy.accuracy(arch)


def recorded(folder: Path) -> list[dict[str, Any]]:
    """Returns the evaluated candidates whose results are on the disk: whole lines of the trace and of the results."""
    lines = []
    for name in ("trace.jsonl", "results.jsonl"):
        data = (folder / name).read_bytes() if (folder / name).exists() else b""
        lines += [json.loads(line) for line in data.split(b"\n")[:-1]]
    candidates = [line for line in lines if "genome" in line]
    return [line for line in candidates if line.get("evaluated", "accuracy" in line or "reason" in line)]


def search(folder: Path, journal: Path, evaluations: int, pause_s: float = 0.0, workers: int = 1) -> Result:
    """Runs, or goes on with, the search that is killed; with one worker in this process."""
    return run(
        SPACE,
        Named(Signal(folder, journal, pause_s), "killed"),
        costs=Named(toy.costs, "toy"),
        budgets={"latency_s": 13.5e-3},
        algorithm="evolution",
        evaluations=evaluations,
        seed=5,
        workers=Serial() if workers == 1 else LocalWorkers(workers),
        pending=PENDING,
        folder=folder,
        resume=True,
        progress=False,
    )


@dataclass
class Kills:
    """What a series of kills did.

    Attributes:
        drivers: How many searches were killed.
        workers: How many workers were.
        lives: How many searches were started.
        orphans: Whether a worker outlived its driver.
        status: How the last search ended.
    """

    drivers: int = 0
    workers: int = 0
    lives: int = 0
    orphans: bool = False
    status: int | None = None


def killed(folder: Path, journal: Path, kills: int, longest_s: float, seed: int, **settings: Any) -> Kills:
    """Starts a search and sends so many SIGKILLs, to the driver or a worker by the flip of a coin, till it is finished.

    Args:
        folder: Of the search.
        journal: Where the signal writes.
        kills: How many.
        longest_s: The time between two of them is drawn from 0 to this.
        seed: Of the moments and the victims.
        **settings: Of `search`.
    """
    given = json.dumps({"folder": str(folder), "journal": str(journal), **settings})
    moments, done = random.Random(seed), Kills()
    command = [sys.executable, "-m", "tests.search.killed_workers", given]
    driver: subprocess.Popen[bytes] | None = None
    while done.drivers + done.workers < kills:
        if driver is None:
            done.lives += 1
            driver = subprocess.Popen(command, cwd=ROOT)
            size = journal.stat().st_size if journal.exists() else 0
            if moments.random() < 0.7:  # else any moment, also while it starts
                eventually(lambda: journal.exists() and journal.stat().st_size > size)  # noqa: B023
        try:
            driver.wait(moments.uniform(0, longest_s))
        except subprocess.TimeoutExpired:
            pass
        else:
            break  # finished before its time
        if moments.random() < 0.5:
            workers = children(driver.pid)
            driver.kill()
            driver.wait()
            done.drivers += 1
            done.orphans |= not all_gone(workers)
            driver = None
        else:
            workers = some_child(driver.pid)
            os.kill(moments.choice(workers), signal.SIGKILL)
            done.workers += 1
    if driver is None:
        done.lives += 1
        driver = subprocess.Popen(command, cwd=ROOT)
    done.status = driver.wait()
    return done


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    search(Path(given.pop("folder")), Path(given.pop("journal")), **given)
