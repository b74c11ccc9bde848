"""A recipe that runs in a second; as a script, the process whose runs get killed.

python -m tests.recipes.tiny FOLDER    runs it in one go, kills runs of it in many ways, and prints what came out

The script forks its runs: that is a real SIGKILL without another import of torch.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from accelzoo.draw import below, generator, permutation
from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.pipeline import run_recipe
from tests.forks import in_child, wait

CLASSES = ("left", "middle", "right")
STEM = {"out_channels": 8, "stride": 2}
BASELINE = {
    "input_size": [3, 16, 16],
    "stem": STEM,
    "stages": [{"kind": "ibn", "stride": 2, "expansion_ratio": 6, "out_channels": 24, "repeats": 1}],
    "head": {"kind": "classification", "num_classes": 7, "hidden_channels": 48},
}
SPACE = {
    "input_size": [3, 16, 16],
    "stem": STEM,
    "stages": [
        {
            "kind": {"choice": ["ibn", "conv_bn_act"]},
            "stride": 2,
            "kernel_size": 3,
            "expansion_ratio": {"choice": [1, 2, 8]},
            "out_channels": {"choice": [8, 16, 32]},
            "repeats": {"choice": [1, 2]},
        }
    ],
    "head": {"kind": "classification", "num_classes": 7, "hidden_channels": {"choice": [None, 32]}},
}
TRAINING = {"batch_size": 16, "threads": 1, "learning_rate": 0.02, "checkpoint_every_s": None}
RECIPE: dict[str, Any] = {
    "recipe": "tiny",
    "description": "Where the bright bar is.",
    "target": "camera-npu",
    "data": "data.npz",
    "baseline": "baseline.json",
    "space": "space.json",
    "resolutions": [12, 16],
    "relative_budgets": {"weight_bytes": 0.9, "latency_s": 1.0},
    "search": {
        "shortlist": {"draw": 1000, "keep": 12},
        "evaluations": 3,
        "options": {"initial": 2},
        "validation_images": 24,
        "signal": {**TRAINING, "steps": 10},
    },
    "finalists": {"count": 2, "fidelities": [0.5, 1.0], "training": {**TRAINING, "steps": 16}},
    "training": {**TRAINING, "steps": 30, "checkpoint_every_steps": 12},
    "seeds": [3, 1],
    "release": {"name": "tiny", "dataset_name": "bars"},
}
NEVER_KILLED = 10**9
_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}


def write_all(folder: Path, *, shuffle_test: bool = False, **changes: Any) -> None:
    """Writes data, baseline, space and recipe, which name one another relative to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder / "data.npz", shuffle_test=shuffle_test)
    for name, content in (("baseline", BASELINE), ("space", SPACE), ("recipe", {**RECIPE, **changes})):
        # JSON is YAML as well.
        path = folder / f"{name}.{'yaml' if name == 'recipe' else 'json'}"
        path.write_text(json.dumps(content), encoding="utf-8")


def write_data(path: Path, *, shuffle_test: bool) -> None:
    """Three classes: a bright bar on the left, in the middle or on the right, under noise."""
    random = generator(5)
    arrays: dict[str, Any] = {"class_names": np.array(CLASSES)}
    for name, count in (("train", 96), ("val", 36), ("test", 36)):
        labels = np.arange(count) % 3
        words = random.bit_generator.random_raw(count * 16 * 16 * 3)
        images = (words % 120).astype(np.uint8).reshape(count, 16, 16, 3)
        for image, label in zip(images, labels, strict=True):
            image[:, 5 * label : 5 * label + 5] += 100
        if name == "test" and shuffle_test:
            labels = labels[permutation(random, count)]
        arrays |= {f"x_{name}": images, f"y_{name}": labels}
    np.savez(path, **arrays)


def run_tiny(folder: Path, **settings: Any) -> Outcome:
    """Runs the recipe of the working directory."""
    return run_recipe(Path("recipe.yaml"), out=folder, progress=False, **settings)


def made(folder: Path) -> dict[str, str]:
    """What must not depend on how often a run was interrupted: hashes of the trace, the weights and the config."""
    names = ["shortlist.json", "search/trace.jsonl", "finalists/halving.jsonl", "recipe.yaml", "table.md"]
    names += ["release/trace.jsonl", "release/model.safetensors", "release/config.json"]
    hashes = {name: sha256((folder / name).read_bytes()).hexdigest() for name in names if (folder / name).exists()}
    lock = json.loads((folder / "lock.json").read_text("utf-8"))
    comparison = json.dumps([lock["comparison"], lock["search"], lock["winner_digest"]])
    return {**hashes, "comparison": sha256(comparison.encode()).hexdigest()}


def run_until(folder: Path, number: int, counted: Path | None = None) -> None:
    """Runs, or goes on, until the `number`-th file operation is about to happen in the folder."""
    counter = itertools.count()

    def step() -> None:
        if next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS and arguments and str(arguments[0]).startswith(str(folder)):
            step()

    real_fsync = os.fsync

    def fsync(descriptor: Any) -> None:
        step()
        real_fsync(descriptor)

    with patch("os.fsync", fsync):
        sys.addaudithook(audit)
        run_tiny(folder, resume=True)
    if counted is not None:
        counted.write_text(str(next(counter)), encoding="utf-8")


def killed_at_file_steps(folder: Path, steps: int, number_of_lives: int) -> list[int]:
    """Runs that die at file operations spread over the whole run, each of which is then finished in one go."""
    statuses = []
    for life in range(number_of_lives):
        place = folder / f"step-{life}"
        # The first is the very first operation: the folder is there and holds nothing.
        number = life and steps * life // number_of_lives
        statuses.append(wait(in_child(lambda: run_until(place, number))))  # noqa: B023
        if wait(in_child(lambda: run_tiny(place, resume=True))):  # noqa: B023
            raise SystemExit(f"the run that was killed at file operation {number} could not be resumed")
    return statuses


def killed_at_any_moment(folder: Path, unbroken_s: float) -> list[int]:
    """One run that dies again and again after random times, until it is done."""
    place, random = folder / "moments", generator(11)
    statuses: list[int] = []
    while 0 not in statuses and len(statuses) < 60:
        child = in_child(lambda: run_tiny(place, resume=True))
        # Each life is a little longer than the one before, so that a slow machine ends as well.
        time.sleep(unbroken_s * (20 + below(random, 30) + 10 * len(statuses)) / 100)
        os.kill(child, signal.SIGKILL)
        statuses.append(wait(child))
    return statuses


def main() -> None:
    folder = Path(sys.argv[1])
    write_all(folder)
    os.chdir(folder)
    import accelerate  # noqa: F401  over a second in each child otherwise

    started = time.monotonic()
    if wait(in_child(lambda: run_until(folder / "unbroken", NEVER_KILLED, folder / "steps"))):
        raise SystemExit("the unbroken run failed")
    unbroken_s = time.monotonic() - started
    steps = int((folder / "steps").read_text("utf-8"))
    statuses = {
        "steps": killed_at_file_steps(folder, steps, 5),
        "moments": killed_at_any_moment(folder, unbroken_s),
    }
    outcomes = {path.parent.name: made(path.parent) for path in sorted(folder.glob("*/lock.json"))}
    print(json.dumps({"statuses": statuses, "outcomes": outcomes, "unbroken_s": unbroken_s}))


if __name__ == "__main__":
    main()
