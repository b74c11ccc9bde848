"""A search in a process of its own, which can kill itself at a chosen moment: `python -m tests.search.worker JSON`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelzoo.search import Named, Objective, run
from accelzoo.search.results import Results
from tests.checkout import ROOT
from tests.search import crews, toy

SPACE = toy.ToySpace(sizes=(4, 3, 4, 3, 2), alias=True)
BUDGETS = {"latency_s": 8.5e-3, "weight_bytes": 97}


def search(
    folder: Path,
    *,
    resume: bool = True,
    algorithm: str = "evolution",
    pause_s: float = 0.0,
    pending: int = 1,
    shuffled: int | None = None,
) -> None:
    """Runs the search that every test of this folder's processes runs: budgets, duplicates, failures and all.

    Algorithms other than evolution and random search are asked for three objectives. `shuffled` seeds workers that
    finish in random order; what was evaluated is a line of `evaluated.txt` each.
    """

    def evaluate(arch: toy.ToyArch) -> float:
        with (folder / "evaluated.txt").open("a") as stream:
            stream.write(f"{arch.choices}\n")
        _reached("signal")
        time.sleep(pause_s)
        return float("nan") if arch.choices[:2] == (1, 1) else toy.accuracy(arch)

    def price(arch: toy.ToyArch) -> toy.ToyCost:
        _reached("price")
        return toy.costs(arch)

    single = algorithm in ("evolution", "random")
    run(
        SPACE,
        Named(evaluate, "worker"),
        costs=Named(price, "toy"),
        budgets=BUDGETS,
        objective=Objective(
            exponent=-0.07, reference=5e-3, minimise=() if single else ("latency_s", "weight_bytes")
        ),
        evaluations=60,
        algorithm=algorithm,
        algorithm_options={"population": 8, "sample_size": 3} if algorithm == "evolution" else None,
        seed=5,
        workers=1 if shuffled is None else crews.Shuffled(count=pending, seed=shuffled),
        pending=pending,
        folder=folder,
        resume=resume,
    )


def start(folder: Path, hash_seed: str = "0", **settings: Any) -> subprocess.Popen[str]:
    """Starts a worker.

    Args:
        folder: Where its trace is.
        hash_seed: Its PYTHONHASHSEED.
        **settings: Arguments of `search`, and `kill`: a moment of `_arm` and the count at which it is met.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.worker", json.dumps({"folder": str(folder), **settings})],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, **settings: Any) -> int:
    """Runs a worker to its end and returns its exit status; a failure's text is printed."""
    worker = start(folder, **settings)
    _, text = worker.communicate(timeout=60)
    print(text)
    return worker.returncode


def _reached(moment: str) -> None:
    _COUNTS[moment] = _COUNTS.get(moment, 0) + 1
    if (moment, _COUNTS[moment]) == _KILL:
        os.kill(os.getpid(), signal.SIGKILL)


def _arm() -> None:
    """Puts the moments into the system calls: half a line written, a whole line, before and after it is synced.

    And `kept`: a result that came before its turn is on the disk, and not yet in the trace.
    """
    write, fsync = os.write, os.fsync

    def counted_write(file: int, data: Any) -> int:
        if (_KILL[0], _COUNTS.get("half", 0) + 1) == ("half", _KILL[1]):
            write(file, bytes(data)[: len(data) // 2])
        _reached("half")
        written = write(file, data)
        _reached("written")
        return written

    def counted_fsync(file: int) -> None:
        _reached("unsynced")
        fsync(file)
        _reached("synced")

    keep = Results.keep

    def counted_keep(self: Results, *given: Any) -> None:
        keep(self, *given)
        _reached("kept")

    setattr(Results, "keep", counted_keep)  # noqa: B010 (mypy refuses the plain assignment)
    hooks: dict[str, Callable[..., Any]] = {"write": counted_write, "fsync": counted_fsync}
    for name, hook in hooks.items():
        setattr(os, name, hook)


_COUNTS: dict[str, int] = {}
_KILL = ("", 0)

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    _KILL = tuple(given.pop("kill", ("", 0)))
    _arm()
    search(Path(given.pop("folder")), **given)
