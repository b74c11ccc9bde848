"""Product recipes as files: read whole, written back, and refused with the place of a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from accelzoo import config
from accelzoo.errors import ConfigError
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.schema import load_funnel, read_recipe
from tests.recipes.product.tiny_product import PRETRAINING, RECIPE, product_recipe, write_product


def test_it_is_read_and_written_back(tmp_path: Path) -> None:
    recipe = product_recipe(tmp_path, "segmentation", pretraining=PRETRAINING)
    assert recipe.task == "segmentation"
    assert recipe.searches["widths"].picks == ("wide", "fast")
    assert read_recipe(config.Text(config.dump_yaml(recipe))) == recipe
    assert product_recipe(tmp_path).task == "detection"


TRIALS = RECIPE["search"]["trials"]
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"segmentation": {}}, "give either detection or segmentation"),
    ({"searches": {}}, "at least one search"),
    ({"searches": {"a": {"title": "", "space": "s", "picks": ["baseline"]}}}, "not 'baseline'"),
    ({"searches": {name: {"title": "", "space": "s", "picks": ["x"]} for name in "ab"}}, "must be different"),
    ({"search": {**RECIPE["search"], "trials": {**TRIALS, "count": 1}}}, "below the picks of 'widths'"),
    ({"search": {**RECIPE["search"], "trials": {**TRIALS, "training": {"evaluate": "never"}}}}, "not be 'never'"),
    ({"search": {**RECIPE["search"], "evaluation": 3}}, "did you mean 'evaluations'"),
    ({"seeds": [1, 1]}, "must be different"),
    ({"quantization": {"images": 0}}, "at least 1"),
    ({"pretraining": {**PRETRAINING, "resolution": 4}}, "at least 8 pixels"),
]


@pytest.mark.parametrize(("changes", "said"), FAULTS)
def test_faults_have_a_place(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        product_recipe(tmp_path, **changes)
    assert "recipe.yaml:1:" in str(caught.value)


def test_it_is_no_funnel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a recipe of kind product"):
        load_funnel(str(write_product(tmp_path)))


def test_the_kind_is_part_of_the_file(tmp_path: Path) -> None:
    path = write_product(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(read_recipe(content), ProductRecipe)
    with pytest.raises(ConfigError, match="did you mean 'product'"):
        read_recipe({**content, "kind": "products"})
