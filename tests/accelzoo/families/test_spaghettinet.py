"""SpaghettiNet: sizes as published and as counted from the authors' tables; its head's nodes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from accelzoo import get_arch
from accelzoo.blocks import IBN, DepthwiseSeparable
from accelzoo.build import build
from accelzoo.errors import ShapeError, UnknownNameError
from accelzoo.heads.spaghetti import SpaghettiHead, SpaghettiNode
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.importer import from_module

SIZES = {"s": (3_478_933, 1_039_208_776), "m": (4_169_829, 1_244_490_352), "l": (5_758_389, 1_564_189_896)}
"""Parameters and MACs, counted by a script of its own from the tables in the authors' code."""
PUBLISHED = {"s": (3.4e6, 1.0e9), "m": (4.1e6, 1.25e9), "l": (5.7e6, 1.57e9)}
MAPS = {
    "s": [(120, 20, 20), (168, 10, 10), (136, 5, 5), (136, 3, 3), (64, 3, 3)],
    "m": [(120, 20, 20), (168, 10, 10), (136, 5, 5), (136, 3, 3), (64, 3, 3)],
    "l": [(120, 20, 20), (168, 10, 10), (112, 5, 5), (128, 3, 3), (64, 3, 3)],
}
"""Feature maps that the predictors read, from the authors' unit test."""
DEPLOYED = [(273, 12), (546, 24), (546, 24), (546, 24), (546, 24)]
"""Class and box channels of the deployed detector, as IREE's COCO benchmark lists them."""


@pytest.mark.parametrize("size", SIZES)
def test_parameters_and_macs_are_those_of_the_authors_tables(size: str) -> None:
    arch = get_arch(f"spaghettinet_edgetpu_{size}")
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build(arch).parameters())
    macs = arch.lower().macs
    assert (parameters, macs) == SIZES[size]
    published_parameters, published_macs = PUBLISHED[size]
    assert parameters == pytest.approx(published_parameters, rel=0.025)
    assert macs == pytest.approx(published_macs, rel=0.04)


@pytest.mark.parametrize("size", SIZES)
def test_maps_and_predictions_have_the_authors_shapes(size: str) -> None:
    arch = get_arch(f"spaghettinet_edgetpu_{size}")
    ops = {op.name: op for op in arch.lower().ops}
    assert [ops[f"head.class_predictors.{index}.conv_dw"].in_shapes[0] for index in range(5)] == MAPS[size]
    predicted = [
        tuple(ops[f"head.{what}_predictors.{index}.conv"].out_shape[0] for what in ("class", "box"))
        for index in range(5)
    ]
    assert predicted == DEPLOYED
    assert isinstance(arch.head, SpaghettiHead)
    assert arch.head.output_strides({level.stride: level for level in arch.feature_levels()}) == (16, 32, 64, 128, 128)


def test_the_head_lowers_to_what_it_runs() -> None:
    arch = get_arch("spaghettinet_edgetpu_s", input_size=(224, 352))
    with torch.device("meta"):
        model = build(arch).eval()
    assert from_module(model, arch.input_size).ops == arch.lower().ops


def test_boxes_grow_from_a_fifth_of_the_image() -> None:
    arch = get_arch("spaghettinet_edgetpu_s")
    assert isinstance(arch.head, SpaghettiHead)
    levels = arch.head.anchors((16, 32, 64, 128, 128), (320, 320))
    assert [len(boxes) for boxes in levels] == [3, 6, 6, 6, 6]
    assert [boxes[0][0] / 320 for boxes in levels[1:]] == pytest.approx([0.3875, 0.575, 0.7625, 0.95])
    assert 400 * 3 + (100 + 25 + 9 + 9) * 6 == 2058


def node(name: str, stride: int, *sources: str, width: int = 8) -> SpaghettiNode:
    block = DepthwiseSeparable(out_channels=width, kernel_size=1, residual=False, depthwise_norm=False)
    return SpaghettiNode(name=name, stride=stride, sources=sources, blocks=(block,))


def test_sources_are_brought_to_size_width_and_each_other() -> None:
    """A map of 40 leaves 10, 5 and 3 cells at strides 4, 8 and 16; twice 3 is cut to 5."""
    head = SpaghettiHead(nodes=(node("a", 8, "level_4", "level_8", "level_16"),), outputs=("a",), num_classes=1)
    graph = GraphBuilder((4, 40, 40))
    levels = {stride: graph.pool(f"of_{stride}", graph.input, 1, stride) for stride in (4, 8, 16)}
    head.lower(graph, levels)
    found = [(op.name, op.kind, op.kernel_size, op.stride, op.out_shape) for op in graph.ops[3:11]]
    path = "head.nodes.a."
    assert found == [
        (f"{path}edges.0.pool", "pool", (3, 3), (2, 2), (4, 5, 5)),
        (f"{path}edges.0.conv", "conv2d", (1, 1), (1, 1), (8, 5, 5)),
        (f"{path}edges.1.conv", "conv2d", (1, 1), (1, 1), (8, 5, 5)),
        (f"{path}add", "add", (1, 1), (1, 1), (8, 5, 5)),
        (f"{path}edges.2.conv", "conv2d", (1, 1), (1, 1), (8, 3, 3)),
        (f"{path}edges.2.resize", "resize", (1, 1), (1, 1), (8, 5, 5)),
        (f"{path}add_1", "add", (1, 1), (1, 1), (8, 5, 5)),
        (f"{path}act", "activation", (1, 1), (1, 1), (8, 5, 5)),
    ]


def test_a_coarser_source_is_copied_fourfold_and_cut_off() -> None:
    head = SpaghettiHead(nodes=(node("a", 8, "level_8", "level_16", width=2),), outputs=("a",), num_classes=1)
    module = head.build({8: 2, 16: 2}).eval()
    merge: Any = module.get_submodule("nodes.a")
    for edge in merge.edges:
        edge.conv.weight.data = torch.eye(2)[:, :, None, None]
    coarse = torch.arange(1.0, 10).reshape(1, 1, 3, 3).expand(1, 2, 3, 3) / 4
    merge.blocks = torch.nn.Identity()
    with torch.no_grad():
        merged = merge(torch.zeros(1, 2, 5, 5), coarse)
    expected = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :5, :5]
    torch.testing.assert_close(merged, expected, rtol=2e-5, atol=0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"node 'a' of stride 8 reads a single source, of stride 4"):
        SpaghettiHead(nodes=(node("a", 8, "level_4"),), outputs=("a",))
    for sources in (("level_16", "level_32"), ("level_8", "level_4"), ("level_4", "level_32")):
        with pytest.raises(ValueError, match=r"node 'a' of stride 8 has sources of strides .*twice that at most"):
            SpaghettiHead(nodes=(node("a", 8, *sources),), outputs=("a",))
    with pytest.raises(UnknownNameError, match="unknown source 'b'"):
        SpaghettiHead(nodes=(node("a", 8, "b"), node("b", 8, "level_8")), outputs=("a",))
    with pytest.raises(UnknownNameError, match=r"unknown output 'b'\. Known: a"):
        SpaghettiHead(nodes=(node("a", 8, "level_8"),), outputs=("b",))
    with pytest.raises(ValueError, match="node 'a' needs a name of its own"):
        SpaghettiHead(nodes=(node("a", 8, "level_8"), node("a", 8, "level_8")), outputs=("a",))
    with pytest.raises(ValueError, match="its blocks keep the map's size"):
        SpaghettiNode(name="a", stride=8, sources=("level_8",), blocks=(IBN(out_channels=8, stride=2),))
    with pytest.raises(ValueError, match=r"stride \(=6\) of node 'a' must be a power of two"):
        node("a", 6, "level_8")
    with pytest.raises(ValueError, match="needs sources"):
        node("a", 8)
    with pytest.raises(ShapeError, match="spaghetti needs the feature level of stride 64; the network has levels of"):
        get_arch("ibn_t", head=SpaghettiHead(nodes=(node("a", 64, "level_64"),), outputs=("a",))).lower()
