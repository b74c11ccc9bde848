"""Folders of runs whose candidates are priced as ever but judged by a formula: made in a fraction of a second.

As a script it is a search in a process of its own, with a pause in each evaluation:

    python -m tests.recipes.run_folders FOLDER SECONDS
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.pricing import prepare
from accelzoo.recipes.schema import Recipe, load_funnel
from accelzoo.registry import get_space
from accelzoo.search import CandidateError, Named, Objective, Result, TargetCosts, run

EVALUATIONS = 40
CLASSES = 10


def accuracy(arch: Arch) -> float:
    """Rises with the multiply-accumulates, levels off, and is spread by the stem."""
    millions = arch.lower().macs / 1e6
    return round(1 - 0.12 / (1 + math.log1p(millions)) - 0.0004 * arch.stem.out_channels, 4)


def failing(arch: Arch) -> float:
    """As `accuracy`, but the networks with the widest stem cannot be trained."""
    if arch.stem.out_channels == 32:
        raise CandidateError("the loss is not finite at step 3")
    return accuracy(arch)


def example_recipe(evaluations: int = EVALUATIONS) -> Recipe:
    """Returns the recipe that the example says it was begun with."""
    budgets = "relative_budgets={weight_bytes: 1.0, peak_activation_bytes: 1.0, latency_s: 1.5}"
    changes = ["resolutions=[16, 24]", f"search.evaluations={evaluations}", "search.latency_exponent=0", budgets]
    return load_funnel("camera_classification", "smoke", changes)


def write_run(
    folder: Path, signal: Callable[[Arch], float] = failing, *, asked: int = EVALUATIONS, done: int = EVALUATIONS
) -> Result:
    """Writes the folder of a recipe's run whose search has come so far."""
    recipe = example_recipe(asked)
    task = prepare(recipe, CLASSES, 3)
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(config.dump_yaml(recipe), encoding="utf-8")
    return run(
        task.space,
        Named(signal, "example"),
        evaluations=done,
        algorithm="random",
        costs=TargetCosts(task.target),
        budgets=task.budgets,
        objective=Objective(reference=task.baseline_cost.latency_s),
        seed=2,
        folder=RunFolder(folder).search,
        progress=False,
    )


def write_search(folder: Path, *, evaluations: int = EVALUATIONS, pause_s: float = 0.0, **settings: Any) -> Result:
    """Writes the folder of a search of one's own in a space that ships; without `costs` if those are None."""

    def judged(arch: Arch) -> float:
        time.sleep(pause_s)
        return accuracy(arch)

    given = {"costs": TargetCosts(prepare(example_recipe(), CLASSES, 3).target), **settings}
    return run(
        get_space("camera"),
        Named(judged, "example"),
        evaluations=evaluations,
        algorithm="random",
        objective=Objective(),
        seed=2,
        folder=folder,
        resume=True,
        progress=False,
        **given,
    )


if __name__ == "__main__":
    write_search(Path(sys.argv[1]), evaluations=10_000, pause_s=float(sys.argv[2]))
