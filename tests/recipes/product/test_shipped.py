"""The product recipes that ship: every profile is read, and their locks say what the estimator says today."""

from __future__ import annotations

import json

import pytest

from accelzoo.arch import Arch
from accelzoo.hwmodel import estimate, load_target
from accelzoo.recipes.product.schema import ProductRecipe
from accelzoo.recipes.product.values import BASELINE
from accelzoo.recipes.schema import load_recipe, profile_names
from accelzoo.registry import get_arch, get_space
from tests.checkout import ROOT

NAMES = ("presence_detection", "room_segmentation")


@pytest.mark.parametrize(("name", "profile"), [(name, profile) for name in NAMES for profile in profile_names(name)])
def test_every_profile_is_read_and_names_what_there_is(name: str, profile: str) -> None:
    recipe = load_recipe(name, profile)
    assert isinstance(recipe, ProductRecipe)
    assert get_arch(recipe.baseline).head.task == recipe.task
    for search in recipe.searches.values():
        assert get_space(search.space).decode((0,) * len(get_space(search.space).sizes)).head.task == recipe.task
    assert len(recipe.seeds) == (3 if profile == "full" else 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_holds_the_networks_and_their_prices(name: str) -> None:
    lock = json.loads((ROOT / "recipes" / f"{name}.lock.json").read_text("utf-8"))
    recipe = load_recipe(name, "full")
    assert isinstance(recipe, ProductRecipe)
    networks = lock["comparison"]["networks"]
    picks = [pick for search in recipe.searches.values() for pick in search.picks]
    assert [network["name"] for network in networks] == [BASELINE, *picks]
    target = load_target(recipe.target)
    for network in networks:
        cost = estimate(Arch.from_config(network["arch"]).lower(), target)
        known = network["prices"][recipe.target]["cost"]
        assert (known["macs"], known["weight_bytes"]) == (cost.macs, cost.weight_bytes)
        assert known["latency_s"] == pytest.approx(cost.latency_s, rel=1e-9)
        assert len(network["runs"]) == len(recipe.seeds)
