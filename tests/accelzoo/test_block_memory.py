"""Every block's peak activation memory is what its docstring says: closed forms for lone blocks at 8 bits."""

from __future__ import annotations

from typing import Any

import pytest

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
from accelzoo.hwmodel.ir import GraphBuilder

SIDE, IN, OUT = 12, 16, 24
PIXELS = SIDE * SIDE
X = IN * PIXELS
SAME, OTHER = IN * PIXELS, OUT * PIXELS
HALF = OUT * PIXELS // 4
"""Bytes of the input and of outputs: of equal and of other channels, and of other channels at stride 2."""


def peak(block: Block) -> int:
    graph = GraphBuilder((IN, SIDE, SIDE))
    block.lower(graph, "b", graph.input)
    return graph.graph().peak_activation_bytes


def ibn(expanded: int, out: int, kept: int, small: int = 1) -> int:
    """Input and expanded; two expanded and what a residual keeps; expanded and output and what it keeps."""
    return max(X + expanded, expanded + expanded // small + kept, expanded // small + out + kept)


E4, E6 = 4 * X, 6 * X
CASES: list[tuple[Block, int]] = [
    (ConvBnAct(out_channels=IN), X + SAME),
    (ConvBnAct(out_channels=OUT), X + OTHER),
    (ConvBnAct(out_channels=OUT, stride=2), X + HALF),
    (DepthwiseSeparable(out_channels=IN), X + X + SAME),
    (DepthwiseSeparable(out_channels=IN, residual=False), X + SAME),
    (DepthwiseSeparable(out_channels=OUT), X + OTHER),
    (DepthwiseSeparable(out_channels=OUT, stride=2), X + X // 4),
    (FusedIBN(out_channels=IN, expansion_ratio=4), X + E4 + SAME),
    (FusedIBN(out_channels=OUT, expansion_ratio=4), E4 + OTHER),
    (FusedIBN(out_channels=OUT, expansion_ratio=4, stride=2), X + E4 // 4),
    (IBN(out_channels=IN), ibn(E6, SAME, X)),
    (IBN(out_channels=OUT), ibn(E6, OTHER, 0)),
    (IBN(out_channels=OUT, stride=2), ibn(E6, HALF, 0, small=4)),
    (IBN(out_channels=320, expansion_ratio=1), X + 320 * PIXELS),
    (ShuffleIBN(out_channels=IN), ibn(E6, SAME, X)),
    (ShuffleIBN(out_channels=OUT, stride=2, expansion_ratio=4), ibn(E4, HALF, 0, small=4)),
    (UniversalIBN(out_channels=IN, expansion_ratio=4), ibn(E4, SAME, X)),
    (UniversalIBN(out_channels=IN, expansion_ratio=4, start_kernel_size=3), ibn(E4, SAME, X)),
    # ConvNext-like and FFN: a single expanded tensor; the input, too, where it is added
    (UniversalIBN(out_channels=IN, expansion_ratio=4, start_kernel_size=3, kernel_size=0), X + X + E4),
    (UniversalIBN(out_channels=IN, expansion_ratio=4, kernel_size=0), X + E4 + SAME),
    (UniversalIBN(out_channels=OUT, expansion_ratio=4, start_kernel_size=3, kernel_size=0), E4 + OTHER),
    (UniversalIBN(out_channels=320, expansion_ratio=1, kernel_size=0, end_kernel_size=3), 2 * 320 * PIXELS),
    (Basic(out_channels=IN), X + 2 * SAME),
    (Basic(out_channels=OUT), X + 2 * OTHER),
    (Basic(out_channels=OUT, stride=2), X + 2 * HALF),
    (Basic(out_channels=OUT, residual=False), 2 * OTHER),
    (Bottleneck(out_channels=IN, inner_ratio=1.0, group_size=8), X + 2 * SAME),
    (Bottleneck(out_channels=64), X + 2 * 64 * PIXELS),  # the output beside the projected input
    (Bottleneck(out_channels=64, residual=False), (16 + 64) * PIXELS),
    (Bottleneck(out_channels=OUT, inner_ratio=4.0, stride=2), X + 4 * OTHER + 4 * HALF),
    (Tucker(out_channels=IN, input_rank_ratio=2.0, output_rank_ratio=3.0), X + (32 + 48) * PIXELS),
    (Tucker(out_channels=OUT, input_rank_ratio=2.0, output_rank_ratio=1.0), (32 + 24) * PIXELS),
    (Tucker(out_channels=OUT, output_rank_ratio=2.0), (48 + 24) * PIXELS),
]


def attention(heads: int, inner: int, kept: int, keys: int, queries: int = PIXELS) -> int:
    """The weights before and behind the softmax, beside the values."""
    return kept + inner * keys + 2 * heads * queries * keys


CASES += [
    (MobileAttention(out_channels=IN), attention(4, 4, X, PIXELS)),
    (MobileAttention(out_channels=IN, residual=False), attention(4, 4, 0, PIXELS)),
    (MobileAttention(out_channels=OUT, heads=2, kv_stride=2), attention(2, 8, 0, PIXELS // 4)),
    (MobileAttention(out_channels=IN, query_stride=2), attention(4, 4, X, PIXELS, PIXELS // 4)),
    # the projection of all heads at once holds the values
    (MobileAttention(out_channels=IN, multi_query=False), X + 3 * X + 2 * 4 * PIXELS * PIXELS),
]


@pytest.mark.parametrize(("block", "wanted"), CASES, ids=lambda value: getattr(value, "kind", value))
def test_peak_is_the_closed_form(block: Block, wanted: int) -> None:
    assert peak(block) == wanted


def test_every_kind_has_a_case_and_says_what_it_keeps() -> None:
    assert {block.kind for block, _ in CASES} == set(block_kinds())
    silent = [name for name, kind in block_kinds().items() if "Memory: " not in (kind.__doc__ or "")]
    assert silent == []


@pytest.mark.parametrize(
    "values", [{"kernel_size": 5}, {"dilation": 2}, {"padding": "same"}, {"activation": "silu"}], ids=str
)
def test_only_shapes_decide(values: dict[str, Any]) -> None:
    for block in (IBN, Basic, Tucker):
        assert peak(block(out_channels=IN, **values)) == peak(block(out_channels=IN))
