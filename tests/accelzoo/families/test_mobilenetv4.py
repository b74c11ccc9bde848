"""MobileNetV4: the plans in the paper's terms, and widths as timm rounds them; weights are compared elsewhere."""

from __future__ import annotations

from collections import Counter

import pytest

from accelzoo import get_arch
from accelzoo.blocks import Block, MobileAttention, UniversalIBN

FORMS = {
    "conv_small": {"ExtraDW": 3, "IB": 8, "ConvNext": 1},
    "conv_medium": {"ExtraDW": 13, "ConvNext": 4, "FFN": 4},
    "conv_large": {"ExtraDW": 19, "ConvNext": 7},
    "hybrid_medium": {"ExtraDW": 13, "ConvNext": 5, "FFN": 4, "MQA": 8},
    "hybrid_large": {"ExtraDW": 19, "ConvNext": 8, "MQA": 8},
}
"""How many blocks of each form (Qin et al. 2024, figure 4) timm's modules have."""

WIDTHS = {
    "conv_small": (32, [32, 64, 96, 128, 960], [2, 2, 6, 6, 1]),
    "conv_small_035": (32, [16, 24, 32, 48, 336], [2, 2, 6, 6, 1]),
    "conv_small_050": (32, [16, 32, 48, 64, 480], [2, 2, 6, 6, 1]),
    "conv_medium": (32, [48, 80, 160, 256, 960], [1, 2, 8, 11, 1]),
    "conv_large": (24, [48, 96, 192, 512, 960], [1, 2, 11, 13, 1]),
    "hybrid_medium": (32, [48, 80, 160, 256, 960], [1, 2, 12, 16, 1]),
    "hybrid_medium_075": (32, [40, 64, 120, 192, 720], [1, 2, 12, 16, 1]),
    "hybrid_large": (24, [48, 96, 192, 512, 960], [1, 2, 15, 18, 1]),
    "hybrid_large_075": (24, [40, 72, 144, 384, 720], [1, 2, 15, 18, 1]),
}
"""Channels of the stem, channels and number of blocks of the stages, read off timm's modules."""

INPUTS = {"conv_medium": 256, "conv_large": 384, "hybrid_medium": 256, "hybrid_large": 384, "hybrid_large_075": 256}


def form(block: Block) -> str:
    if isinstance(block, MobileAttention):
        return "MQA"
    if not isinstance(block, UniversalIBN):
        return ""
    return {
        (True, True): "ExtraDW",
        (False, True): "IB",
        (True, False): "ConvNext",
        (False, False): "FFN",
    }[block.start_kernel_size > 0, block.kernel_size > 0]


@pytest.mark.parametrize("size", FORMS)
def test_blocks_take_the_papers_forms(size: str) -> None:
    groups = get_arch(f"mobilenetv4_{size}").groups()
    counts = Counter(form(block) for group in groups for block in group)
    del counts[""]
    assert counts == Counter(FORMS[size])


@pytest.mark.parametrize("size", WIDTHS)
def test_widths_and_depths_are_timms(size: str) -> None:
    arch = get_arch(f"mobilenetv4_{size}")
    stem, widths, depths = WIDTHS[size]
    assert arch.stem.out_channels == stem
    assert [group[-1].out_channels for group in arch.groups()] == widths
    assert [len(group) for group in arch.groups()] == depths
    pixels = INPUTS.get(size, 224)
    assert arch.input_size == (3, pixels, pixels)


def test_large_hybrids_activate_with_gelu_throughout() -> None:
    for size, function in (("hybrid_large", "gelu"), ("hybrid_medium", "relu"), ("conv_large", "relu")):
        ops = get_arch(f"mobilenetv4_{size}").lower().ops
        assert {op.function for op in ops if op.kind == "activation"} == {function}


def test_attention_halves_keys_and_values_in_the_finer_stage_alone() -> None:
    for size, heads, channels in (("hybrid_medium", 4, (64, 64)), ("hybrid_large", 8, (48, 64))):
        groups = get_arch(f"mobilenetv4_{size}").groups()
        for index, (group, width) in enumerate(zip(groups[2:4], channels, strict=True)):
            attention = [block for block in group if isinstance(block, MobileAttention)]
            assert len(attention) == 4
            stride = 1 if index else 2
            assert {(block.heads, block.head_channels, block.kv_stride) for block in attention} == {
                (heads, width, stride)
            }
