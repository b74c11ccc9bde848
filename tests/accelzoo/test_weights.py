"""Weights from elsewhere: timm's, files and state dicts, converted, adapted, and refused where they do not fit."""

from __future__ import annotations

import argparse
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import adapt_input_conv
from torch import nn

from accelzoo import create_model, get_arch
from accelzoo.errors import ConfigError, ReleaseError, UnknownNameError
from accelzoo.weights import from_timm, read_checkpoint

NAME = "mobilenetv3_small_050"
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(name: str = NAME, **options: Any) -> nn.Module:
    """Timm's network with weights that are no default."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(5)
        model: nn.Module = timm.create_model(name, **options).eval()
        for child in model.modules():
            if isinstance(child, nn.BatchNorm2d):
                nn.init.uniform_(child.weight, 0.5, 1.5)
                nn.init.normal_(child.running_mean, 0, 0.2)  # type: ignore[arg-type]
    return model


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def logits(theirs: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return theirs(IMAGES)


def equal(model: nn.Module, logits: torch.Tensor) -> bool:
    with torch.inference_mode():
        return not model.training and torch.equal(model(IMAGES), logits)


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes timm's downloads come from `network`; lists the names that were asked for."""
    asked = []
    create = timm.create_model

    def fake(name: str, pretrained: bool = False) -> nn.Module:
        if not pretrained:
            return create(name)
        asked.append(name)
        model = network(name)
        for child in model.modules():
            if isinstance(child, nn.BatchNorm2d):
                child.eps = 1e-3
        return model

    monkeypatch.setattr(timm, "create_model", fake)
    return asked


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "regnetx_002", "regnety_002", "mobilenetv1_100"])
def test_names_of_timm_become_ours(name: str) -> None:
    model = network(name)
    converted = from_timm(model.state_dict(), name)
    ours = create_model(name, weights=model.state_dict())
    assert converted.keys() == ours.state_dict().keys()
    assert {key.partition(".")[0] for key in converted} == {"conv_stem", "bn1", "blocks", "classifier"}
    with torch.inference_mode():
        assert torch.equal(ours(IMAGES), model(IMAGES))


def test_a_state_dict_of_ours_stays_as_it_is() -> None:
    ours = create_model("camera_ibn")
    state = ours.state_dict()
    assert from_timm(state, get_arch("camera_ibn")).keys() == state.keys()
    again = create_model("camera_ibn", weights=state)
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin", ".pt"])
def test_files_are_read(suffix: str, tmp_path: Path, theirs: nn.Module, logits: torch.Tensor) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(theirs.state_dict(), path)
    else:
        torch.save(theirs.state_dict(), path)
    assert equal(create_model(NAME, weights=path), logits)
    assert equal(create_model(NAME, weights=str(path)), logits)


def test_the_averaged_weights_of_a_training_checkpoint_are_taken(
    tmp_path: Path, theirs: nn.Module, logits: torch.Tensor
) -> None:
    wrapped = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    other = {name: torch.zeros_like(value) for name, value in wrapped.items()}
    path = tmp_path / "model_best.pth.tar"
    options = argparse.Namespace(model=NAME)
    torch.save({"epoch": 3, "args": options, "state_dict": other, "state_dict_ema": wrapped}, path)
    assert equal(create_model(NAME, weights=path), logits)
    torch.save({"model": wrapped}, path)
    assert equal(create_model(NAME, weights=path), logits)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code in a weights file was run",))


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"weight": Trap()}, path := tmp_path / "trap.pth")
    with pytest.raises(ReleaseError, match=r"trap\.pth: not readable as weights alone"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(ReleaseError, match="not readable as weights alone"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.safetensors", b"\x00" * 40, "not readable as safetensors"),
        ("a.pth", b"nothing", "not readable as weights alone"),
        ("a.pth", [1, 2], "expected tensors by name, found list"),
        ("a.pth", {"x": torch.zeros(1), "y": 3}, "expected tensors by name; these are none: y"),
    ],
)
def test_broken_files_are_refused(name: str, content: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ReleaseError, match=rf"{name}: {said}"):
        create_model(NAME, weights=path)


def test_missing_files_and_other_names_are_explained(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").touch()
    with pytest.raises(ReleaseError, match=r"weight\.pth: no such file; did you mean 'weights\.pth'"):
        create_model(NAME, weights=tmp_path / "weight.pth")
    with pytest.raises(ConfigError, match=r"weights 'timn'; did you mean 'timm'\?; allowed: 'timm', 'timm:TAG'"):
        create_model(NAME, weights="timn")
    with pytest.raises(ConfigError, match="a release comes with its own weights"):
        create_model("camera_accel", pretrained=True, weights="timm")


def test_timms_own_weights_come_by_name(download: list[str]) -> None:
    model: Any = create_model(NAME, weights="timm")
    assert download == [NAME]
    theirs: Any = network()
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in model.state_dict().items())
    assert model.pretrained_cfg["mean"] == theirs.pretrained_cfg["mean"]
    assert (model.pretrained_cfg["first_conv"], model.pretrained_cfg["classifier"]) == ("conv_stem", "classifier")
    assert model.arch == get_arch(NAME).__class__.from_config(get_arch(NAME).to_config() | {"norm_eps": 1e-3})
    assert {child.eps for child in model.modules() if isinstance(child, nn.BatchNorm2d)} == {1e-3}


def test_a_tag_chooses_among_timms_weights(download: list[str]) -> None:
    create_model("resnet18", weights="timm:a1_in1k")
    assert download == ["resnet18.a1_in1k"]
    with pytest.raises(UnknownNameError, match="weights of timm's 'resnet18' 'a1_in2k'; did you mean 'a1_in1k'"):
        create_model("resnet18", weights="timm:a1_in2k")


def test_what_timm_does_not_have_is_said(download: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"timm does not have 'proxylessnas_gpu' \(of this family it has: none\)"):
        create_model("proxylessnas_gpu", weights="timm")
    with pytest.raises(ConfigError, match=r"'fbnet_a' \(of this family it has: fbnetc_100\)"):
        from_timm({}, "fbnet_a")
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        from_timm({}, "resnet_18")
    with pytest.raises(ReleaseError, match=r"timm has no weights for 'efficientnetv2_s' \(tags with weights: none\)"):
        create_model("efficientnetv2_s", weights="timm")
    assert download == []


def test_a_download_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> nn.Module:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    said = rf"'{NAME}' could not be loaded \(they are downloaded on first use\): ConnectionError: no route to the hub"
    with pytest.raises(ReleaseError, match=said):
        create_model(NAME, weights="timm")


def test_another_number_of_classes_gets_a_fresh_classifier_and_is_told(
    theirs: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    state = theirs.state_dict()
    with caplog.at_level(logging.WARNING, "accelzoo.weights"):
        model = create_model(NAME, weights=state, num_classes=7)
    assert caplog.messages == [f"{NAME}: not in the weights, hence freshly drawn: classifier"]
    ours = model.state_dict()
    assert model(IMAGES).shape == (2, 7)
    assert all(torch.equal(ours[key], value) for key, value in state.items() if not key.startswith("classifier"))
    assert create_model(NAME, weights=state, num_classes=0)(IMAGES).shape == (2, 1024)
    headless = {key: value for key, value in state.items() if not key.startswith("classifier")}
    assert create_model(NAME, weights=headless, num_classes=7)(IMAGES).shape == (2, 7)
    fine_tuned = create_model(NAME, weights=network(num_classes=7).state_dict(), num_classes=7)
    assert fine_tuned(IMAGES).shape == (2, 7)


def test_weights_of_other_classes_are_not_thrown_away_unasked() -> None:
    said = r"2 of another shape: classifier\.weight \[7, 1024\] instead of \[1000, 1024\].*; give num_classes"
    with pytest.raises(ReleaseError, match=said):
        create_model(NAME, weights=network(num_classes=7).state_dict())


@pytest.mark.parametrize("in_chans", [1, 4, 6])
@pytest.mark.parametrize("name", [NAME, "resnet18"])
def test_the_first_convolution_is_adapted_as_timm_does(name: str, in_chans: int) -> None:
    model = network(name)
    first: Any = model.get_submodule("conv1" if name == "resnet18" else "conv_stem")
    ours: Any = create_model(name, weights=model.state_dict(), in_chans=in_chans)
    wanted = adapt_input_conv(in_chans, first.weight.detach())
    assert ours.conv_stem.weight.shape[1] == in_chans
    assert torch.equal(ours.conv_stem.weight, wanted)


def test_what_does_not_fit_is_listed(theirs: nn.Module) -> None:
    state = dict(theirs.state_dict())
    for key in [*state][:3]:
        del state[key]
    state["bn1.running_mean"] = torch.zeros(3)
    state |= {f"extra.{index}": torch.zeros(1) for index in range(12)}
    with pytest.raises(ReleaseError) as caught:
        from_timm(state, NAME)
    said = str(caught.value)
    assert said.startswith(f"the weights do not fit {NAME}: 1 of another shape: bn1.running_mean [3] instead of [16]; ")
    assert "; 3 missing: conv_stem.weight, bn1.weight, bn1.bias; " in said
    assert said.endswith("; 12 unexpected: " + ", ".join(f"extra.{index}" for index in range(10)) + ", … (2 more)")


def test_weights_of_another_network_are_refused(theirs: nn.Module) -> None:
    with pytest.raises(ReleaseError, match=r"do not fit mobilenetv2_100: \d+ of another shape.*missing.*unexpected"):
        create_model("mobilenetv2_100", weights=theirs.state_dict())


def test_a_dense_head_stands_on_the_trunk_of_a_classifier(theirs: nn.Module) -> None:
    """The classifier's own layers are left out; a whole network of ours is taken whole."""
    state = theirs.state_dict()
    model = create_model(NAME, weights=state, head="ssdlite", num_classes=3, input_size=288)
    ours = model.state_dict()
    trunk = [key for key in state if key.startswith(("conv_stem.", "bn1.", "blocks."))]
    assert {key for key in ours if not key.startswith("head.")} == {*trunk}
    assert all(torch.equal(ours[key], state[key]) for key in trunk)
    again = create_model(NAME, weights=ours, head="ssdlite", num_classes=3, input_size=288)
    assert all(torch.equal(value, ours[key]) for key, value in again.state_dict().items())
    del ours[trunk[0]]
    with pytest.raises(ReleaseError, match=f"1 missing: {trunk[0]}"):
        create_model(NAME, weights=ours, head="ssdlite", num_classes=3, input_size=288)
