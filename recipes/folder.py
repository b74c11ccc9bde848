"""The folder of a run: one per recipe and profile, begun once, resumed, never silently overwritten."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.schema import AnyRecipe, check_unchanged

RECIPE_FILE = "recipe.yaml"
_FILE = (
    r"recipe\.yaml|table\.md|(widths|strips|front|predictions)\.(png|svg)"
    r"|(lock|seconds|energy|shortlist|choices|latency_table|networks)\.json"
)
_MADE_BY_RUNS = re.compile(
    r"search|finalists|trainings|jobs|prices|slimmable|release|(timings|width)\.jsonl|\.release\.[^.]+\.partial"
    rf"|{_FILE}|\.({_FILE})\.partial"
)


class RunFolder:
    """Paths inside a run's folder, and small JSON records in it.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.search = path / "search"
        self.finalists = path / "finalists"
        self.jobs = path / "jobs"
        self.slimmable = path / "slimmable"
        self.timings = path / "timings.jsonl"
        self.width_trace = path / "width.jsonl"
        self.picture = path / "widths.png"
        self.prices = path / "prices"
        self.strips = path / "strips.png"
        self.front = path / "front.png"
        self.predictions = path / "predictions.png"
        self.release = path / "release"
        self.table = path / "table.md"
        self.lock = path / "lock.json"

    def training(self, name: str) -> Path:
        """Where the checkpoints of one training go."""
        return self.path / "trainings" / name

    def check(self, recipe: AnyRecipe, *, resume: bool, force: bool) -> None:
        """Refuses what `begin` would refuse; changes nothing."""
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise AccelzooError(f"{self.path}: is no folder; choose another --out")
        if self._is_free():
            return
        kept = self.path / RECIPE_FILE
        if not kept.is_file():
            raise AccelzooError(f"{self.path}: holds something that is no accelzoo run; choose another --out")
        if resume:
            check_unchanged(kept, recipe)
        elif force:
            self._check_removable()
        else:
            raise AccelzooError(
                f"{self.path}: a run is there already; --resume goes on with it, --force throws it away, "
                "--out names another folder"
            )

    def begin(self, recipe: AnyRecipe, *, resume: bool, force: bool) -> None:
        """Takes the folder: new, resumed, or cleared.

        Args:
            recipe: What will be run; kept in the folder.
            resume: Go on with what is there, or begin.
            force: Throw away the run that is there.

        Raises:
            AccelzooError: If there is a run and neither `resume` nor `force`; or something that is no run, or no run
                alone (with `force`); or the disk refuses.
            ConfigError: If the run that is there was begun with another recipe.
        """
        try:
            self.check(recipe, resume=resume, force=force)
            if not self._is_free():
                if resume:
                    return
                self._clear()
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / RECIPE_FILE, config.dump_yaml(recipe))
        except OSError as error:
            raise AccelzooError(f"{error.filename or self.path}: {error.strerror}; choose another --out") from error

    def read_json(self, name: str) -> Any:
        """Returns the record called `name`, or None."""
        path = self.path / f"{name}.json"
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {error}; remove the file to compute it again") from None

    def write_json(self, name: str, value: Any) -> None:
        """Writes the record called `name`, whole or not at all."""
        path = self.path / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def took(self, part: str, started: float) -> None:
        """Adds to a part's wall time what passed since `started`, by `time.perf_counter`.

        What an interrupted run recorded before counts too.
        """
        recorded = self.seconds()
        recorded[part] = recorded.get(part, 0.0) + time.perf_counter() - started
        self.write_json("seconds", recorded)

    def seconds(self) -> dict[str, float]:
        """Returns the wall time of each part so far."""
        seconds: dict[str, float] = self.read_json("seconds") or {}
        return seconds

    def _is_free(self) -> bool:
        """Whether nothing is there, or only what a run leaves that was killed as it began."""
        unfinished = partial_path(self.path / RECIPE_FILE)
        return not self.path.exists() or all(entry == unfinished for entry in self.path.iterdir())

    def _check_removable(self) -> None:
        """Refuses to remove what no run has written: a mistyped path never costs a folder of one's own."""
        foreign = sorted(entry.name for entry in self.path.iterdir() if not _MADE_BY_RUNS.fullmatch(entry.name))
        if foreign:
            raise AccelzooError(f"{self.path}: holds {foreign[0]!r}, which no run makes; remove the folder yourself")
        kept = self.path / RECIPE_FILE
        # A recipe that someone has written by hand is hardly spelt as `begin` spells it.
        if config.dump_yaml(config.load(kept).plain()) != kept.read_text("utf-8"):
            raise AccelzooError(f"{kept}: not as a run has written it; remove the folder yourself")

    def _clear(self) -> None:
        """Empties the folder, the recipe last: whatever a kill leaves is still known as a run."""
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == RECIPE_FILE):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def partial_path(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.partial")


def write_text(path: Path, text: str) -> None:
    """Writes a file by way of a temporary one beside it, so that a kill leaves the old or the new."""
    temporary = partial_path(path)
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
