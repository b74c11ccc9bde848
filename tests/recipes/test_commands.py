"""What the verb cost prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from accelzoo.hwmodel import Cost, estimate, load_target
from accelzoo.recipes import cli
from accelzoo.registry import get_arch
from tests.checkout import ROOT
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
MODEL = "mobilenetv2_100"


def write_arch(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(get_arch("camera_ibn").to_config() | changes), encoding="utf-8")
    return path


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


@pytest.mark.parametrize(
    ("head", "kinds"),
    [
        ("ssdlite", {"opaque:aten.topk", "opaque:torchvision.nms"}),
        ("deeplab", {"opaque:aten.argmax"}),
    ],
)
def test_cost_prices_what_follows_a_dense_network_apart(head: str, kinds: set[str], capsys: Capture) -> None:
    arguments = ("cost", "ibn_t", "--target", "edge-npu", f"head={head}", "num_classes=2", "input_size=320")
    data = run_json(capsys, *arguments)
    arch = get_arch("ibn_t", head=head, num_classes=2, input_size=320)
    assert data["cost"]["latency_s"] == estimate(arch.lower(), load_target("edge-npu")).latency_s
    following = Cost.from_json(data["postprocessing"]["cost"])
    assert {entry.split("(")[1][:-1] for entry in following.unpriced} >= kinds
    network, apart = run(capsys, *arguments).split("\n\npost-processing, not in the totals of the network\n")
    assert ">=" not in network
    (no_price,) = [line for line in apart.splitlines() if line.startswith("no price")]
    assert all(kind.removeprefix("opaque:") in no_price for kind in kinds)
    assert "nms" not in network


def test_cost_of_an_enlarged_class_map_is_in_the_post_processing(capsys: Capture) -> None:
    data = run_json(capsys, "cost", "ibn_t", "--target", "edge-npu", "head=deeplab", "num_classes=2", "--by-op")
    resize, argmax = data["postprocessing"]["cost"]["by_op"]
    # 2 classes of 56 x 56 logits in, 224 x 224 out, a byte each.
    assert resize["sram_bytes"] == 2 * (56 * 56 + 224 * 224)
    assert (argmax["bound"], argmax["latency_s"]) == ("unpriced", 0.0)


def test_a_classifier_needs_no_post_processing(capsys: Capture) -> None:
    assert run_json(capsys, "cost", MODEL, "--target", "edge-npu")["postprocessing"] is None
    assert "post-processing" not in run(capsys, "cost", MODEL, "--target", "edge-npu")
