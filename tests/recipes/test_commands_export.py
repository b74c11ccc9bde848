"""What the verb export writes and prints."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

import onnxruntime
import pytest
import torch

from accelzoo.pretrained import find_release
from accelzoo.recipes.commands import export
from accelzoo.registry import create_model
from tests.recipes.calls import Capture, failure, run, run_json

pytestmark = pytest.mark.usefixtures("own_places")
MODEL = "camera_ibn"


def test_onnx_json_has_every_fact(capsys: Capture) -> None:
    data = run_json(capsys, "export", MODEL, "small.onnx", "num_classes=5", "input_size=48", "--opset", "20")
    assert data.pop("size_bytes") == Path("small.onnx").stat().st_size
    error = data.pop("max_relative_error")
    assert 0 < error < 1e-4
    assert 0 < data.pop("latency_s") < 1e3
    assert 0 < data.pop("torch_latency_s") < 1e3
    assert data.pop("runs") >= 5
    assert data == {
        "model": MODEL,
        "overrides": ["num_classes=5", "input_size=48"],
        "weights": "freshly drawn",
        "file": "small.onnx",
        "format": "onnx",
        "opset": 20,
        "dynamic_batch": False,
        "inputs": {"input": [1, 3, 48, 48]},
        "outputs": {"logits": [1, 5]},
        "runtime": f"onnxruntime-{onnxruntime.__version__}",
        "relative_errors": {"logits": error},
        "threads": 1,
    }


def test_the_same_command_makes_the_same_file(capsys: Capture) -> None:
    for name in ("first.onnx", "second.onnx"):
        run(capsys, "export", MODEL, name)
    assert Path("first.onnx").read_bytes() == Path("second.onnx").read_bytes()


def test_weights_are_those_asked_for(capsys: Capture) -> None:
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        want = create_model("camera_accel", pretrained=True)(images)
    assert "the release's" in run(capsys, "export", "camera_accel", "camera.onnx", "--pretrained", "--dynamic-batch")
    (got,) = onnxruntime.InferenceSession("camera.onnx").run(["logits"], {"input": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), want, rtol=1e-4, atol=1e-4)
    weights = Path("weights.pth")
    torch.save(create_model(MODEL).state_dict(), weights)
    assert "weights  weights.pth" in run(capsys, "export", MODEL, "small.pt2", "--weights", str(weights))


def test_a_detectors_outputs_are_listed(capsys: Capture) -> None:
    text = run(capsys, "export", "ibn_t", "detector.pt2", "head=fcos", "input_size=64", "num_classes=3")
    assert "output   class_logits_8 1x3x8x8\n         boxes_8 1x4x8x8\n         centerness_8 1x1x8x8\n" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL, "small.onx"], "the name must end in .onnx, .pt2, .tflite or .pte, not '.onx'; did you mean '.onnx'?"),
        ([MODEL, "small.pt2", "--to", "onnx"], "small.pt2: with --to onnx the name must end in .onnx, not '.pt2'"),
        ([MODEL, "--to", "litrt"], "--to litrt: no such format; did you mean 'litert'? (known: onnx, torch-export, "),
        ([MODEL], "what to write? Name a FILE, or a format with --to (onnx, torch-export, litert, executorch)"),
        ([MODEL, "num_classes=3"], "what to write?"),
        ([MODEL, "small.tflite", "--dynamic-batch"], "--dynamic-batch: a file of LiteRT, float32, channels last takes"),
        ([MODEL, "--to", "executorch", "--opset", "18"], "--opset is ONNX's; camera_ibn.pte is to be a file of"),
        ([MODEL, "small.onnx", "--threads", "0"], "must be a whole number, at least 1"),
        ([MODEL, "small.pt2", "--opset", "18"], "--opset is ONNX's"),
        ([MODEL, "nowhere/small.pt2"], "no such folder 'nowhere'"),
        ([MODEL, "small.onnx", "--opset", "13"], "opset (=13) cannot be had"),
        ([MODEL, "small.onnx", "--pretrained"], "no weights ship for 'camera_ibn'"),
        ([MODEL, "small.onnx", "--pretrained", "--weights", "timm"], "not allowed with"),
        (["camera_ibm", "small.onnx"], "did you mean 'camera_ibn'?"),
        ([MODEL, "small.onnx", "num_clases=3"], "did you mean 'num_classes'?"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "export", *arguments)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("camera_accel", "camera_accel"),
        ("runs/people/release", "release"),
        ("hub:zoo/people@v1", "people"),
        ("people@sha256:0123abcd", "people"),
        ("nets/mine.yaml", "mine"),
    ],
)
def test_files_are_named_after_the_model(model: str, name: str) -> None:
    options = Namespace(model=model, file="num_classes=3", to="litert", overrides=["x=1"])
    options.opset, options.dynamic_batch = None, False
    assert export._asked(options) == (["num_classes=3", "x=1"], Path(f"{name}.tflite"), "litert")


def test_releases_come_with_their_weights_unless_fresh_ones_are_asked_for(capsys: Capture) -> None:
    release = find_release("camera_accel").folder
    for arguments in ([str(release), "folder.tflite"], ["camera_accel", "name.tflite"]):
        assert "weights  the release's" in run(capsys, "export", *arguments)
    assert "weights  freshly drawn" in run(capsys, "export", "camera_accel", "fresh.tflite", "--fresh")
    assert Path("folder.tflite").read_bytes() == Path("name.tflite").read_bytes()
    assert Path("name.tflite").read_bytes() != Path("fresh.tflite").read_bytes()


def test_a_detectors_line_names_its_worst_output(capsys: Capture) -> None:
    arguments = ("head=fcos", "num_classes=2", "input_size=64")
    text = run(capsys, "export", MODEL, *arguments, "--to", "litert")
    assert "file     camera_ibn.tflite (" in text
    assert "output   class_logits_2 1x32x32x2\n         boxes_2 1x32x32x4\n" in text
    assert re.search(r"check    litert-\S+: differs .* of the largest value \(\w+_\d+\) \(allowed: 0.0001\)\n", text)
    assert re.search(r"latency  [\d.]+ \w+, in torch-\S+ [\d.]+ \w+: medians of \d+ runs in turn, 1 thread,", text)


def test_a_file_is_replaced_on_purpose_only(capsys: Capture) -> None:
    Path("small.pt2").write_text("mine", encoding="utf-8")
    assert "small.pt2 exists" in failure(capsys, "export", MODEL, "small.pt2")
    assert Path("small.pt2").read_text(encoding="utf-8") == "mine"
    run(capsys, "export", MODEL, "small.pt2", "--force")
    assert Path("small.pt2").stat().st_size > 1000
