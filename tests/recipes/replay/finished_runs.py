"""Finished runs of every kind, tiny, whose recipes name their files by absolute paths: replays run from anywhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelzoo.recipes.pipeline import run_recipe
from accelzoo.search.chain import GENESIS, chained, verified_lines
from tests.recipes import tiny
from tests.recipes.product import tiny_product
from tests.recipes.width import tiny_width

Json = dict[str, Any]


def _run(recipe: Path, folder: Path) -> Path:
    run_recipe(recipe, out=folder, progress=False)
    return folder


def product_run(home: Path) -> Path:
    """A detector's run with one seed and a pretraining."""
    changes: Json = {"baseline": str(home / "baseline.json"), "seeds": [1], "pretraining": tiny_product.PRETRAINING}
    widths = {**tiny_product.RECIPE["searches"]["widths"], "space": str(home / "space.json")}
    recipe = tiny_product.write_product(home, searches={"widths": widths}, **changes)
    return _run(recipe, home / "run")


def funnel_run(home: Path) -> Path:
    """A classifier's run."""
    baseline, space = str(home / "baseline.json"), str(home / "space.json")
    tiny.write_all(home, data=str(home / "data.npz"), baseline=baseline, space=space)
    return _run(home / "recipe.yaml", home / "run")


def width_run(home: Path) -> Path:
    """A run of widths with one seed, one budget and estimated latencies."""
    changes: Json = {"seeds": [1], "latency_shares": [0.8], "greedy": {"rules": ["netadapt"], "step": 0.1,
                     "score_images": 30, "statistics_images": 16}}  # fmt: skip
    return _run(tiny_width.write_recipe(home / "recipe.yaml", changes), home / "run")


def read(path: Path) -> Json:
    """Returns a file of JSON."""
    found: Json = json.loads(path.read_text("utf-8"))
    return found


def change_lock(folder: Path, change: Callable[[Json], None]) -> None:
    """Changes a run's lock."""
    lock = read(folder / "lock.json")
    change(lock)
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")


def change_line(path: Path, number: int, change: Callable[[Json], None]) -> str:
    """Changes a line of a hash-chained file, from 0, and chains what follows anew: an edit that no chain betrays.

    Returns:
        The file's sha256 as it is then.
    """
    import hashlib

    previous, lines = GENESIS, []
    for place, (_, _, content) in enumerate(verified_lines(path, path.read_bytes())):
        if place == number:
            change(content)
        previous, line = chained(previous, content)
        lines.append(f"{line}\n")
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack(trace: Path, place: Path) -> None:
    """Packs a trace as those of shipped recipes are."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(gzip.compress(trace.read_bytes(), mtime=0))
