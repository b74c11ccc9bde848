"""What the verb show prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelzoo import config
from accelzoo.hubs.conformance import example_release
from accelzoo.hwmodel import estimate, list_targets, load_target
from accelzoo.knobs import Space
from accelzoo.recipes import list_recipes, recipe_path
from accelzoo.registry import get_arch, get_space, list_spaces, models
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
MODEL = "mobilenetv2_100"
PUBLISHED = "efficientnet_es"


@pytest.mark.parametrize("name", list_targets())
def test_show_target_prints_its_file(name: str, capsys: Capture) -> None:
    text = (ROOT / "hwmodel" / "targets" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.rstrip() in run(capsys, "show", name)
    data = run_json(capsys, "show", name)["target"]
    assert (data["clock_hz"], data["digest"]) == (load_target(name).clock_hz, load_target(name).digest())


def test_show_target_takes_a_file(capsys: Capture) -> None:
    text = (
        (ROOT / "hwmodel" / "targets" / "edge-npu.yaml")
        .read_text(encoding="utf-8")
        .replace("name: edge-npu", "name: mine")
    )
    Path("some.yaml").write_text(text, encoding="utf-8")
    shown = run(capsys, "show", "some.yaml")
    assert shown.splitlines()[0].split() == ["target", "mine"]
    assert text.rstrip() in shown
    Path("some.yaml").write_text("name: mine\nclock_hz: 1e9\n", encoding="utf-8")
    assert "missing required keys" in failure(capsys, "show", "some.yaml")
    assert "macs_per_cycle" in failure(capsys, "show", "some.yaml")
    Path("some.yaml").write_text("- clock_hz\n", encoding="utf-8")
    assert "some.yaml" in failure(capsys, "show", "some.yaml")


@pytest.mark.parametrize("name", list_recipes())
def test_show_recipe_prints_a_file_to_copy(name: str, capsys: Capture) -> None:
    assert run(capsys, "show", name).rstrip() == recipe_path(name).read_text(encoding="utf-8").rstrip()
    assert run_json(capsys, "show", name)["recipe"]["recipe"] == name


def test_show_model_prints_a_config_that_reads_back(capsys: Capture) -> None:
    text = run(capsys, "show", MODEL)
    Path("copy.yaml").write_text(text.rsplit("\n\n", 1)[1], encoding="utf-8")
    assert get_arch("copy.yaml") == get_arch(MODEL)
    assert run_json(capsys, "show", "copy.yaml")["model"]["digest"] == get_arch(MODEL).digest()
    assert run_json(capsys, "show", MODEL)["model"]["arch"] == get_arch(MODEL).to_config()


def test_show_release_from_a_folder_and_a_hub(capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "tiny")
    run(capsys, "publish", str(release.folder), "zoo/tiny", "--tag", "v1")
    for name in (str(release.folder), "hub:zoo/tiny@v1"):
        text = run(capsys, "show", name)
        assert release.digest in text
        assert "accuracy" in text
        data = run_json(capsys, "show", name)["release"]
        assert (data["digest"], data["files"]) == (release.digest, dict(release.hashes))
        assert data["config"]["accelzoo"]["metrics"] == {"accuracy": 0.5}


def test_a_folder_does_not_hide_a_name(capsys: Capture) -> None:
    Path(MODEL).mkdir()
    assert "model" in run_json(capsys, "show", MODEL)


def test_show_prices_a_model_on_every_target(capsys: Capture) -> None:
    prices = run_json(capsys, "show", MODEL)["model"]["prices"]
    assert [price["target"] for price in prices] == list_targets()
    graph = get_arch(MODEL).lower()
    for price in prices:
        cost = estimate(graph, load_target(price["target"]))
        assert (price["latency_s"], price["energy_j"]) == (cost.latency_s, cost.energy_j)
        assert price["unpriced_operators"] == len(cost.unpriced)
    text = run(capsys, "show", MODEL)
    assert all(f"\n{name} " in text for name in list_targets())


def test_show_prices_a_model_on_one_target(capsys: Capture) -> None:
    (price,) = run_json(capsys, "show", MODEL, "--target", "edge-npu")["model"]["prices"]
    assert price["target"] == "edge-npu"
    text = run(capsys, "show", "mobilenetv3_large_100", "--target", "edge-npu")
    (row,) = [line for line in text.splitlines() if line.startswith("edge-npu")]
    assert ">=" in row
    assert "activation:hard_swish unpriced" in row
    assert "did you mean 'edge-npu'?" in failure(capsys, "show", MODEL, "--target", "edge_npu")
    assert "--target prices a model; camera is a space" in failure(capsys, "show", "camera", "--target", "edge-npu")


def test_show_has_published_numbers_beside_ours(capsys: Capture) -> None:
    model = run_json(capsys, "show", PUBLISHED)["model"]
    family = models()[PUBLISHED]
    assert (model["source"], model["timm_name"]) == (family.source, family.timm_names[PUBLISHED])
    # The model's page: 77.23 % float, 77.0 % int8; its paper: 5.4 M parameters, 1.8 G MACs.
    assert [figures["top1_percent"] for figures in model["published"]][:2] == [77.23, 77.0]
    assert round(model["parameters"] / 1e6, 1) == 5.4
    assert round(model["macs"] / 1e9, 1) == 1.8
    text = run(capsys, "show", PUBLISHED)
    for figures in family.published[PUBLISHED]:
        assert f"{figures.top1:g}" in text
        assert figures.source in text
    assert "published in" not in run(capsys, "show", "camera_ibn")


@pytest.mark.parametrize("name", list_spaces())
def test_show_space_prints_its_knobs_and_a_file_that_reads_back(name: str, capsys: Capture) -> None:
    space = get_space(name)
    data = run_json(capsys, "show", name)["space"]
    assert {knob: len(values) for knob, values in data["knobs"].items()} == {
        knob.name: len(knob.values) for knob in space.knobs
    }
    assert (data["size"], data["digest"]) == (space.size(), space.digest())
    text = run(capsys, "show", name)
    assert all(knob.name in text for knob in space.knobs)
    assert Space.from_config(config.Text(text.rsplit("\n\n", 1)[1], "shown")).digest() == space.digest()


def test_show_prices_an_architecture_of_ones_own(capsys: Capture) -> None:
    Path("mine.json").write_text(json.dumps(get_arch("camera_ibn").to_config()), encoding="utf-8")
    model = run_json(capsys, "show", "mine.json")["model"]
    assert (model["family"], model["published"]) == (None, [])
    assert model["prices"] == run_json(capsys, "show", "camera_ibn")["model"]["prices"]
