"""A small recipe of kind width, and the folder of a run of it."""

from __future__ import annotations

from pathlib import Path

from accelzoo import config
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.schema import read_recipe
from accelzoo.recipes.width.schema import WidthRecipe

TEXT = """\
kind: width
recipe: narrow
target: camera-npu
data: digits
network: mobilenetv1_100
options: {width_multiplier: 0.25}
resolution: 16
ratios: [0.5, 1.0]
latency_shares: [0.6, 0.8]
slimmable: {training: {epochs: 1}}
training: {epochs: 2}
seeds: [0]
release: {name: narrow, dataset_name: digits, latency_share: 0.6}
"""
PROFILES = "profiles:\n  quick:\n  wide: {ratios: [0.5, 1.5]}\n"


def width_recipe() -> WidthRecipe:
    """Returns the recipe without its profiles."""
    recipe = read_recipe(config.Text(TEXT))
    assert isinstance(recipe, WidthRecipe)
    return recipe


def write_width_run(folder: Path) -> RunFolder:
    """Writes the folder of a run, as far as a run's first moment makes it."""
    run = RunFolder(folder)
    run.begin(width_recipe(), resume=False, force=False)
    return run
