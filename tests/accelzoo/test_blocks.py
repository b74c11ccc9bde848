"""Every block kind keeps its contract, and the contract catches blocks that break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import pytest
from torch import nn

from accelzoo import blocks
from accelzoo.blocks import (
    IBN,
    Basic,
    Block,
    Bottleneck,
    ConvBnAct,
    DepthwiseSeparable,
    FusedIBN,
    MobileAttention,
    ShuffleIBN,
    Tucker,
    UniversalIBN,
    block_kinds,
)
from accelzoo.blocks.conformance import BlockContract, settings_for
from accelzoo.errors import ShapeError
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.rounding import make_divisible, scale_depth
from tests.accelzoo.block_settings import OWN, settings_of


class TestBlockKinds(BlockContract):
    @pytest.fixture(params=block_kinds().values(), ids=list(block_kinds()))
    def block_kind(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param

    def blocks(self, block_kind: type[Block]) -> Iterator[Block]:
        for settings in settings_of(block_kind) if block_kind.kind in OWN else settings_for(block_kind):
            yield block_kind(**settings)


def test_every_kind_has_settings_of_its_own_and_stands_on_the_public_page() -> None:
    assert set(OWN) == set(block_kinds())
    assert {kind.__name__ for kind in block_kinds().values()} <= set(blocks.__all__)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsItsDilation(ConvBnAct):
    kind: ClassVar[str] = "keeps_its_dilation"

    def dilated(self, factor: int) -> Self:
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetsAWidth(ConvBnAct):
    kind: ClassVar[str] = "forgets_a_width"

    def scaled(self, width_multiplier: float, channel_divisor: int) -> Self:
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsItsStride(ConvBnAct):
    kind: ClassVar[str] = "keeps_its_stride"

    def repeated(self) -> Self:
        return self


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (KeepsItsDilation, BlockContract.test_sees_as_far_when_a_stride_becomes_a_dilation),
        (ForgetsAWidth, BlockContract.test_scales_its_channels),
        (KeepsItsStride, BlockContract.test_repeats_at_stride_1),
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
        (Block, {"dilation": 0}, "dilation (=0) must be at least 1"),
        (Block, {"padding": "valid"}, "unknown padding 'valid'; allowed: symmetric, same"),
        (IBN, {"se_divisor": 0}, "se_divisor (=0) must be at least 1"),
        (IBN, {"se_round_limit": 2.0}, "se_round_limit (=2.0) must lie in 0 … 1"),
        (IBN, {"se_base": "output"}, "unknown se_base 'output'"),
        (IBN, {"se_gate": "hard"}, "unknown se_gate 'hard'"),
        (IBN, {"se_activation": "rleu"}, "unknown se_activation 'rleu'; did you mean 'relu'?"),
        (IBN, {"expanded_divisor": 0}, "expanded_divisor (=0) must be at least 1"),
        (ConvBnAct, {"group_size": 0}, "group_size (=0) must be at least 1"),
        (Basic, {"last_dilation": 0}, "last_dilation (=0) must be at least 1"),
        (Bottleneck, {"inner_ratio": 0}, "inner_ratio (=0) must be positive"),
        (Bottleneck, {"inner_divisor": 0}, "inner_divisor (=0) must be at least 1"),
        (Bottleneck, {"group_size": -1}, "group_size (=-1) must be at least 1"),
        (Tucker, {"input_rank_ratio": 0}, "input_rank_ratio (=0) must be positive"),
        (Tucker, {"output_rank_ratio": -1}, "output_rank_ratio (=-1) must be positive"),
        (Tucker, {"rank_divisor": 0}, "rank_divisor (=0) must be at least 1"),
        (ShuffleIBN, {"pointwise_groups": 0}, "pointwise_groups (=0) must be at least 1"),
        (UniversalIBN, {"kernel_size": 2}, "kernel_size (=2) must be odd and positive, or 0 for none"),
        (UniversalIBN, {"start_kernel_size": 4}, "start_kernel_size (=4) must be odd and positive, or 0 for none"),
        (UniversalIBN, {"end_kernel_size": -1}, "end_kernel_size (=-1) must be odd and positive, or 0 for none"),
        (UniversalIBN, {"layer_scale": 0.0}, "layer_scale (=0.0) must be positive, or null for none"),
        (UniversalIBN, {"kernel_size": 0, "stride": 2}, "stride (=2) needs a depthwise convolution"),
        (MobileAttention, {"stride": 2}, "stride (=2) must be 1"),
        (MobileAttention, {"heads": 0}, "heads (=0) must be at least 1"),
        (MobileAttention, {"kv_stride": 0}, "kv_stride (=0) must be at least 1"),
        (MobileAttention, {"query_stride": 2, "multi_query": False}, "query_stride (=2) must be 1 without multi_query"),
        (MobileAttention, {"head_channels": 0}, "head_channels (=0) must be at least 1, or null"),
        (MobileAttention, {"layer_scale": -1.0}, "layer_scale (=-1.0) must be positive"),
        (FusedIBN, {"expansion_ratio": 0}, "expansion_ratio (=0) must be positive"),
        (FusedIBN, {"expanded_channels": 0}, "expanded_channels (=0) must be at least 1"),
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
    assert weights(ConvBnAct(out_channels=24, group_size=8)) == 8 * 24 * 9
    assert weights(FusedIBN(out_channels=24, expansion_ratio=4, group_size=32)) == 8 * 64 * 9 + 64 * 24  # 2 groups
    assert weights(IBN(out_channels=24, expansion_ratio=1, always_expand=True)) == 16 * 16 + 16 * 9 + 16 * 24
    assert weights(Basic(out_channels=16)) == 2 * 16 * 16 * 9
    assert weights(Basic(out_channels=24)) == 16 * 24 * 9 + 24 * 24 * 9 + 16 * 24  # with its projection
    assert weights(Basic(out_channels=24, residual=False)) == 16 * 24 * 9 + 24 * 24 * 9
    assert weights(Bottleneck(out_channels=64, stride=2)) == 16 * 16 + 16 * 16 * 9 + 16 * 64 + 16 * 64
    regnet = Bottleneck(out_channels=16, inner_ratio=1.0, group_size=8, se_ratio=0.25)
    assert weights(regnet) == 16 * 16 + 8 * 16 * 9 + 16 * 16 + 2 * 16 * 4
    assert weights(Tucker(out_channels=40)) == 16 * 8 + 8 * 32 * 9 + 32 * 40  # ranks 4 → 8 and 30 → 32
    assert weights(Tucker(out_channels=24)) == 16 * 8 + 8 * 16 * 9 + 16 * 24  # 18 → 16, though more than 10 % down
    assert weights(ShuffleIBN(out_channels=24, expansion_ratio=4)) == 8 * 64 + 64 * 9 + 32 * 24
    uib: dict[str, Any] = {"out_channels": 24, "expansion_ratio": 4.0}
    assert weights(UniversalIBN(**uib)) == 16 * 64 + 64 * 9 + 64 * 24
    assert weights(UniversalIBN(**uib, start_kernel_size=5)) == 16 * 25 + 16 * 64 + 64 * 9 + 64 * 24
    assert weights(UniversalIBN(**uib, start_kernel_size=5, kernel_size=0)) == 16 * 25 + 16 * 64 + 64 * 24
    assert weights(UniversalIBN(**uib, kernel_size=0)) == 16 * 64 + 64 * 24
    assert weights(UniversalIBN(**uib, kernel_size=0, end_kernel_size=3)) == 16 * 64 + 64 * 24 + 24 * 9
    shared = MobileAttention(out_channels=24, heads=4, head_channels=10)
    assert weights(shared) == 16 * 40 + 2 * 16 * 10 + 40 * 24
    assert weights(replace(shared, kv_stride=2)) == 16 * 40 + 2 * (16 * 9 + 16 * 10) + 40 * 24 + 16  # and its norm
    assert weights(replace(shared, multi_query=False)) == 16 * 120 + 40 * 24


def test_a_stage_repeats_without_stride_and_without_explicit_width() -> None:
    block = FusedIBN(out_channels=24, stride=2, expansion_ratio=4, expanded_channels=40)
    assert block.repeated() == FusedIBN(out_channels=24, expansion_ratio=4)
    assert block.scaled(2.0, 16) == FusedIBN(out_channels=48, stride=2, expansion_ratio=4, expanded_channels=80)


def test_explicit_widths_scale_and_ratios_follow() -> None:
    assert ShuffleIBN(out_channels=24, expanded_channels=40).scaled(2.0, 16).expanded_channels == 80
    uib = UniversalIBN(out_channels=24, expanded_channels=40, start_kernel_size=3, stride=2)
    assert uib.scaled(0.5, 8) == UniversalIBN(
        out_channels=16, expanded_channels=24, start_kernel_size=3, stride=2  # 12 → 16 and 20 → 24: half up
    )
    assert uib.repeated() == UniversalIBN(out_channels=24, start_kernel_size=3)
    assert Bottleneck(out_channels=256).scaled(0.5, 8).inner_channels == 32
    assert Tucker(out_channels=40).scaled(2.0, 8).ranks(32) == (8, 64)  # 60 → 64
    attention = MobileAttention(out_channels=160, head_channels=64, kv_stride=2)
    assert attention.scaled(0.5, 8) == replace(attention, out_channels=80)


def test_a_basic_block_behind_a_removed_stride_dilates_its_second_convolution() -> None:
    # timm's ResNet at output stride 8: `first_dilation` is the dilation before, `dilation` the one behind
    block = Basic(out_channels=24, stride=2).dilated(2).without_stride()
    assert (block.stride, block.dilation, block.last_dilation) == (1, 2, 4)
    assert (block.repeated().dilation, block.repeated().last_dilation) == (4, None)
    assert block.dilated(2).last_dilation == 8
    assert Basic(out_channels=24).without_stride() == Basic(out_channels=24)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (ConvBnAct(out_channels=16, group_size=5), "group_size (=5) must divide the 16 channels"),
        (Bottleneck(out_channels=64, group_size=12), "group_size (=12) must divide the 16 channels"),
        (MobileAttention(out_channels=16, heads=3), "heads (=3) must divide the 16 input channels"),
        (MobileAttention(out_channels=16, query_stride=3), "query_stride (=3) must divide the map's sides, 8x8"),
        (ShuffleIBN(out_channels=16, pointwise_groups=3), "groups (=3) must divide"),
        (ShuffleIBN(out_channels=16, pointwise_groups=5, expanded_channels=16), "groups (=5) must divide 16 channels"),
    ],
)
def test_a_block_that_does_not_fit_its_input_says_why(block: Block, message: str) -> None:
    graph = GraphBuilder((16, 8, 8))
    with pytest.raises(ShapeError, match=re.escape(message)):
        block.lower(graph, "b", graph.input)


def test_an_error_inside_a_block_names_the_block() -> None:
    class Broken(ConvBnAct):
        def layers(self, in_channels: int) -> Any:
            from accelzoo.layers import Conv

            return (Conv("conv", 10, groups=3),)

    graph = GraphBuilder((16, 8, 8))
    with pytest.raises(ShapeError, match=r"conv_bn_act block 'blocks.2.0': conv: groups \(=3\) must divide"):
        Broken(out_channels=10).lower(graph, "blocks.2.0", graph.input)


@pytest.mark.parametrize(
    ("value", "divisor", "rounded"),
    [(1, 8, 8), (12, 8, 16), (11, 8, 16), (17, 8, 16), (18, 8, 24), (20, 8, 24), (33, 32, 32), (90, 32, 96)],
)
def test_channels_round_as_in_the_reference_code(value: float, divisor: int, rounded: int) -> None:
    assert make_divisible(value, divisor) == rounded


def test_depth_rounds_up() -> None:
    assert [scale_depth(3, factor) for factor in (0.1, 0.5, 1, 1.1, 2)] == [1, 2, 3, 4, 6]
