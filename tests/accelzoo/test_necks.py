"""Necks: what they lower to, what they compute beside torchvision, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from accelzoo import config
from accelzoo.build import set_norm_eps
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.importer import from_module
from accelzoo.necks import FPN, BiFPN, Neck, neck_kinds
from accelzoo.necks._modules import FusionNode
from accelzoo.necks.node import Node, Source
from tests.accelzoo.fresh import fresh_python

CHANNELS = {8: 12, 16: 20, 32: 24}
IMAGE = (144, 200)
NECKS: tuple[Neck, ...] = (
    FPN(channels=16),
    FPN(channels=16, separable=False, extra_levels=0),
    FPN(channels=8, feature_levels=(16,), activation="silu"),
    BiFPN(channels=16, repeats=2),
    BiFPN(channels=8, fusion="fast", activation="silu", extra_levels=1),
    BiFPN(channels=8, fusion="fast", feature_levels=(16, 32), extra_levels=0, repeats=1),
)


def level_shape(stride: int, channels: int) -> tuple[int, int, int]:
    return channels, -(-IMAGE[0] // stride), -(-IMAGE[1] // stride)


def maps(channels: dict[int, int]) -> dict[int, torch.Tensor]:
    return {stride: torch.randn(2, *level_shape(stride, width)) for stride, width in channels.items()}


class WithTrunk(nn.Module):
    """A neck behind one convolution per level, so that it reads one image."""

    def __init__(self, neck: Neck) -> None:
        super().__init__()
        self.taps = nn.ModuleDict(
            {str(stride): nn.Conv2d(3, width, 1, stride) for stride, width in CHANNELS.items()}
        )
        self.neck = neck.build(CHANNELS)

    def forward(self, x: torch.Tensor) -> Any:
        return self.neck({int(stride): tap(x) for stride, tap in self.taps.items()})


def lowered(neck: Neck) -> tuple[GraphBuilder, dict[int, str]]:
    graph = GraphBuilder((3, *IMAGE))
    levels = {
        stride: graph.conv2d(f"taps.{stride}", graph.input, width, 1, stride) for stride, width in CHANNELS.items()
    }
    return graph, neck.lower(graph, "neck.", levels)


@pytest.mark.parametrize("neck", NECKS, ids=str)
def test_a_neck_lowers_to_what_it_runs(neck: Neck) -> None:
    graph, outputs = lowered(neck)
    model = WithTrunk(neck).eval()
    assert from_module(model, (3, *IMAGE)).ops == graph.ops
    made = model(torch.zeros(1, 3, *IMAGE))
    assert {stride: tuple(value.shape[1:]) for stride, value in made.items()} == {
        stride: graph.shape(name) for stride, name in outputs.items()
    }
    assert [*made] == [*neck.output_strides(CHANNELS)]
    assert all(graph.shape(name) == level_shape(stride, neck.channels) for stride, name in outputs.items())


@pytest.mark.parametrize("neck", NECKS, ids=str)
def test_a_neck_is_the_same_as_its_config_and_scales_only_its_width(neck: Neck) -> None:
    plain = config.to_config(neck)
    assert plain["kind"] == neck.kind
    assert config.read(Neck, config.Node(plain)) == neck
    assert config.to_config(neck.scaled(3.0, 32)) == {**plain, "channels": 32 if neck.channels == 8 else 64}


@pytest.mark.parametrize("neck", NECKS, ids=str)
def test_every_parameter_of_a_neck_learns(neck: Neck) -> None:
    torch.manual_seed(0)
    module = neck.build(CHANNELS).train()
    outputs = module(maps(CHANNELS))
    torch.stack([(value - torch.randn_like(value)).square().mean() for value in outputs.values()]).sum().backward()
    for name, value in module.named_parameters():
        if "level_" not in name:
            assert value.grad is not None, name
            assert bool(value.grad.isfinite().all()), name
            assert bool(value.grad.any()), name


def test_fpn_is_torchvisions_with_its_weights() -> None:
    torch.manual_seed(1)
    peer = FeaturePyramidNetwork([*CHANNELS.values()], 16).eval()
    neck = FPN(channels=16, separable=False, extra_levels=0).build(CHANNELS).eval()
    set_norm_eps(neck, 0.0)
    weights = peer.state_dict()
    with torch.no_grad():
        for index, stride in enumerate(CHANNELS):
            for ours, theirs in ((f"lateral_{stride}", "inner_blocks"), (f"output_{stride}", "layer_blocks")):
                node = neck.get_submodule(ours)
                node.conv.weight.copy_(weights[f"{theirs}.{index}.0.weight"])  # type: ignore[union-attr,operator]
                node.bn.bias.copy_(torch.randn(16))  # type: ignore[union-attr,operator]
                bias = peer.get_submodule(f"{theirs}.{index}.0").bias
                bias.copy_(node.bn.bias)  # type: ignore[union-attr]
        levels = maps(CHANNELS)
        wanted = peer({str(stride): value for stride, value in levels.items()})
        made = neck(levels)
    for stride, value in made.items():
        torch.testing.assert_close(value, wanted[str(stride)], rtol=1e-4, atol=1e-4)


def test_fast_fusion_is_the_normalised_weighted_sum() -> None:
    node = FusionNode(Node("x", (Source("a"), Source("b"), Source("c")), fusion="fast"), 4)
    weights = torch.tensor([0.5, -1.0, 2.0])  # a negative weight counts as 0
    parts = torch.randn(3, 2, 4, 5, 6)
    with torch.no_grad():
        node.weight.copy_(weights)
        torch.testing.assert_close(node(*parts), (0.5 * parts[0] + 2.0 * parts[2]) / 2.5, rtol=1e-3, atol=1e-3)
        node.weight.zero_()
        assert bool(node(*parts).isfinite().all())


def test_plain_sum_of_a_coarse_a_same_and_a_fine_map() -> None:
    node = FusionNode(Node("x", (Source("a"), Source("b", "nearest"), Source("c", "pool"))), 1)
    same, coarse, fine = torch.zeros(1, 1, 2, 2), torch.tensor([[[[10.0]]]]), torch.arange(16.0).reshape(1, 1, 4, 4)
    # 3×3 windows around every second pixel: the largest of rows and columns up to 1 and up to 3
    assert node(same, coarse, fine).flatten().tolist() == [15.0, 17.0, 23.0, 25.0]


def test_fusion_costs_one_addition_per_pair_and_no_weights() -> None:
    ops = lowered(BiFPN(channels=8, fusion="fast"))[0].ops
    plain = lowered(BiFPN(channels=8, fusion="sum"))[0].ops
    assert ops == plain
    # five levels: three nodes down and one up with two maps, three up with three, the last with two; three rounds
    assert sum(op.kind == "add" for op in ops) == 3 * (3 + 1 + 3 * 2 + 1)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("fpn", {"channels": 0}, r"channels \(=0\)"),
        ("fpn", {"extra_levels": -1}, r"extra_levels \(=-1\)"),
        ("fpn", {"feature_levels": (8, 32)}, r"feature_levels \(=\[8, 32\]\) must be strides that double"),
        ("bifpn", {"fusion": "fats"}, "did you mean 'fast'"),
        ("bifpn", {"activation": "rely"}, "did you mean 'relu'"),
        ("bifpn", {"repeats": 0}, r"repeats \(=0\)"),
    ],
)
def test_necks_refuse_values_out_of_range(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neck_kinds()[kind](**fields)


def test_a_missing_level_is_named_with_those_there_are() -> None:
    neck = FPN(feature_levels=(32, 64))
    with pytest.raises(ShapeError, match="stride 64; the network has levels of stride 8, 16, 32"):
        neck.build(CHANNELS)
    with pytest.raises(ShapeError, match="stride 64; the network has levels of stride 8, 16, 32"):
        lowered(neck)


def test_one_level_is_too_few_for_two_paths() -> None:
    with pytest.raises(ShapeError, match="at least two levels, got the one of stride 16"):
        BiFPN(feature_levels=(16,), extra_levels=0).build(CHANNELS)


def test_necks_need_no_torch() -> None:
    assert fresh_python("import sys, accelzoo.necks as n; n.neck_kinds(); print('torch' in sys.modules)") == "False"
