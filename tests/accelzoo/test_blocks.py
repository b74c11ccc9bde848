"""Every block kind and head keeps its contract, and the contract catches blocks that break it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from accelzoo import config
from accelzoo.blocks import IBN, Block, ConvBnAct, DepthwiseSeparable, FusedIBN, block_kinds
from accelzoo.blocks.conformance import BlockContract
from accelzoo.errors import ShapeError
from accelzoo.heads import ClassificationHead, Head, head_kinds
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.rounding import make_divisible, scale_depth
from accelzoo.stem import Stem


class TestBlockKinds(BlockContract):
    @pytest.fixture(params=block_kinds().values(), ids=list(block_kinds()))
    def block_kind(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetsTheStride(ConvBnAct):
    kind: ClassVar[str] = "forgets_the_stride"

    def build(self, in_channels: int) -> nn.Module:
        return ConvBnAct(out_channels=self.out_channels).build(in_channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysAdds(ConvBnAct):
    kind: ClassVar[str] = "always_adds"

    def adds_input(self, in_channels: int) -> bool:
        return self.stride == 1 and in_channels == self.out_channels


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (ForgetsTheStride, BlockContract.test_the_module_makes_what_lowering_says),
        (AlwaysAdds, BlockContract.test_adds_its_input_where_it_can_and_should),
    ],
)
def test_the_contract_catches_a_broken_block(broken: type[Block], test: Any) -> None:
    test(BlockContract(), ConvBnAct)
    with pytest.raises(AssertionError):
        test(BlockContract(), broken)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Block, {"out_channels": 0}, "out_channels (=0) must be at least 1"),
        (IBN, {"kernel_size": 4}, "kernel_size (=4) must be odd and positive"),
        (IBN, {"kernel_size": -1}, "kernel_size (=-1) must be odd and positive"),
        (IBN, {"stride": 3}, "stride (=3) must be 1 or 2"),
        (IBN, {"se_ratio": 1.5}, "se_ratio (=1.5) must lie in 0 … 1"),
        (IBN, {"activation": "relu7"}, "unknown activation 'relu7'; did you mean 'relu'?; allowed: relu, relu6"),
        (FusedIBN, {"expansion_ratio": 0}, "expansion_ratio (=0) must be positive"),
        (FusedIBN, {"expanded_channels": 0}, "expanded_channels (=0) must be at least 1"),
        (Stem, {"stride": 3}, "stride (=3) must be 1, 2 or 4"),
        (Stem, {"kernel_size": 2}, "kernel_size (=2) must be odd"),
        (Stem, {"out_channels": 0}, "out_channels (=0)"),
        (Stem, {"activation": "swish"}, "unknown activation 'swish'"),
    ],
)
def test_values_out_of_range_are_named(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**{"out_channels": 8, **values})


def weights(block: Block, in_channels: int = 16) -> int:
    graph = GraphBuilder((in_channels, 8, 8))
    block.lower(graph, "b", graph.input)
    return graph.graph().weight_count


def test_weights_by_hand() -> None:
    assert weights(ConvBnAct(out_channels=24)) == 16 * 24 * 9
    assert weights(DepthwiseSeparable(out_channels=24)) == 16 * 9 + 16 * 24
    assert weights(IBN(out_channels=24, expansion_ratio=4)) == 16 * 64 + 64 * 9 + 64 * 24
    assert weights(IBN(out_channels=24, expansion_ratio=1)) == 16 * 9 + 16 * 24
    assert weights(IBN(out_channels=24, expanded_channels=40)) == 16 * 40 + 40 * 9 + 40 * 24
    assert weights(FusedIBN(out_channels=24, expansion_ratio=4)) == 16 * 64 * 9 + 64 * 24
    assert weights(IBN(out_channels=24, expansion_ratio=4, se_ratio=0.25)) == 16 * 64 + 64 * 9 + 64 * 24 + 2 * 64 * 4
    assert weights(IBN(out_channels=24, expansion_ratio=2.7)) == 16 * 40 + 40 * 9 + 40 * 24  # 43.2 → 40


def test_a_stage_repeats_without_stride_and_without_explicit_width() -> None:
    block = FusedIBN(out_channels=24, stride=2, expansion_ratio=4, expanded_channels=40)
    assert block.repeated() == FusedIBN(out_channels=24, expansion_ratio=4)
    assert block.scaled(2.0, 16) == FusedIBN(out_channels=48, stride=2, expansion_ratio=4, expanded_channels=80)


def test_an_error_inside_a_block_names_the_block() -> None:
    class Broken(ConvBnAct):
        def layers(self, in_channels: int) -> Any:
            from accelzoo.layers import Conv

            return (Conv("conv", 10, groups=3),)

    graph = GraphBuilder((16, 8, 8))
    with pytest.raises(ShapeError, match=r"conv_bn_act block 'blocks.2.0': blocks.2.0.conv: groups \(=3\) must divide"):
        Broken(out_channels=10).lower(graph, "blocks.2.0", graph.input)


@pytest.mark.parametrize(
    ("value", "divisor", "rounded"),
    [(1, 8, 8), (12, 8, 16), (11, 8, 16), (17, 8, 16), (18, 8, 24), (20, 8, 24), (33, 32, 32), (90, 32, 96)],
)
def test_channels_round_as_in_the_reference_code(value: float, divisor: int, rounded: int) -> None:
    assert make_divisible(value, divisor) == rounded


def test_depth_rounds_up() -> None:
    assert [scale_depth(3, factor) for factor in (0.1, 0.5, 1, 1.1, 2)] == [1, 2, 3, 4, 6]


@pytest.mark.parametrize("kind", head_kinds().values(), ids=list(head_kinds()))
def test_heads_lower_to_what_they_build(kind: type[Head]) -> None:
    for options in ({}, {"num_classes": 7, "hidden_channels": 32}, {"num_classes": 7, "hidden_channels": None}):
        head = kind(**options)
        graph = GraphBuilder((16, 4, 6))
        out_shape = graph.shape(head.lower(graph, graph.input))
        module = nn.Sequential(*head.build(16).values()).eval()
        with torch.no_grad():
            assert tuple(module(torch.zeros(2, 16, 4, 6)).shape) == (2, out_shape[0])
        assert config.read(Head, config.to_config(head)) == head


def test_a_head_widens_but_never_narrows() -> None:
    head = ClassificationHead(hidden_channels=1280)
    assert head.scaled(0.5, 8) == head
    assert head.scaled(1.5, 32) == ClassificationHead(hidden_channels=1920)
    plain = ClassificationHead(hidden_channels=None)
    assert plain.scaled(2.0, 8) is plain


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_classes": -1}, "num_classes (=-1)"),
        ({"hidden_channels": 0}, "hidden_channels (=0)"),
        ({"drop_rate": 1.0}, "drop_rate (=1.0)"),
        ({"activation": "rleu"}, "did you mean 'relu'?"),
    ],
)
def test_head_values_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ClassificationHead(**values)
