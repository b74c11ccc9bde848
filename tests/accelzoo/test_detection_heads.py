"""Detection heads: their sizes beside published ones, their anchors beside torchvision's, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator

from accelzoo import create_model, get_arch
from accelzoo.detection.boxes import anchor_boxes
from accelzoo.detection.geometry import levels_of
from accelzoo.errors import ConfigError, ShapeError
from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.retina import RetinaHead
from accelzoo.heads.ssdlite import SSDLiteHead
from accelzoo.hwmodel.ir import GraphBuilder
from accelzoo.importer import from_module
from accelzoo.necks import FPN, BiFPN

HEADS: tuple[DetectionHead, ...] = (
    SSDLiteHead(num_classes=3, background=False, extra_channels=(32,)),
    RetinaHead(num_classes=3, neck=BiFPN(channels=16, fusion="fast"), tower_depth=1),
    FCOSHead(num_classes=3, neck=FPN(channels=16), tower_depth=0),
)
MOBILEDETS = ((96, 384), (104, 144), (144, 240), (128, 384))


def test_ssdlite_has_the_macs_and_weights_of_mobiledets() -> None:
    # Closed forms of Sandler et al. 2018, §6.2: per level a depthwise 3×3 and a 1×1 for boxes and for classes, between
    # them four levels made by 1×1, depthwise 3×3 and 1×1; 91 logits as in the MobileDets' configurations.
    for widths in MOBILEDETS:
        graph = GraphBuilder((3, 320, 320))
        levels = {
            stride: graph.conv2d(f"x{stride}", graph.input, width, 1, stride)
            for stride, width in zip((16, 32), widths, strict=True)
        }
        before = graph.graph()
        SSDLiteHead().lower(graph, levels)
        macs = weights = parameters = 0
        sides, channels = [20, 10, 5, 3, 2, 1], [*widths, 512, 256, 256, 128]
        for level in range(2, 6):
            entering, width, half = channels[level - 1], channels[level], channels[level] // 2
            macs += entering * half * sides[level - 1] ** 2 + (9 * half + half * width) * sides[level] ** 2
            weights += entering * half + 9 * half + half * width
            parameters += 2 * half + width
        for side, width, boxes in zip(sides, channels, (3, 6, 6, 6, 6, 6), strict=True):
            for values in (4, 91):
                macs += (9 * width + width * boxes * values) * side**2
                weights += 9 * width + width * boxes * values
                parameters += width + boxes * values
        after = graph.graph()
        assert after.macs - before.macs == macs
        assert after.weight_count - before.weight_count == weights
        biases = sum(op.out_shape[0] for op in after.ops[len(before.ops) :] if op.bias)
        assert biases == parameters


def test_names_reach_the_head_and_its_neck() -> None:
    arch = get_arch("ibn_t", head="ssdlite", num_classes=2, input_size=(3, 320, 320))
    assert arch.head == SSDLiteHead(num_classes=2)
    neck = {"kind": "bifpn", "channels": 24, "repeats": 1}
    arch = get_arch("ibn_t", head={"kind": "retina", "neck": neck}, num_classes=4, tower_depth=1)
    assert arch.head == RetinaHead(num_classes=4, neck=BiFPN(channels=24, repeats=1), tower_depth=1)
    assert get_arch("ibn_t", head="fcos", neck=neck).head == FCOSHead(neck=BiFPN(channels=24, repeats=1))
    with pytest.raises(ConfigError, match="did you mean 'bifpn'"):
        get_arch("ibn_t", head={"kind": "retina", "neck": {"kind": "bifpm"}})


@pytest.mark.parametrize(
    "overrides",
    [
        {"head": "ssdlite", "input_size": (3, 320, 320)},
        {"head": "ssdlite", "output_stride": 16, "input_size": 320},
        {"head": {"kind": "retina", "neck": {"kind": "bifpn", "channels": 16}}, "width_multiplier": 0.5},
        {"head": "fcos", "output_stride": 16, "input_size": (160, 224), "neck": {"kind": "fpn", "channels": 16}},
    ],
)
def test_created_models_run_what_is_lowered(overrides: dict[str, Any]) -> None:
    arch = get_arch("ibn_t", num_classes=2, **overrides)
    model = create_model("ibn_t", num_classes=2, **overrides).eval()
    assert from_module(model, arch.input_size).ops == arch.lower().ops
    with torch.no_grad():
        outputs = model(torch.zeros(1, *arch.input_size))
    per_box = (arch.head.class_logits, 4, 1)  # type: ignore[attr-defined]
    for level, maps in zip(levels_of(arch), outputs, strict=True):
        shapes = [tuple(x.shape[1:]) for x in maps]
        wanted = [(len(level.boxes) * values, level.height, level.width) for values in per_box[: len(maps)]]
        assert shapes == wanted


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_class_logits_begin_at_the_prior(head: DetectionHead) -> None:
    torch.manual_seed(0)
    model = get_arch("ibn_t", head=head, input_size=128).build().eval()
    with torch.no_grad():
        outputs = model(torch.randn(1, 3, 128, 128))
    logits = torch.cat([level[0].flatten() for level in outputs])
    assert abs(logits.mean().item() + math.log(99)) < 0.5  # probability 0.01 (Lin et al. 2017b, §4.1)


def test_a_background_has_no_prior() -> None:
    model = get_arch("ibn_t", head="ssdlite").build()
    biases = [model.get_parameter(f"head.class_predictors.{level}.conv.bias") for level in range(6)]
    assert not any(bool(bias.any()) for bias in biases)


def test_ssd_anchors_are_torchvisions() -> None:
    head = SSDLiteHead(reduce_lowest_level=False)
    peer = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95, clip=False)
    arch = get_arch("ibn_t", head=head, input_size=(3, 320, 352))
    levels = levels_of(arch)
    centred = peer._grid_default_boxes([[level.height, level.width] for level in levels], [320, 352])
    size = torch.tensor([352.0, 320.0])
    middles, sides = centred[:, :2] * size, centred[:, 2:] * size
    wanted = torch.cat((middles - sides / 2, middles + sides / 2), dim=1)
    # torchvision's order at a cell: square, larger square, 2:1, 1:2, 3:1, 1:3; all boxes of a cell together
    parts = anchor_boxes(levels, (320, 352)).split([level.box_count for level in levels])
    made = torch.cat([part.reshape(6, -1, 4)[[0, 5, 1, 2, 3, 4]].transpose(0, 1).reshape(-1, 4) for part in parts])
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-3)


def test_the_lowest_level_of_mobiledets_has_three_boxes() -> None:
    levels = levels_of(get_arch("ibn_t", head="ssdlite", input_size=320))
    assert [len(level.boxes) for level in levels] == [3, 6, 6, 6, 6, 6]
    assert sum(level.box_count for level in levels) == 3 * 20**2 + 6 * (10**2 + 5**2 + 3**2 + 2**2 + 1)
    wanted = ((32.0, 32.0), (64 * 2**0.5, 64 / 2**0.5), (64 / 2**0.5, 64 * 2**0.5))
    assert all(map(math.isclose, sum(levels[0].boxes, ()), sum(wanted, ())))


def test_retina_anchors_are_torchvisions_but_for_its_rounding() -> None:
    strides = (8, 16, 32)
    made = RetinaHead().anchors(strides, (320, 320))
    for stride, boxes in zip(strides, made, strict=True):
        scales = [4 * stride * 2 ** (step / 3) for step in range(3)]
        # torchvision's ratios are height / width; it rounds corners to whole pixels
        peer = AnchorGenerator.generate_anchors(None, scales, [2.0, 1.0, 0.5])
        sizes = sorted((peer[:, 2:] - peer[:, :2]).tolist())
        assert all(
            abs(ours - theirs) <= 1.0
            for mine, other in zip(sorted(boxes), sizes, strict=True)
            for ours, theirs in zip(mine, other, strict=True)
        )


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (SSDLiteHead, {"num_classes": 0}, r"num_classes \(=0\) must be at least 1"),
        (RetinaHead, {"num_classes": -3}, r"num_classes \(=-3\) must be at least 1"),
        (FCOSHead, {"num_classes": 0}, r"num_classes \(=0\) must be at least 1"),
        (SSDLiteHead, {"extra_channels": (64, 1)}, r"extra_channels \(=\[64, 1\]\)"),
        (SSDLiteHead, {"min_scale": 0.9, "max_scale": 0.5}, r"min_scale \(=0.9\) and max_scale \(=0.5\)"),
        (SSDLiteHead, {"aspect_ratios": ()}, "aspect_ratios"),
        (SSDLiteHead, {"feature_levels": (16, 48)}, r"feature_levels \(=\[16, 48\]\)"),
        (RetinaHead, {"scales_per_octave": 0}, r"scales_per_octave \(=0\)"),
        (RetinaHead, {"aspect_ratios": (1.0, -1.0)}, "aspect_ratios"),
        (FCOSHead, {"tower_depth": -1}, r"tower_depth \(=-1\)"),
        (FCOSHead, {"activation": "sigmid"}, "did you mean 'sigmoid'"),
    ],
)
def test_heads_refuse_values_out_of_range(make: type[DetectionHead], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**fields)


def test_unknown_levels_and_levels_below_one_cell_are_named() -> None:
    with pytest.raises(ShapeError, match="ssdlite needs the feature level of stride 64; the network has levels of"):
        get_arch("ibn_t", head="ssdlite", feature_levels=(32, 64)).lower()
    with pytest.raises(ShapeError, match=r"fpn: level 5 \(stride 128\).* an input of 64x48 .*stride 64"):
        get_arch("ibn_t", head="retina", input_size=(64, 48)).lower()
    with pytest.raises(ShapeError, match=r"ssdlite: level 6 \(stride 512\) .*an input of 224x224 .*stride 256"):
        get_arch("ibn_t", head="ssdlite").lower()
