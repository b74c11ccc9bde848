"""Quantised networks against the networks they were made of, run by LiteRT."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from accelzoo.build import Trunk, build
from accelzoo.errors import DataError, ExportError, ShapeError
from accelzoo.hwmodel.oracles.tflite_values import affine
from accelzoo.quantization import (
    METHODS,
    Calibration,
    QuantizedNetwork,
    calibrate,
    calibration_images,
    fold,
    quantize,
    to_float_tflite,
)
from accelzoo.quantization.calibration import least_error_range
from accelzoo.registry import get_arch
from accelzoo.tasks import Metrics, evaluate, load_classification
from accelzoo.tasks.classification import normalize

pytest.importorskip("ai_edge_litert.interpreter", reason="running needs the extra [litert]")
from accelzoo.hwmodel.oracles.litert import interpreter_of

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("camera_ibn", {}),
    "even and odd sides": ("mobilenetv2_035", {"input_size": [3, 33, 46], "num_classes": 5}),
    "gates and hard swish": ("mobilenetv3_small_100", {"input_size": 48, "num_classes": 5}),
    "silu": ("efficientnetv2_b0", {"input_size": 32, "num_classes": 5, "width_multiplier": 0.25}),
    "pooled stem, projected residuals": ("resnet18", {"input_size": 48, "width_multiplier": 0.25}),
    "TensorFlow's padding": ("mobilenetv3_large_minimal_100", {"input_size": 32, "num_classes": 5}),
    "single-shot detector": ("camera_ibn", {"head": "ssdlite", "num_classes": 2, "input_size": 128,
                                            "extra_channels": [32, 16]}),
    "shared towers": ("camera_ibn", {"head": "fcos", "num_classes": 2, "input_size": 64}),
    "gated segmentation": ("mobilenetv3_small_100", {"head": "lraspp", "num_classes": 3, "input_size": [3, 64, 96]}),
    "concatenated segmentation": ("camera_ibn", {"head": "deeplab", "num_classes": 3, "input_size": 64}),
}  # fmt: skip


def trained(name: str, **overrides: Any) -> Trunk:
    """A network whose normalisations are as if it had been trained: they scale and shift."""
    generator = torch.Generator().manual_seed(0)
    model = build(get_arch(name, **overrides), generator)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
                part.weight.uniform_(0.7, 1.3, generator=generator)
                part.bias.normal_(0, 0.1, generator=generator)
    return model


def images_for(model: Trunk, count: int = 4) -> Tensor:
    return torch.randn((count, *model.arch.input_size), generator=torch.Generator().manual_seed(1))


def outputs_of(model: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return tree_leaves(model.eval()(images))


def worst(got: list[Tensor], wanted: list[Tensor]) -> float:
    """Largest difference as a share of the largest value of that output."""
    pairs = zip(got, wanted, strict=True)
    return max(float((a.reshape(b.shape) - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("case", NETWORKS)
def test_a_folded_network_and_its_float_model_compute_what_the_network_does(case: str) -> None:
    name, overrides = NETWORKS[case]
    model = trained(name, **overrides)
    images = images_for(model, 1)
    wanted = outputs_of(model, images)
    assert worst(fold(model)(images), wanted) < 1e-4
    interpreter = interpreter_of(to_float_tflite(model))
    (entry,) = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], images.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    exits = [torch.from_numpy(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]
    assert worst([value.permute(0, 3, 1, 2) for value in exits], wanted) < 1e-4


@pytest.mark.parametrize("case", NETWORKS)
def test_int8_outputs_have_the_networks_structure_and_are_near(case: str) -> None:
    name, overrides = NETWORKS[case]
    model = trained(name, **overrides)
    images = images_for(model)
    with torch.no_grad():
        wanted = model.eval()(images)
    got = quantize(model, images)(images)
    assert torch.utils._pytree.tree_structure(got) == torch.utils._pytree.tree_structure(wanted)
    for value, other in zip(tree_leaves(got), tree_leaves(wanted), strict=True):
        assert (value.shape, value.dtype) == (other.shape, torch.float32)
    joined = [torch.cat([value.flatten() for value in tree_leaves(tree)]) for tree in (got, wanted)]
    assert float((joined[0] - joined[1]).norm() / joined[1].norm()) < 0.15


@pytest.fixture(scope="module")
def digits() -> tuple[Trunk, Any, Metrics]:
    """A small network with gates and hard swish, trained on digits for some seconds."""
    data = load_classification("digits", (1, 16, 16))
    changes = {"activation": "hard_swish", "se_ratio": 0.25, "width_multiplier": 0.5}
    arch = get_arch("camera_ibn", in_chans=1, input_size=16, num_classes=10, **changes)
    model = build(arch, torch.Generator().manual_seed(0)).train()
    images = normalize(torch.from_numpy(data.train.images), data.normalization)
    labels = torch.from_numpy(data.train.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for rows in torch.randperm(len(images), generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    return model, data, evaluate(model, data.test)


@pytest.mark.parametrize("method", METHODS)
def test_int8_accuracy_is_within_a_point_of_float(method: str, digits: tuple[Trunk, Any, Metrics]) -> None:
    model, data, score = digits
    assert score.top1 > 0.7
    images = calibration_images(model.arch, "digits", 128, data.normalization)
    assert images.shape == (128, 1, 16, 16)
    assert evaluate(quantize(model, images, method=method), data.test).top1 > score.top1 - 0.01


def test_quantising_leaves_the_network_as_it_is() -> None:
    model = trained("camera_ibn").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantize(model, images_for(model))
    assert all(part.training for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_ranges_are_those_of_the_modules_outputs() -> None:
    model = trained("camera_ibn").eval()
    images = images_for(model, 20)  # more than run at once
    seen: list[Tensor] = []
    model.get_submodule("bn1").register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    outputs_of(model, images)
    found = calibrate(fold(model), images, "min_max")
    name = next(op.name for op in model.arch.lower().ops if op.kind == "activation")
    assert found.ranges[name] == pytest.approx((float(seen[0].min()), float(seen[0].max())), abs=1e-5)
    assert found.ranges["input"] == (float(images.min()), float(images.max()))
    assert found.images == 20


def test_the_range_of_least_error_is_the_published_one_for_normal_values() -> None:
    edges = np.linspace(-8.0, 8.0, 2049)
    centers = (edges[1:] + edges[:-1]) / 2
    low, high = least_error_range(1e9 * np.exp(-(centers**2) / 2), -8.0, 8.0)
    # Banner et al. 2019, table 1: normal values of 8 bits are clipped at 3.92 deviations.
    assert [low, high] == pytest.approx([-3.92, 3.92], abs=0.2)
    assert least_error_range(np.ones(2048), 0.0, 6.0) == (0.0, 6.0)


def test_input_and_outputs_keep_their_whole_range() -> None:
    model = trained("camera_ibn").eval()
    network = fold(model)
    every, *others = (calibrate(network, images_for(model, 8), method) for method in METHODS)
    for found in others:
        narrower = [name for name, (low, high) in found.ranges.items() if high < every.ranges[name][1]]
        assert len(narrower) > 5
        for name in ("input", *network.outputs):
            assert found.ranges[name] == every.ranges[name]


def test_a_calibration_is_plain_data_and_gives_the_same_model() -> None:
    model = trained("camera_ibn")
    first = quantize(model, images_for(model))
    stored = json.loads(json.dumps(first.calibration.to_json()))
    again = quantize(model, calibration=Calibration.from_json(stored))
    assert again.tflite == first.tflite
    assert again.calibration == first.calibration
    with pytest.raises(DataError, match="not the data of a calibration"):
        Calibration.from_json({"method": "mse", "images": 3})


def test_the_scale_of_an_activation_holds_zero_and_covers_the_range() -> None:
    for low, high in ((0.0, 6.0), (-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0)):
        found = affine(low, high)
        assert isinstance(found.scale, float)
        ends = found.scale * (np.array([-128, 127]) - found.zero_point)
        assert ends[0] <= min(low, 0) + found.scale / 2
        assert ends[1] >= max(high, 0) - found.scale / 2
        assert found.scale == pytest.approx((max(high, 0) - min(low, 0)) / 255)


def test_a_channel_without_weights_keeps_its_bias() -> None:
    model = trained("camera_ibn").eval()
    with torch.no_grad():
        classifier = model.get_submodule("classifier")
        classifier.weight[3] = 0.0  # type: ignore[operator]
        classifier.bias[3] = 5.0  # type: ignore[operator]
    images = images_for(model)
    np.testing.assert_allclose(quantize(model, images)(images)[:, 3], 5.0, atol=0.1)


def test_what_cannot_be_quantised_is_refused() -> None:
    shuffled = trained("fbnet_a", input_size=32)
    with pytest.raises(ExportError, match="leaves out something that the network computes"):
        fold(shuffled)
    attention = trained("mobilenetv4_hybrid_medium", input_size=64)
    with pytest.raises(ExportError, match=r"attn|norm: no convolution stands before it"):
        fold(attention)


def test_mistakes_are_told() -> None:
    model = trained("camera_ibn")
    images = images_for(model)
    with pytest.raises(DataError, match="needs calibration images"):
        quantize(model)
    with pytest.raises(ShapeError, match=r"calibration images must be \(images, 3, 32, 32\), got \[4, 3, 16, 16\]"):
        quantize(model, images[..., :16, :16])
    with pytest.raises(DataError, match="at least one image"):
        quantize(model, images[:0])
    with pytest.raises(ValueError, match="unknown method 'msee'; did you mean 'mse'"):
        quantize(model, images, method="msee")
    with pytest.raises(DataError, match="not finite"):
        quantize(model, images * torch.nan)
    network = quantize(model, images)
    with pytest.raises(ShapeError, match=r"images must be \(batch, 3, 32, 32\)"):
        network(images[..., :16])
    ranges = {"input": network.calibration.ranges["input"]}
    with pytest.raises(DataError, match="of another network"):
        quantize(model, calibration=replace(network.calibration, ranges=ranges))


def test_the_vela_compiler_takes_it_and_says_about_what_random_weights_cost() -> None:
    pytest.importorskip("ethosu.regor", reason="compiling needs the extra [npu]")
    from accelzoo.compile import compile_network
    from accelzoo.errors import UnknownNameError
    from accelzoo.hwmodel.oracles import load

    model = trained("camera_ibn", head="ssdlite", num_classes=2, input_size=128, extra_channels=[32, 16])
    network: QuantizedNetwork = quantize(model, images_for(model), method="min_max")
    report = compile_network(network, "ethos-u55-256")
    random = load("ethos-u", "ethos-u55-256").measure(model.arch.lower())
    assert report.latency_s == pytest.approx(random.latency_s, rel=0.1)
    for parts in (report.stages, report.operators):
        assert sum(part.compiled_s for part in parts) == pytest.approx(report.latency_s)
    assert [part.name for part in report.stages][ :: len(report.stages) - 1] == ["stem", "head"]
    assert report.tflite == network.tflite
    assert report.compiled[4:8] == b"TFL3"
    assert report.to_json()["memories"]["OffChipFlash"]["written_bytes"] == 0
    with pytest.raises(UnknownNameError, match="unknown target of the compiler 'edge-npu'"):
        compile_network(network, "edge-npu")
