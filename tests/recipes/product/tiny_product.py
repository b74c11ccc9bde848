"""Product recipes that run in seconds, for drawn figures; as a script, the process whose run gets killed.

python -m tests.recipes.product.tiny_product NUMBER    runs it in the working directory, and dies as the checkpoint of
                                                       that number is about to be written
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from accelzoo.recipes.outcome import Outcome
from accelzoo.recipes.pipeline import run_recipe
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.schema import load_recipe

TRAINING = {"steps": 2, "batch_size": 4, "threads": 1, "learning_rate": 0.01, "checkpoint_every_s": None}
HEADS = {
    "detection": {"kind": "ssdlite", "num_classes": 9, "feature_levels": [8, 16], "extra_channels": []},
    "segmentation": {"kind": "lraspp", "num_classes": 9, "hidden_channels": 16, "low_stride": 8, "high_stride": 16},
}
RECIPE: dict[str, Any] = {
    "kind": "product",
    "recipe": "tiny_product",
    "description": "Where the figures are.",
    "target": "ethos-u55-128",
    "also_on": ["edge-npu"],
    "data": "shapes?count=12&size=48&seed=0",
    "baseline": "baseline.json",
    "searches": {"widths": {"title": "widths and kinds", "space": "space.json", "picks": ["wide", "fast"]}},
    "search": {
        "evaluations": 40,
        "signal": {"scores": ["trainability", "params"], "sample": 8, "least": -1.0},
        "trials": {"count": 3, "training": TRAINING},
    },
    "training": {**TRAINING, "steps": 3, "checkpoint_every_steps": 1},
    "seeds": [1, 0],
    "quantization": {"images": 4},
    "release": {"name": "tiny", "dataset_name": "drawn figures"},
}
PRETRAINING = {"data": "digits", "resolution": 32, "training": {**TRAINING, "evaluate": "end"}, "seed": 5}


def network(task: str, widths: Any = 16, ratios: Any = 4, kinds: Any = "ibn") -> dict[str, Any]:
    """Config of the baseline, with values or choices."""
    return {
        "input_size": [3, 48, 48],
        "stem": {"out_channels": 8, "stride": 2},
        "stages": [
            {"kind": kinds, "stride": 2, "expansion_ratio": ratios, "out_channels": 16, "repeats": 1},
            {"kind": "ibn", "stride": 2, "expansion_ratio": ratios, "out_channels": widths, "repeats": 1},
            {"kind": "ibn", "stride": 2, "expansion_ratio": 4, "out_channels": 32, "repeats": 1},
        ],
        "head": HEADS[task],
    }


def write_product(folder: Path, task: str = "detection", **changes: Any) -> Path:
    """Writes baseline, space and recipe, which name one another relative to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    choices = [{"choice": values} for values in ([8, 16, 24], [2, 4, 6], ["ibn", "fused_ibn"])]
    (folder / "baseline.json").write_text(json.dumps(network(task)), encoding="utf-8")
    (folder / "space.json").write_text(json.dumps(network(task, *choices)), encoding="utf-8")
    path = folder / "recipe.yaml"  # JSON is YAML as well
    path.write_text(json.dumps({**deepcopy(RECIPE), task: {}, **changes}), encoding="utf-8")
    return path


def product_recipe(folder: Path, task: str = "detection", **changes: Any) -> ProductRecipe:
    """Returns the recipe, written to and read from a folder."""
    recipe = load_recipe(write_product(folder, task, **changes))
    assert isinstance(recipe, ProductRecipe)
    return recipe


def run_product(folder: Path, **settings: Any) -> Outcome:
    """Runs the recipe of the working directory."""
    return run_recipe(Path("recipe.yaml"), out=folder, progress=False, **settings)


def made(folder: Path) -> dict[str, str]:
    """What must not depend on how often a run was interrupted: hashes of traces, networks, weights and ranges."""
    names = ("model.safetensors", "config.json", "quantization.json", "trace.jsonl")
    files = [folder / "networks.json", folder / "search/widths/trace.jsonl"]
    files += [path for path in sorted(folder.glob("release/*/*")) if path.name in names]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    from accelzoo.training import loop
    from accelzoo.training.checkpoint import save_checkpoint

    real, counter, number = save_checkpoint, itertools.count(1), int(sys.argv[1])

    def save(*arguments: Any) -> None:
        if next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)

    with patch.object(loop, "save_checkpoint", save):
        run_product(Path("run"), resume=True)


if __name__ == "__main__":
    main()
