"""What others build on timm's interface, with our networks in it: releases, transformers, segmentation, detection."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

import accelzoo
import accelzoo.timm
from accelzoo.arch import Arch
from accelzoo.build import AccelNet, build_classifier
from accelzoo.model_card import Evaluation, Metric, model_card
from accelzoo.pretrained import ZOO, load_release
from accelzoo.release import Release, read_release, write_release
from accelzoo.release_config import Preprocessing, make_config

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        yield


def searched() -> Arch:
    """An architecture as a search finds it: in no registry."""
    drawn = accelzoo.get_space("camera").sample(np.random.default_rng(5))
    config = drawn.to_config()
    config["head"]["num_classes"] = len(CLASSES)
    return Arch.from_config(config)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A freshly written release of a searched network, as a recipe writes it."""
    arch = searched()
    model = build_classifier(arch, torch.Generator().manual_seed(3))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    described = make_config(
        arch=arch.to_config(),
        arch_digest=arch.digest(),
        class_names=CLASSES,
        num_features=model.num_features,
        preprocessing=Preprocessing(input_size=arch.input_size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2)),
        first_conv="conv_stem",
        classifier="classifier",
        metrics={"test_top1": 0.5},
    )
    evaluation = Evaluation(
        task="image-classification", dataset="x", dataset_name="x", metrics=(Metric(kind="accuracy", value=0.5),)
    )
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    card = model_card(name="tiny", license="mit", datasets=["x"], evaluations=[evaluation])
    return write_release(
        tmp_path / "release",
        weights=weights,
        config=described,
        recipe_yaml="recipe: x\n",
        lock={},
        trace_path=None,
        card=card,
    )


@pytest.fixture(params=["fresh", "packaged"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of a release: one just written, or the one that ships, which names its network instead."""
    if request.param == "packaged":
        return ZOO / "camera_accel"
    fresh: Release = request.getfixturevalue("release")
    return fresh.folder


def images_for(model: AccelNet) -> torch.Tensor:
    return torch.rand(2, *model.arch.input_size)


def released(folder: Path) -> AccelNet:
    model = load_release(read_release(folder))
    assert isinstance(model, AccelNet)
    return model


def test_a_release_loads_in_timm_with_equal_outputs(folder: Path) -> None:
    ours = released(folder)
    x = images_for(ours)
    with torch.inference_mode():
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        assert torch.equal(model(x), ours(x))
        fine_tuned: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=7).eval()
        assert torch.equal(fine_tuned.forward_features(x), ours.forward_features(x))
        assert fine_tuned(x).shape == (2, 7)
        backbone = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True).eval()
        assert torch.equal(backbone(x)[-1], ours.forward_intermediates(x, intermediates_only=True)[-1])
    assert list(timm.data.resolve_model_data_config(model)["mean"]) == list(ours.pretrained_cfg["mean"])


def test_a_release_carries_its_whole_architecture(release: Release) -> None:
    written = json.loads((release.folder / "config.json").read_text())
    assert written["architecture"] == "accelzoo_arch"
    assert Arch.from_config(written["model_args"]["arch"]) == searched()
    assert "num_classes" not in written["model_args"]
    assert timm.create_model(f"local-dir:{release.folder}").arch == searched()


def test_a_release_loads_in_transformers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers", reason="needs the extra interop")
    ours = released(folder)
    x = images_for(ours)
    model = transformers.AutoModelForImageClassification.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        assert torch.equal(model(pixel_values=x).logits, ours(x))
        hidden = model(pixel_values=x, output_hidden_states=True).hidden_states
    assert hidden[-1].shape[1] == ours.feature_info[-1]["num_chs"]
    model.save_pretrained(tmp_path / "saved")
    again = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).eval()
    with torch.inference_mode():
        assert torch.equal(again(x), ours(x))


@pytest.mark.parametrize("name", ["mobilenetv2_100", "mobilenetv3_small_100", "camera_ibn"])
def test_segmentation_networks_train_on_our_encoders(name: str) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs the extra interop")
    plain: Any = timm.create_model(f"accelzoo_{name}", device="meta")
    depth = len(plain.feature_info)
    widths = (64, 48, 32, 24, 16)[-depth:]
    model = smp.Unet(
        f"tu-accelzoo_{name}", encoder_weights=None, encoder_depth=depth, decoder_channels=widths, classes=4
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, labels = torch.rand(2, 3, 64, 64), torch.randint(0, 4, (2, 64, 64))
    before = model.encoder.model.model.conv_stem.weight.detach().clone()
    loss = nn.functional.cross_entropy(model(x), labels)
    loss.backward()
    optimizer.step()
    assert not torch.equal(before, model.encoder.model.model.conv_stem.weight)
    assert model.eval()(x).shape == (2, 4, 64, 64)


def test_segmentation_with_a_finer_last_map() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs the extra interop")
    model = smp.DeepLabV3Plus(
        "tu-accelzoo_mobilenetv2_100", encoder_weights=None, encoder_output_stride=16, classes=4
    ).eval()
    assert model.encoder.model.feature_info.reduction() == [2, 4, 8, 16, 16]
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 4, 64, 64)


class Pyramid(nn.Module):
    """The last three maps of one of our backbones at one width, as torchvision's detectors want them."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 32
        body: Any = timm.create_model("accelzoo_mobilenetv2_100", features_only=True, out_indices=(2, 3, 4))
        self.body = body
        self.pyramid = FeaturePyramidNetwork(body.feature_info.channels(), self.out_channels)

    def forward(self, x: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        return self.pyramid(OrderedDict((str(level), y) for level, y in enumerate(self.body(x))))


@pytest.mark.parametrize("detector", ["RetinaNet", "FasterRCNN"])
def test_torchvision_detectors_train_on_our_backbones(detector: str) -> None:
    anchors = AnchorGenerator(((16,), (32,), (64,)), ((0.5, 1.0, 2.0),) * 3)
    sizes = {"min_size": 96, "max_size": 96}
    if detector == "RetinaNet":
        model: nn.Module = RetinaNet(Pyramid(), 4, anchor_generator=anchors, **sizes)
    else:
        pool = MultiScaleRoIAlign(["0", "1", "2"], 7, 2)
        model = FasterRCNN(Pyramid(), 4, rpn_anchor_generator=anchors, box_roi_pool=pool, **sizes)
    images = [torch.rand(3, 96, 96), torch.rand(3, 80, 96)]
    targets = [{"boxes": torch.tensor([[5.0, 5.0, 40.0, 40.0]]), "labels": torch.tensor([1])} for _ in images]
    losses = model.train()(images, targets)
    sum(losses.values()).backward()
    stem = model.get_submodule("backbone.body.model.conv_stem")
    assert isinstance(stem, nn.Conv2d)
    assert stem.weight.grad is not None
    assert bool(stem.weight.grad.any())
    with torch.inference_mode():
        found = model.eval()(images)
    assert [set(one) for one in found] == [{"boxes", "labels", "scores"}] * 2
