"""Several processes train one network together, as one process would."""

from __future__ import annotations

import json
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
