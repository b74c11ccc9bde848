"""One price, whichever way the network and the target are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

import accelzoo
from accelzoo import config, estimate, get_arch, list_targets, load_target
from accelzoo.errors import AccelzooError, ConfigError, ShapeError, UnknownNameError
from accelzoo.importing import timm_models
from accelzoo.pricing import import_timm
from tests.accelzoo.fresh import fresh_python


@pytest.mark.parametrize("target", list_targets())
def test_every_way_of_naming_gives_one_price(target: str, tmp_path: Path) -> None:
    arch = get_arch("camera_ibn")
    path = tmp_path / "arch.yaml"
    path.write_text(config.dump_yaml(arch), encoding="utf-8")
    prices = [estimate(model, target) for model in ("camera_ibn", path, str(path), arch, arch.lower())]
    prices.append(estimate(arch, load_target(target)))
    assert all(price == prices[0] for price in prices)
    assert prices[0].macs == arch.lower().macs
    assert prices[0].latency_s > 0


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_es"])
def test_models_that_exist_both_ways_have_one_price(name: str) -> None:
    expected = estimate(name, "edge-npu")
    assert estimate(f"timm:{name}", "edge-npu") == expected
    assert estimate(get_arch(name).build(), "edge-npu", (3, *get_arch(name).input_size[1:])) == expected
    smaller = [estimate(model, "edge-npu", (3, 96, 128)) for model in (name, f"timm:{name}", get_arch(name))]
    assert smaller[0] == smaller[1] == smaller[2]
    assert smaller[0].macs < expected.macs


def test_a_module_needs_its_input_shape() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    assert estimate(module, "camera-npu", (3, 10, 12)).macs == 27 * 8 * 8 * 10
    with pytest.raises(ShapeError, match=r"a module \(Sequential\) needs input_shape=\(channels, height, width\)"):
        estimate(module, "camera-npu")
    with pytest.raises(AccelzooError, match="Sequential does not run on an input of 4x10x12, in its module '0'"):
        estimate(module, "camera-npu", (4, 10, 12))
    with pytest.raises(TypeError, match="cannot price a int"):
        estimate(3, "camera-npu", (3, 10, 12))  # type: ignore[arg-type]


def test_a_graph_keeps_its_input_shape() -> None:
    graph = get_arch("camera_ibn").lower()
    assert estimate(graph, "camera-npu", graph.input_shape) == estimate(graph, "camera-npu")
    with pytest.raises(ShapeError, match=r"the graph takes \(3, 32, 32\), not input_shape \(=\(3, 64, 64\)\)"):
        estimate(graph, "camera-npu", (3, 64, 64))


def test_overrides_of_timms_models() -> None:
    graph = import_timm("timm:resnet18.a1_in1k", input_size=64, in_chans=1, num_classes=10)
    assert (graph.input_shape, graph.ops[-1].out_shape) == ((1, 64, 64), (10, 1, 1))
    assert import_timm("timm:resnet18", input_size=[1, 64, 64], num_classes=10) == graph
    vit = import_timm("timm:vit_tiny_patch16_224", input_size=[32, 64])  # laid out anew for the size
    assert (vit.ops[0].out_shape, vit.input_shape) == ((192, 2, 4), (3, 32, 64))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("resnet18s", {}, "unknown timm model 'resnet18s'; did you mean 'resnet18'?"),
        ("resnet18.a9_in1k", {}, "unknown timm model 'resnet18.a9_in1k'; did you mean 'resnet18.a"),
        ("resnet18", {"inputsize": 64}, "timm:resnet18: unknown override 'inputsize'; did you mean 'input_size'?"),
        ("resnet18", {"num_classes": -1}, "num_classes: expected an integer of at least 0, got -1"),
        ("resnet18", {"in_chans": "three"}, "in_chans: expected an integer of at least 1, got 'three'"),
        ("resnet18", {"input_size": [64]}, "input_size: expected a side, "),
        ("resnet18", {"input_size": 0}, "input_size: expected a side, "),
    ],
)
def test_mistakes_with_timms_models(name: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises((UnknownNameError, ConfigError)) as error:
        import_timm(f"timm:{name}", **overrides)
    assert message in str(error.value)


def test_timms_models_are_built_without_numbers() -> None:
    module, shape = timm_models.build("resnet18", {})
    assert shape == (3, 224, 224)
    assert all(parameter.is_meta for parameter in module.parameters())
    with torch.device("meta"):
        assert len(list(timm.create_model("resnet18").parameters())) == len(list(module.parameters()))


def test_pricing_our_own_needs_no_torch() -> None:
    code = "import sys, accelzoo; accelzoo.estimate('camera_ibn', 'camera-npu', (3, 64, 64)); "
    assert fresh_python(code + "print('torch' in sys.modules or 'timm' in sys.modules)") == "False"


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'camera_ibn'"):
        estimate("camera_ibm", list_targets()[0])
    with pytest.raises(UnknownNameError, match="did you mean"):
        estimate("camera_ibn", list_targets()[0] + "x")


def test_the_public_page_resolves() -> None:
    assert all(getattr(accelzoo, name) is not None for name in accelzoo.__all__)
