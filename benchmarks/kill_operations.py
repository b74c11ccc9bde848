"""What `benchmarks.kills` kills: a search, a training, a publication, a pull, a measurement, each with its check."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelzoo.errors import AccelzooError, TraceError
from accelzoo.hub import LocalHub
from accelzoo.hubs.conformance import NAME, example_release
from accelzoo.hwmodel import oracles
from accelzoo.hwmodel.campaign import collect
from accelzoo.hwmodel.measurement_log import MeasurementLog
from accelzoo.hwmodel.measurements import Measurements, Sampling
from accelzoo.release import Release, verify_folder
from accelzoo.search import read_trace
from tests.search import worker

RELEASE_WEIGHTS = 100_000  # 400 kB
SAMPLING = Sampling("op", 0, 1)
SAMPLES = 150


@dataclass(slots=True, kw_only=True)
class Found:
    """What a life left."""

    state: str
    records: int = 0
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)


class Appended:
    """A file of lines, written on until it is finished, and then anew."""

    def __init__(self, folder: Path, filename: str) -> None:
        self.unbroken = b""
        self._folder = folder
        self._filename = filename
        self._runs = 0
        self._before = 0  # bytes of whole lines when this life began

    @property
    def place(self) -> Path:
        """The folder of this run."""
        return self._folder / f"run-{self._runs}"

    @property
    def path(self) -> Path:
        """The file."""
        return self.place / self._filename

    def prepare(self) -> None:
        """Makes the folder of a new run."""
        self.place.mkdir(exist_ok=True)
        self._before = len(_whole_lines(self.path))

    def compare(self, finished: bool) -> Found:
        """Compares the file with that of an unbroken run, which the first life is; a finished run is put away."""
        data = self.path.read_bytes() if self.path.exists() else b""
        self.unbroken = self.unbroken or data
        whole = _whole_lines(self.path)
        found = Found(state="no whole line", records=whole.count(b"\n"))
        if whole:
            found.state = "whole lines" if data == whole else "half a line"
        if len(whole) < self._before:
            found.lost.append(f"{self.path}: {self._before} bytes of whole lines before, {len(whole)} after")
        if not self.unbroken.startswith(data) or (finished and data != self.unbroken):
            found.corrupt.append(f"{self.path}: differs from an unbroken run's")
        if finished:
            self._runs += 1
        return found


class Search:
    """A search with budgets, duplicates and failures: every candidate is a line of the trace."""

    def __init__(self, folder: Path) -> None:
        self._file = Appended(folder, "trace.jsonl")
        _warm_up(self)

    def prepare(self) -> None:
        """See `benchmarks.kills.Operation`."""
        self._file.prepare()

    def work(self) -> None:
        """Searches, or goes on."""
        worker.search(self._file.place)

    def check(self, finished: bool) -> Found:
        """An evaluation only begins when the one before is on record."""
        place = self._file.place
        begun = place / "evaluated.txt"
        # A kill may cut its last line, which is no record.
        lines = begun.read_text(encoding="utf-8").split("\n")[:-1] if begun.exists() else []
        recorded = 0
        reason = ""
        try:
            recorded = sum(record.evaluated for record in read_trace(place).records)
        except TraceError as error:
            reason = "" if "no complete line" in str(error) or "there is no trace" in str(error) else str(error)
        found = self._file.compare(finished)
        if recorded < len(set(lines)) - 1:
            found.lost.append(f"{place}: {len(set(lines))} evaluations begun, {recorded} on record")
        found.corrupt += [reason] if reason else []
        return found


class Measure:
    """Samples measured by an oracle: each is a line of a log, and reported when it is on record."""

    def __init__(self, folder: Path) -> None:
        self._file = Appended(folder, "m.jsonl")
        self._reports = folder / "reports"
        _warm_up(self)

    def prepare(self) -> None:
        """See `benchmarks.kills.Operation`."""
        self._file.prepare()
        self._reports.write_bytes(b"")

    def work(self) -> None:
        """Measures, or goes on."""
        load = partial(oracles.load, "systolic", "systolic-16x16")
        reports = os.open(self._reports, os.O_WRONLY | os.O_APPEND)
        with MeasurementLog(self._file.path, load().provenance, SAMPLING) as log:
            collect(load, log, SAMPLING, SAMPLES, on_outcome=lambda index, _: os.write(reports, f"{index}\n".encode()))

    def check(self, finished: bool) -> Found:
        """What was reported is on record."""
        recorded: set[int | None] = set()
        reason = ""
        if _whole_lines(self._file.path):
            try:
                measured = Measurements.read(self._file.path)
                recorded = {*measured.indices, *(skip.index for skip in measured.skipped)}
            except AccelzooError as error:
                reason = str(error)
        reported = {int(line) for line in _whole_lines(self._reports).split()}
        found = self._file.compare(finished)
        if missing := sorted(reported - recorded):
            found.lost.append(f"{self._file.path}: reported and not on record: {missing}")
        found.corrupt += [reason] if reason else []
        return found


class Train:
    """A training with a checkpoint at every step. Only this one imports torch, which makes forks slow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        self._step = 0
        self._unbroken: Any = None
        from accelzoo.training.checkpoint import load_checkpoint
        from tests.accelzoo import train_toy

        self._load, self._train = load_checkpoint, train_toy.train_and_write
        self._config = replace(train_toy.CONFIGS["adamw"], steps=20, checkpoint_every_steps=1)
        train_toy.import_what_optimizers_import()  # and no training here: torch's threads would not survive a fork

    @property
    def _place(self) -> Path:
        return self._folder / f"run-{self._runs}"

    def prepare(self) -> None:
        """See `benchmarks.kills.Operation`."""
        self._place.mkdir(exist_ok=True)

    def work(self) -> None:
        """Trains, or goes on."""
        self._train(self._place, self._config, self._place / "answer")

    def check(self, finished: bool) -> Found:
        """A checkpoint is never older than the one before the kill; a finished training is that of an unbroken one."""
        found = Found(state="no checkpoint")
        try:
            checkpoint = self._load(self._place)
        except AccelzooError as error:
            checkpoint = None
            found.corrupt.append(str(error))
        if checkpoint is not None:
            found.records = 1
            found.state = "a checkpoint and half of the next" if self._is_half_written() else "a checkpoint"
        step = checkpoint.step if checkpoint else 0
        if step < self._step:
            found.lost.append(f"{self._place}: a checkpoint of step {self._step} before, of {step} after")
        self._step = step
        if finished:
            answer = json.loads((self._place / "answer").read_text(encoding="utf-8"))
            self._unbroken = self._unbroken or answer
            if answer != self._unbroken:
                found.corrupt.append(f"{self._place}: another result than an unbroken training's")
            self._runs, self._step = self._runs + 1, 0
        return found

    def _is_half_written(self) -> bool:
        named = json.loads((self._place / "checkpoint.json").read_bytes())["tensors"]["file"]
        return any(path.name not in (named, "checkpoint.json") for path in self._place.glob("checkpoint*"))


class Publish:
    """A release published with a tag under a name that has a head, its content not in the hub yet."""

    def __init__(self, folder: Path) -> None:
        self._hub = LocalHub(folder / "hub", cache_dir=folder / "cache")
        self._old, self._new = _releases(folder)
        self._tags: dict[str, str] = {}
        self._lives = 0
        _warm_up(self)

    def prepare(self) -> None:
        """Sets the head back; takes the new release and what marks it out of the hub."""
        self._hub.publish(self._old.folder, NAME, tags=("old",))
        shutil.rmtree(self._stored(self._new), ignore_errors=True)
        for tag in (self._hub.root / NAME / "refs/tags").glob("new-*"):
            tag.unlink()
        self._lives += 1

    def work(self) -> None:
        """Publishes."""
        self._hub.publish(self._new.folder, NAME, tags=(f"new-{self._lives}",))

    def check(self, finished: bool) -> Found:
        """Every release that is stored verifies, every ref names one, and publishing again succeeds."""
        shelf = self._hub.root / NAME
        stored = self._stored(self._new).exists()
        staged = any((shelf / "staging").iterdir())
        found = Found(state="old head" + (", stored" if stored else "") + (", half staged" if staged else ""))
        try:
            head, tags = self._hub.resolve(NAME), self._hub.tags(NAME)
            found.state = "new head" if head == self._new.digest else found.state
            found.records = 1 + len(tags) + _verified(shelf)
            is_marked = tags.get(f"new-{self._lives}") == self._new.digest
            is_new = head == self._new.digest
            if tags.get("old") != self._old.digest or (finished and not is_new) or (is_new and not is_marked):
                found.lost.append(f"{shelf}: head {head}, tags {tags}")
            if not {head, *tags.values()} <= {self._old.digest, self._new.digest}:
                found.corrupt.append(f"{shelf}: head {head}, tags {tags}")
            self.work()
            _verified(shelf)
        except AccelzooError as error:
            found.corrupt.append(str(error))
        return found

    def _stored(self, release: Release) -> Path:
        return self._hub.root / NAME / "releases" / release.digest.removeprefix("sha256:")


class Pull:
    """A release pulled into the cache, and over another one in a folder."""

    def __init__(self, folder: Path) -> None:
        self._hub = LocalHub(folder / "hub", cache_dir=folder / "cache")
        self._old, self._new = _releases(folder)
        self._hub.publish(self._old.folder, NAME, tags=("old",))
        self._hub.publish(self._new.folder, NAME)
        self._into, self._cache = folder / "pulled" / "into", folder / "cache"
        _warm_up(self)

    def prepare(self) -> None:
        """Puts the old release into the folder and empties the cache."""
        for folder in (self._into.parent, self._cache):
            shutil.rmtree(folder, ignore_errors=True)
        self._hub.pull(NAME, "old", self._into)

    def work(self) -> None:
        """Pulls to both places."""
        self._hub.pull(NAME, into=self._into, force=True)
        self._hub.pull(NAME)

    def check(self, finished: bool) -> Found:
        """The folder holds the old release or the new one, the cache a whole one or none; pulling again succeeds."""
        found = Found(state="old folder")
        try:
            digest = verify_folder(self._into)
            cached = [path for path in self._cache.glob("*/*/*/*") if not path.name.startswith(".")]
            for path in cached:
                verify_folder(path, expect=f"sha256:{path.name}")
            found.records = 1 + len(cached)
            if digest == self._new.digest:
                found.state = "new folder, cached" if cached else "new folder"
            if digest not in (self._old.digest, self._new.digest) or (finished and len(cached) != 1):
                found.lost.append(f"{self._into}: {digest}, cached: {cached}")
            if any(self._into.parent.glob(".*.partial")) or any(self._cache.glob("*/*/*/.*.partial")):
                found.state += ", half fetched"
            self.work()
            verify_folder(self._into, expect=self._new.digest)
        except AccelzooError as error:
            found.corrupt.append(str(error))
        return found


OPERATIONS: dict[str, Callable[[Path], Any]] = {
    "search": Search,
    "publish": Publish,
    "pull": Pull,
    "measure": Measure,
    "training": Train,
}


def _warm_up(operation: Search | Measure | Publish | Pull) -> None:
    """Works once in this process, which imports what each child would have to import otherwise."""
    operation.prepare()
    operation.work()
    operation.check(True)


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def _releases(folder: Path) -> tuple[Release, Release]:
    old, new = (example_release(folder / name, value=len(name), size=RELEASE_WEIGHTS) for name in ("old", "newer"))
    return old, new


def _verified(shelf: Path) -> int:
    """Verifies every stored release and returns how many there are."""
    folders = list((shelf / "releases").iterdir())
    for folder in folders:
        verify_folder(folder, expect=f"sha256:{folder.name}")
    return len(folders)
