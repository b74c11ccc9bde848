"""What the verbs ls, show and cost print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hubs.conformance import example_release
from accelzoo.hwmodel import Cost, estimate, list_targets, load_target
from accelzoo.recipes import cli, list_recipes, recipe_path
from accelzoo.registry import get_arch, list_models
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
MODEL = "mobilenetv2_100"


def write_arch(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(get_arch("camera_ibn").to_config() | changes), encoding="utf-8")
    return path


# ls


def test_ls_lists_every_kind(capsys: Capture) -> None:
    listing = run_json(capsys, "ls")
    names = {kind: [entry["name"] for entry in entries] for kind, entries in listing.items()}
    assert list(names) == ["models", "targets", "recipes", "releases"]
    assert names["models"] == list_models()
    assert names["targets"] == list_targets()
    assert names["recipes"] == list_recipes()
    text = run(capsys, "ls")
    assert all(name in text for found in names.values() for name in found)


def test_ls_models_has_published_macs(capsys: Capture) -> None:
    (entry,) = run_json(capsys, "ls", "models", "mobilenetv2_1*")["models"]
    # MobileNetV2 1.0 at 224: 300.774272 M MACs and 3 504 872 parameters, of which 17 056 pairs are batch norm's.
    assert (entry["macs"], entry["family"], entry["input_size"]) == (300_774_272, "mobilenetv2", [3, 224, 224])
    assert entry["weight_bytes"] == (3_504_872 - 2 * 17_056 - 1000) + 4 * (17_056 + 1000)


def test_ls_takes_a_pattern_alone(capsys: Capture) -> None:
    listing = run_json(capsys, "ls", "camera*")
    assert [entry["name"] for entry in listing["targets"]] == ["camera-npu"]
    assert "camera_ibn" in [entry["name"] for entry in listing["models"]]
    assert run(capsys, "ls", "recipes", "none*") == "no recipes\n"


def test_ls_releases_finds_the_hub(capsys: Capture, tmp_path: Path) -> None:
    release = example_release(tmp_path / "tiny")
    run(capsys, "publish", str(release.folder), "zoo/tiny", "--tag", "v1", "--tag", "paper")
    (entry,) = run_json(capsys, "ls", "releases", "zoo/*")["releases"]
    assert entry == {
        "name": "hub:zoo/tiny",
        "digest": release.digest,
        "tags": ["paper", "v1"],
        "hub": str(tmp_path / "hub"),
    }
    assert release.digest[:19] in run(capsys, "ls", "releases")


# show


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
    Path("copy.yaml").write_text(text.split("\n\n", 1)[1], encoding="utf-8")
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


# cost


def test_cost_json_is_the_whole_cost(capsys: Capture) -> None:
    data = run_json(capsys, "cost", MODEL, "--target", "camera-npu", "--by-op")
    expected = estimate(get_arch(MODEL).lower(), load_target("camera-npu"))
    assert Cost.from_json(data["cost"]) == expected
    assert data["weight_budget_bytes"] == 4 << 20
    totals = run_json(capsys, "cost", MODEL, "--target", "camera-npu")["cost"]
    assert totals == data["cost"] | {"by_op": []}


@pytest.mark.parametrize(
    "order", [("num_classes=10", "--target", "edge-npu"), ("--target", "edge-npu", "num_classes=10")]
)
def test_cost_takes_overrides_anywhere(order: Sequence[str], capsys: Capture) -> None:
    whole = run_json(capsys, "cost", MODEL, "--target", "edge-npu")["cost"]
    small = run_json(capsys, "cost", MODEL, *order)["cost"]
    # 1280 inputs and a 32-bit bias for each of the 990 classes that went.
    assert whole["macs"] - small["macs"] == 990 * 1280
    assert whole["weight_bytes"] - small["weight_bytes"] == 990 * (1280 + 4)


def test_cost_reads_a_file_and_tells_every_fault_with_its_place(capsys: Capture) -> None:
    path = write_arch(Path("mine.json"))
    assert run_json(capsys, "cost", "mine.json", "--target", "edge-npu")["arch_digest"] == get_arch(path).digest()
    Path("bad.yaml").write_text("stem: {out_channels: eight}\nstages: []\nhaed: {}\n", encoding="utf-8")
    message = failure(capsys, "cost", "bad.yaml", "--target", "edge-npu")
    assert "bad.yaml:1:22: stem.out_channels: expected an integer, got the text 'eight'" in message
    assert "bad.yaml:3:1: " in message
    assert "did you mean 'head'?" in message


def test_cost_rows_carry_their_units_and_fused_activations(capsys: Capture) -> None:
    text = run(capsys, "cost", MODEL, "--target", "edge-npu", "--by-op")
    totals, operators = text.split("\n\n")
    heading, stem, *rows = operators.splitlines()
    assert heading.split("  ")[0] == "operator"
    for unit in ("MACs (M)", "latency (µs)", "share (%)", "DRAM (KiB)"):
        assert unit in heading
    # 3x3x3 = 27 of 64 rows and 32 of 64 columns of the array have work: 21.1 %; 112² outputs x 27 x 32 MACs.
    assert stem.split()[:4] == ["conv_stem", "conv2d+relu6", "32x112x112", "10.838"]
    assert stem.split()[-2:] == ["21.1", "0.0"]
    graph = get_arch(MODEL).lower()
    assert len(rows) + 1 == sum(op.kind != "activation" for op in graph.ops)
    assert "weights           3.378 MiB     56.3 % of the budget, 6.000 MiB" in totals


def test_cost_over_budget_says_by_how_much(capsys: Capture) -> None:
    text = run(capsys, "cost", "efficientnet_es", "--target", "camera-npu")
    # 5364 KiB of weights; the camera has 4 MiB for them.
    assert "131.0 % of the budget, 4.000 MiB: OVER by 1.238 MiB" in text


def test_cost_warns_of_operators_without_a_price(capsys: Capture) -> None:
    arguments = ("cost", MODEL, "--target", "edge-npu", "activation=hard_swish")
    assert cli.main([*arguments, "--by-op"]) == 0
    shown = capsys.readouterr()
    assert "edge-npu cannot run 35 operators (35 activation:hard_swish; the first is bn1.act)" in shown.err
    assert "latency           >= " in shown.out
    assert shown.out.count("unpriced") == 35
    assert cli.main([*arguments, "--json"]) == 0
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)["cost"]["unpriced"]) == 35
    assert "accelzoo: warning: " in shown.err


def test_cost_warns_of_operators_far_from_all_that_was_measured(capsys: Capture) -> None:
    assert cli.main(["cost", MODEL, "--target", "ethos-u55-256"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(["cost", MODEL, "--target", "ethos-u55-256", "input_size=[3,1024,1024]"]) == 0
    warning = capsys.readouterr().err
    assert "far from everything ethos-u55-256 was fitted to" in warning
    assert "conv_stem" in warning


def test_cost_of_a_model_of_timms(capsys: Capture) -> None:
    ours, theirs = (run_json(capsys, "cost", name, "--target", "edge-npu") for name in (MODEL, f"timm:{MODEL}"))
    assert theirs["cost"] == ours["cost"]
    assert (theirs["model"], theirs["arch_digest"]) == (f"timm:{MODEL}", None)
    text = run(
        capsys, "cost", "timm:resnet18", "--target", "edge-npu", "input_size=[64, 32]", "num_classes=7", "--by-op"
    )
    assert "timm:resnet18 on edge-npu (batch 1, input 3x64x32), input_size=[64, 32], num_classes=7" in text
    # 8 x 4 positions at the stride of 8; 128 · 128 weights of a 3x3 kernel
    assert "layer2.0.conv2                conv2d+relu" not in text  # the sum comes in between
    (row,) = [line.split() for line in text.splitlines() if line.startswith("layer2.0.conv2")]
    assert row[1:4] == ["conv2d", "128x8x4", f"{128 * 128 * 9 * 32 / 1e6:.3f}"]


def test_cost_lists_what_could_not_be_mapped_by_kind(capsys: Capture) -> None:
    arguments = ("cost", "timm:convnext_atto", "--target", "camera-npu", "input_size=64")
    assert cli.main([*arguments, "--json"]) == 0
    shown = capsys.readouterr()
    assert "no kind of operator stands for 17 operators (17 aten.native_layer_norm; the first is stem.1)" in shown.err
    assert sum("(opaque:" in entry for entry in json.loads(shown.out)["cost"]["unpriced"]) == 17


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["timm:resnet81"], "unknown timm model 'resnet81'; did you mean 'resnet18'?"),
        (["timm:resnet18", "width_multiplier=2"], "timm:resnet18: unknown override 'width_multiplier'"),
        (["timm:resnet18", "in_chans=0"], "in_chans: expected an integer of at least 1, got 0"),
    ],
)
def test_cost_of_a_model_that_timm_has_not(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "cost", *arguments, "--target", "edge-npu")


def test_cost_on_a_target_of_ones_own(capsys: Capture) -> None:
    text = (ROOT / "hwmodel" / "targets" / "edge-npu.yaml").read_text(encoding="utf-8")
    Path("mine.yaml").write_text(
        text.replace("name: edge-npu", "name: mine").replace("480e6", "240e6"), encoding="utf-8"
    )
    data = run_json(capsys, "cost", MODEL, "--target", "mine.yaml")
    assert data["target"] == "mine"
    assert data["cost"]["latency_s"] > run_json(capsys, "cost", MODEL, "--target", "edge-npu")["cost"]["latency_s"]
