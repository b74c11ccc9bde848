"""What a run is doing: read off its files and the locks that its process holds, without taking any."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.run_view import Place

Phase = Literal["starting", "searching", "finalists", "training", "done", "stopped"]
GRACE_S = 60.0  # between two trainings nothing is held: data are loaded, a network is tested
START_S = 600.0  # before a search nothing is held either: data are loaded, a shortlist is made
_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run is doing.

    Attributes:
        phase: `starting` (there is no trace yet), `searching`, `finalists` and `training` (after the search), `done`,
            `stopped` (nobody writes it: interrupted, or a search of one's own that has ended).
        since_s: When the last file was written, in seconds since 1970.
        training: The training under way.
        steps: How many steps of it the last checkpoint has.
    """

    phase: Phase
    since_s: float
    training: str | None = None
    steps: int | None = None

    def text(self) -> str:
        """The state in words, with the time of the last sign of life where nobody is at work."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since_s))
        match self.phase:
            case "stopped" | "done":
                return f"{self.phase} since {when}"
            case "finalists" | "training" if self.training is not None:
                steps = "" if self.steps is None else f", checkpoint at step {self.steps:,}"
                return f"{self.phase}: {self.training}{steps}"
            case _:
                return self.phase


def find_state(place: Place, *, searched: bool | None) -> RunState:
    """Says what a run is doing.

    Args:
        place: Its files.
        searched: Whether all evaluations are done; None if nobody knows how many were asked for.
    """
    since_s = _last_written(place)
    if _finished(place):
        return RunState(phase="done", since_s=since_s)
    if _held(place.trace, since_s):
        return RunState(phase="searching", since_s=since_s)
    for lock in _training_locks(place):
        if _held(lock, since_s):
            name = lock.parent.name
            phase: Phase = "finalists" if name.startswith("finalist") else "training"
            return RunState(phase=phase, since_s=since_s, training=name, steps=_steps(lock.parent))
    quiet_s = time.time() - since_s
    if place.recipe is not None and quiet_s < START_S and not place.trace.exists():
        return RunState(phase="starting", since_s=since_s)
    if place.recipe is not None and quiet_s < GRACE_S and searched:
        trained = any(_training_locks(place))
        return RunState(phase="training" if trained else "finalists", since_s=since_s)
    return RunState(phase="stopped", since_s=since_s)


def lock_holder(path: Path) -> int | None:
    """Returns the process on this machine that holds a file's lock (`flock`), None if none does.

    Raises:
        OSError: If this system has no list of locks (only Linux has), or there is no such file.
    """
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    for line in _LOCKS.read_text("ascii").splitlines():
        fields = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fe:00:5332994 0 EOF
        if len(fields) < 6 or fields[1] != "FLOCK" or not fields[5].endswith(f":{status.st_ino}"):
            continue
        process = int(fields[4])
        # File systems in layers list another device than `stat` gives; then the process's open files decide.
        if fields[5].startswith(device) or any(_same(opened, path) for opened in _open_files(process)):
            return process
    return None


def _held(path: Path, since_s: float) -> bool:
    """Whether someone holds a lock; where locks cannot be seen, whether the run has shown life in the last minute."""
    if not path.exists():
        return False
    try:
        return lock_holder(path) is not None
    except OSError:
        return time.time() - since_s < GRACE_S


def _open_files(process: int) -> Iterator[Path]:
    try:
        yield from Path(f"/proc/{process}/fd").iterdir()
    except OSError:  # it has ended, or belongs to someone else
        return


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _finished(place: Place) -> bool:
    """Whether a run has come to its end: the lock is written last, and a release is a finished thing."""
    if place.recipe is None:
        return False
    return RunFolder(place.folder).lock.is_file() or (place.folder / "SHA256SUMS").is_file()


def _training_locks(place: Place) -> list[Path]:
    """The lock of each training, the latest first."""
    if place.recipe is None:
        return []
    found = [path for path in (place.folder / "trainings").glob("*/.lock") if path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _steps(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "checkpoint.json").read_text("utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or half-way through being replaced
        return None


def _last_written(place: Place) -> float:
    """When anything was last written, in seconds since 1970."""
    names = [place.folder, place.trace, *([place.recipe] if place.recipe else [])]
    if place.recipe is not None:
        names += [*place.folder.glob("*.json"), *(place.folder / "trainings").glob("*/*")]
    times = []
    for name in names:
        try:
            times.append(name.stat().st_mtime)
        except FileNotFoundError:  # a checkpoint that was replaced just now
            continue
    return max(times)
