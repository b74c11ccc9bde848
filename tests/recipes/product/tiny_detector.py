"""A detector of a few thousand parameters, spaces around it, and a recipe that searches them in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelzoo.arch import Arch
from accelzoo.knobs import Space
from accelzoo.recipes.product.schema import DetectionPlan, ProductRecipe, SearchPlan, SignalPlan, SpaceSearch, TrialPlan
from accelzoo.recipes.release_plan import ReleasePlan
from accelzoo.training.config import TrainConfig

HEAD = {"kind": "ssdlite", "num_classes": 1, "feature_levels": [8, 16], "extra_channels": []}
TRAINING = TrainConfig(epochs=1)


def config_of(widths: Any = 16, ratios: Any = 4, kinds: Any = "ibn") -> dict[str, Any]:
    """The detector's config, with values or choices."""
    return {
        "input_size": [3, 64, 64],
        "stem": {"out_channels": 8, "stride": 2},
        "stages": [
            {"kind": kinds, "stride": 2, "expansion_ratio": ratios, "out_channels": 16, "repeats": 1},
            {"kind": "ibn", "stride": 2, "expansion_ratio": ratios, "out_channels": widths, "repeats": 1},
            {"kind": "ibn", "stride": 2, "expansion_ratio": 4, "out_channels": 32, "repeats": 1},
        ],
        "head": HEAD,
    }


def baseline() -> Arch:
    """The detector."""
    return Arch.from_config(config_of())


def space(widths: Any = (8, 16, 24), ratios: Any = (2, 4, 6), kinds: Any = ("ibn", "fused_ibn")) -> Space:
    """Networks around it: 54 genomes."""
    given = (list(widths), list(ratios), list(kinds))
    return Space.from_config(config_of(*({"choice": values} for values in given)), "around")


def recipe(folder: Path, **search: Any) -> ProductRecipe:
    """A recipe whose baseline is a file of `folder`; `search` changes the plan of the search."""
    path = folder / "baseline.json"
    path.write_text(json.dumps(config_of()), encoding="utf-8")
    plan: dict[str, Any] = {
        "evaluations": 200,
        "signal": SignalPlan(scores=("trainability", "macs"), sample=8),
        "trials": TrialPlan(count=2, training=TRAINING),
    }
    return ProductRecipe(
        recipe="tiny",
        target="camera-npu",
        data="shapes",
        detection=DetectionPlan(),
        baseline=str(path),
        searches={"around": SpaceSearch(title="widths and kinds", space="around", picks=("fast",))},
        search=SearchPlan(**(plan | search)),
        training=TRAINING,
        release=ReleasePlan(name="tiny", dataset_name="drawn shapes"),
    )
