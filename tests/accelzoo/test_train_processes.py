"""Several processes train one network together, as one process would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from accelzoo.train import fit
from tests.accelzoo.train_toy import CONFIGS, make_data, outcome, without_batch_norm
from tests.checkout import ROOT

LAUNCH = ("-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("needs torch with gloo")
    command = [sys.executable, *LAUNCH, "-m", "tests.accelzoo.train_toy", "processes", str(tmp_path), "plain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["outcomes"][0] == first["outcomes"][1]
    model = without_batch_norm()
    alone = outcome(model, fit(model, make_data(), CONFIGS["plain"], progress=False))
    together = first["outcomes"][0]
    assert together["steps"] == alone["steps"]
    for mine, theirs in zip(alone["history"], together["history"], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert mine["validation"]["correct"] == theirs["validation"]["correct"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, torch.tensor(first["values"][name]), rtol=1e-4, atol=1e-6)


SCRIPT = """
import json, os
from accelzoo import create_model
from accelzoo.tasks import load_classification
from accelzoo.train import TrainConfig, fit, weights_digest

data = load_classification("digits", (3, 32, 32))
model = create_model("mobilenetv3_small_050", num_classes=10, input_size=32)
config = TrainConfig(epochs=1, batch_size=64, learning_rate=0.01, threads=1, ema_decay=0.9)
result = fit(model, data.search_view(), config, folder="run", progress=False)
told = [result.steps, result.images, weights_digest(model), result.validation.correct, os.listdir("run")]
with open(os.environ["RANK"] + ".json", "w") as file:
    json.dump(told, file)
"""


@pytest.mark.slow
def test_two_processes_train_a_network_of_the_zoo_on_the_digits(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, *LAUNCH, "script.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    steps, images, _, correct, files = first
    assert steps == images // 64  # of 64 images for both together
    assert correct > 0
    assert sorted(files) == [".lock", f"checkpoint-{steps:08d}.safetensors", "checkpoint.json"]
