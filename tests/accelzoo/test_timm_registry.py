"""The networks in timm's registry: which, with which facts and weights; and scripts that run with them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

import accelzoo
import accelzoo.timm
from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.pretrained import list_packaged
from accelzoo.registry import get_arch
from accelzoo.timm import ANY_ARCH, PREFIX, accelzoo_models
from accelzoo.timm.__main__ import main
from tests.accelzoo.fresh import fresh_python
from tests.accelzoo.timm_sample import classifiers, sample
from tests.checkout import ROOT


def create(name: str, **arguments: Any) -> Any:
    """Builds without allocating weights."""
    return timm.create_model(PREFIX + name, device="meta", **arguments)


def create_any(**arguments: Any) -> Any:
    return timm.create_model(ANY_ARCH, **arguments)


def test_every_network_that_classifies_is_listed_and_nothing_else() -> None:
    assert set(timm.list_models("accelzoo_*")) == {ANY_ARCH, *(PREFIX + name for name in classifiers())}
    assert timm.list_models(module="accelzoo_models") == timm.list_models("accelzoo_*")
    assert ANY_ARCH not in {PREFIX + name for name in classifiers()}


@pytest.mark.parametrize("part", [".", "dla", "tresnet"])
def test_no_name_holds_what_others_read_a_meaning_into(part: str) -> None:
    """Dots end names in timm; segmentation_models_pytorch treats the two names specially."""
    assert [name for name in timm.list_models("accelzoo_*") if part in name] == []


def test_importing_reads_no_architecture_and_builds_nothing() -> None:
    code = """
import sys, timm
from accelzoo.arch import Arch
Arch.from_config = None
import accelzoo.timm
print(timm.is_model("accelzoo_mobilenetv2_100"), {"accelzoo.build", "accelzoo.modules"} & {*sys.modules})
"""
    assert fresh_python(code) == "True set()"


def test_registering_again_changes_nothing() -> None:
    before = {name: timm.model_entrypoint(name) for name in timm.list_models("accelzoo_*")}
    accelzoo.timm.register()
    importlib.reload(accelzoo.timm)
    importlib.reload(accelzoo_models)
    accelzoo_models.register()
    assert {name: timm.model_entrypoint(name) for name in timm.list_models("accelzoo_*")} == before


def test_a_name_that_timm_has_from_elsewhere_is_refused() -> None:
    code = """
import sys, types
from timm.models import register_model
foreign = types.ModuleType("foreign")
sys.modules["foreign"] = foreign
def accelzoo_mobilenetv2_100(pretrained=False, **kwargs): ...
accelzoo_mobilenetv2_100.__module__ = "foreign"
register_model(accelzoo_mobilenetv2_100)
try:
    import accelzoo.timm
except Exception as error:
    import timm
    print(type(error).__name__, error, timm.list_models("accelzoo_*"))
"""
    told = fresh_python(code)
    assert told.startswith("AccelzooError timm already has a model 'accelzoo_mobilenetv2_100', registered by foreign.")
    assert "network 'mobilenetv2_100'" in told
    assert told.endswith("['accelzoo_mobilenetv2_100']")


@pytest.mark.parametrize("name", classifiers())
def test_the_registered_facts_are_those_of_the_architecture(name: str) -> None:
    cfg = get_pretrained_cfg(PREFIX + name)
    arch = get_arch(name)
    assert cfg is not None
    assert cfg.architecture == PREFIX + name
    assert cfg.input_size == arch.input_size
    assert cfg.num_classes == arch.head.num_classes
    last = next(op for op in reversed(arch.lower().ops) if op.name.startswith("blocks."))
    assert cfg.pool_size == last.out_shape[1:]
    if name not in list_packaged():
        assert (cfg.mean, cfg.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        assert not cfg.has_weights


def test_overrides_of_get_arch_pass() -> None:
    model = create("mobilenetv2_100", width_multiplier=0.5, input_size=96, activation="hard_swish")
    assert model.arch == get_arch("mobilenetv2_100", width_multiplier=0.5, input_size=96, activation="hard_swish")
    assert (model.pretrained_cfg["input_size"], model.pretrained_cfg["pool_size"]) == ((3, 96, 96), (3, 3))


def test_timm_arguments_pass() -> None:
    model = create(
        "mobilenetv2_100", num_classes=7, in_chans=1, drop_rate=0.25, drop_path_rate=0.2, bn_eps=1e-3, bn_momentum=0.05
    )
    assert (model.num_classes, model.in_chans, model.drop_rate) == (7, 1, 0.25)
    expected = get_arch("mobilenetv2_100", num_classes=7, in_chans=1, drop_rate=0.25)
    assert model.arch == replace(expected, norm_eps=1e-3)
    assert {(m.eps, m.momentum) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {(1e-3, 0.05)}
    theirs = timm.create_model("mobilenetv2_100", drop_path_rate=0.2)
    rates = {
        name: module.drop_path.drop_prob
        for name, module in theirs.named_modules()
        if isinstance(getattr(module, "drop_path", None), timm.layers.DropPath)
    }
    ours = {name: module.drop_path_rate for name, module in model.named_modules() if hasattr(module, "drop_path_rate")}
    assert ours
    assert ours == {name: pytest.approx(rates[name]) for name in ours}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widht_multiplier": 1.0}, "did you mean 'width_multiplier'"),
        ({"output_stride": 3}, "must be a power of two"),
        ({"in_chans": 0}, "must be positive"),
        ({"num_classes": -1}, "must be 0 .no classifier. or more"),
        ({"not_a_model_arg": 1}, "unknown override 'not_a_model_arg'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        create("mobilenetv2_100", **arguments)
    assert isinstance(caught.value, AccelzooError)
    assert "accelzoo_mobilenetv2_100" in str(caught.value)


def test_any_architecture_is_built_from_its_config() -> None:
    arch = get_arch("camera_accel", num_classes=4, in_chans=1, input_size=40)
    for given in (arch, arch.to_config()):
        model = create_any(arch=given)
        assert model.arch == arch
        assert model.pretrained_cfg["input_size"] == (1, 40, 40)
        assert model.pretrained_cfg["pool_size"] == (5, 5)
        assert model(torch.zeros(2, 1, 40, 40)).shape == (2, 4)
    changed = create_any(arch=arch.to_config(), num_classes=9, in_chans=3)
    assert changed.arch == get_arch("camera_accel", num_classes=9, input_size=40)
    assert create_any().arch == get_arch("camera_ibn")


def test_faults_of_a_given_architecture_are_named() -> None:
    broken = get_arch("camera_accel").to_config()
    broken["stages"][0]["kind"] = "inb"
    with pytest.raises(ConfigError, match="ibn"):
        create_any(arch=broken)
    with pytest.raises(TypeError, match="cannot carry a"):
        create_any(arch=get_arch("mobilenetv2_100", head="ssdlite"))


@pytest.mark.parametrize("name", [name for name in list_packaged() if name in classifiers()])
def test_packaged_weights_are_pretrained(name: str) -> None:
    assert PREFIX + name in timm.list_models(pretrained=True)
    ours = accelzoo.create_model(name, pretrained=True)
    images = torch.rand(2, *ours.arch.input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model: Any = timm.create_model(PREFIX + name, pretrained=True).eval()
        assert torch.equal(model(images), ours(images))
        other = timm.create_model(PREFIX + name, pretrained=True, num_classes=3, in_chans=1).eval()
        assert other(images[:, :1]).shape == (2, 3)
    assert torch.equal(other.blocks[0][0][0].weight, ours.blocks[0][0][0].weight)  # type: ignore[index, union-attr]
    assert model.pretrained_cfg["mean"] == tuple(ours.pretrained_cfg["mean"])


def test_networks_without_weights_say_so() -> None:
    with pytest.raises(RuntimeError, match="No pretrained weights exist for accelzoo_ibn_t"):
        timm.create_model("accelzoo_ibn_t", pretrained=True)


SCRIPT = """
import argparse, sys
import timm, torch
import neighbour
parser = argparse.ArgumentParser()
parser.add_argument("--model")
options = parser.parse_args()
model = timm.create_model(options.model, num_classes=3)
print(__name__, sys.argv[0].endswith("train.py"), neighbour.HERE, tuple(model(torch.zeros(1, 3, 32, 32)).shape))
"""


@pytest.mark.parametrize("script", ["train", "train.py"])
def test_a_script_runs_with_the_networks_registered(tmp_path: Path, script: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "neighbour.py").write_text("HERE = 'beside'\n")
    command = [sys.executable, "-m", "accelzoo.timm", script, "--model", "accelzoo_camera_ibn"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__ True beside (1, 3)\n", "")


def test_a_missing_script_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--model", "x"]) == 2
    assert f"no script 'validate.py' in {tmp_path}; timm's train.py and validate.py are in" in capsys.readouterr().err


def test_sample_holds_both_head_layouts() -> None:
    layouts = {(timm.create_model(PREFIX + name, device="meta")._pool_first) for name in sample()}
    assert layouts == {False, True}
