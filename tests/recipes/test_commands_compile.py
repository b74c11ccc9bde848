"""What the verb compile writes, prints and refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from accelzoo.pretrained import find_release
from accelzoo.quantization import calibration_images, quantize
from accelzoo.registry import create_model
from accelzoo.release import write_release
from accelzoo.tasks import Normalization
from tests.recipes.calls import Capture, failure, run, run_json

pytest.importorskip("ethosu.regor", reason="compiling needs the extra [npu]")
pytestmark = pytest.mark.usefixtures("own_places")
TARGET = ("--target", "ethos-u55-256")
DATA = ("--calibration", "digits", "--images", "16")


def test_files_and_figures_agree(capsys: Capture) -> None:
    data = run_json(capsys, "compile", "camera_accel", *TARGET, *DATA, "--out", "out/camera")
    folder = Path("out/camera")
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.tflite", "model_vela.tflite", "operators.csv", "report.json",
    ]  # fmt: skip
    assert data["tflite_bytes"] == (folder / "model.tflite").stat().st_size
    assert data["compiled_bytes"] == (folder / "model_vela.tflite").stat().st_size
    rows = list(csv.DictReader((folder / "operators.csv").read_text(encoding="utf-8").splitlines()))
    assert sum(float(row["compiled_s"]) for row in rows) == pytest.approx(data["latency_s"])
    assert (data["model"], data["tool"], data["calibration"]) == ("camera_accel", "vela-5.2.0", "16 images of digits")


def test_a_file_is_replaced_on_purpose_only(capsys: Capture) -> None:
    Path("model.tflite").write_text("mine", encoding="utf-8")
    call = ("compile", "camera_accel", *TARGET, *DATA, "--out", ".")
    assert "model.tflite exists" in failure(capsys, *call)
    assert Path("model.tflite").read_text(encoding="utf-8") == "mine"
    assert "report.json" in run(capsys, *call, "--force")
    assert Path("model.tflite").read_bytes()[4:8] == b"TFL3"


def test_a_release_with_ranges_needs_no_data(capsys: Capture) -> None:
    shipped = find_release("camera_accel")
    facts = shipped.config["pretrained_cfg"]
    model = create_model("camera_accel", pretrained=True)
    values = Normalization(mean=tuple(facts["mean"]), std=tuple(facts["std"]))
    network = quantize(model, calibration_images(model.arch, "digits", 16, values))
    write_release(
        "release",
        weights={name: np.asarray(value) for name, value in model.state_dict().items()},
        config=shipped.config,
        recipe_yaml=shipped.read_recipe(),
        lock=shipped.read_lock(),
        trace_path=None,
        card=shipped.read_card(),
        quantization=network.calibration.to_json(),
    )
    assert "int8 by ranges of the release's 16 images" in run(capsys, "compile", "release", *TARGET, "--out", "here")
    assert Path("here/model.tflite").read_bytes() == network.tflite


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["camera_accel", *TARGET], "camera_accel holds no ranges of activations: name data with --calibration"),
        (["camera_accel", "--target", "edge-npu", *DATA], "unknown target of the compiler 'edge-npu'"),
        (["camera_acel", *TARGET, *DATA], "did you mean 'camera_accel'?"),
        (["camera_accel", *TARGET, *DATA, "num_classes=3"], "a release is compiled as it is"),
        (["camera_accel", *TARGET, "--calibration", "digit"], "digit"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in failure(capsys, "compile", *arguments)


def test_what_is_no_folder_is_refused(capsys: Capture) -> None:
    Path("file").write_text("mine", encoding="utf-8")
    assert "is not a folder" in failure(capsys, "compile", "camera_accel", *TARGET, *DATA, "--out", "file")
