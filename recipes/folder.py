"""The folder of a run: one per recipe and profile, begun once, resumed, never silently overwritten."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.errors import AccelzooError, DataError
from accelzoo.recipes.schema import Recipe, check_unchanged

RECIPE_FILE = "recipe.yaml"


class RunFolder:
    """Paths inside a run's folder, and small JSON records in it.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.search = path / "search"
        self.release = path / "release"
        self.table = path / "table.md"
        self.lock = path / "lock.json"

    def training(self, name: str) -> Path:
        """Where the checkpoints of one training go."""
        return self.path / "trainings" / name

    def begin(self, recipe: Recipe, *, resume: bool, force: bool) -> None:
        """Takes the folder: new, resumed, or cleared.

        Args:
            recipe: What will be run; kept in the folder.
            resume: Go on with what is there, or begin.
            force: Throw away the run that is there.

        Raises:
            AccelzooError: If there is a run and neither `resume` nor `force`; or something that is no run.
            ConfigError: If the run that is there was begun with another recipe.
        """
        kept = self.path / RECIPE_FILE
        if self.path.exists() and any(self.path.iterdir()):
            if not kept.is_file():
                raise AccelzooError(f"{self.path}: holds something that is no accelzoo run; choose another --out")
            if resume:
                check_unchanged(kept, recipe)
                return
            if not force:
                raise AccelzooError(
                    f"{self.path}: a run is there already; --resume goes on with it, --force throws it away, "
                    "--out names another folder"
                )
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(kept, config.dump_yaml(recipe))

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


def write_text(path: Path, text: str) -> None:
    """Writes a file by way of a temporary one beside it, so that a kill leaves the old or the new."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
