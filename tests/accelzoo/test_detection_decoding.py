"""Decoding: beside torchvision's box coders and suppression, exported by itself, and priced apart from the network."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.detection._utils import BoxCoder, BoxLinearCoder
from torchvision.ops import batched_nms, clip_boxes_to_image

from accelzoo import estimate, get_arch
from accelzoo.arch import Arch
from accelzoo.detection import postprocessing_graph, postprocessor
from accelzoo.detection.boxes import anchor_boxes, box_strides, decode_deltas, decode_distances, flat
from accelzoo.detection.geometry import levels_of
from accelzoo.hwmodel import list_targets
from tests.accelzoo.fresh import fresh_python

HEADS: dict[str, dict[str, Any]] = {
    "ssdlite": {"head": "ssdlite", "extra_channels": (32, 32)},
    "ssdlite without background": {"head": "ssdlite", "extra_channels": (32, 32), "background": False},
    "retina": {"head": "retina"},
    "fcos": {"head": "fcos"},
}
IMAGE = (160, 128)


def detector(name: str, num_classes: int = 3) -> Arch:
    return get_arch("ibn_t", num_classes=num_classes, input_size=IMAGE, **HEADS[name])


def raw_outputs(arch: Arch, batch: int = 2, seed: int = 0) -> list[tuple[torch.Tensor, ...]]:
    """Random maps of the shapes that the network gives."""
    drawn = torch.Generator().manual_seed(seed)
    values = [arch.head.class_logits, 4] + [1] * (arch.head.kind == "fcos")  # type: ignore[attr-defined]
    return [
        tuple(
            torch.randn(batch, len(level.boxes) * count, level.height, level.width, generator=drawn) for count in values
        )
        for level in levels_of(arch)
    ]


def random_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    corner, size = torch.rand(2, count, 2, generator=generator) * 100
    return torch.cat((corner, corner + size + 1), dim=1)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_deltas_decode_as_torchvisions(weights: tuple[float, float, float, float]) -> None:
    drawn = torch.Generator().manual_seed(3)
    anchors, deltas = random_boxes(50, drawn), 3 * torch.randn(50, 4, generator=drawn)
    deltas[0, 2:] = 100.0  # beyond the limit of growth
    wanted = BoxCoder(weights).decode_single(deltas, anchors)
    torch.testing.assert_close(decode_deltas(deltas, anchors, weights), wanted)


def test_distances_decode_as_torchvisions() -> None:
    drawn = torch.Generator().manual_seed(4)
    levels = levels_of(detector("fcos"))
    anchors, strides = anchor_boxes(levels, IMAGE), box_strides(levels)
    distances = torch.randn(len(anchors), 4, generator=drawn)
    wanted = BoxLinearCoder(normalize_by_size=True).decode(distances.relu(), anchors)
    torch.testing.assert_close(decode_distances(distances, anchors, strides), wanted)


def test_maps_are_joined_in_the_order_of_the_anchors() -> None:
    levels = levels_of(detector("retina"))
    anchors = anchor_boxes(levels, IMAGE)
    maps = []
    for level, part in zip(levels, anchors.split([level.box_count for level in levels]), strict=True):
        # channels run over the boxes of a cell first, then over the four numbers of a box
        cells = [part.reshape(-1, level.height, level.width, 4)[box] for box in range(len(level.boxes))]
        maps.append(torch.cat([cell.permute(2, 0, 1) for cell in cells])[None])
    assert torch.equal(flat(maps, 4)[0].T, anchors)
    first = anchors[: levels[0].height * levels[0].width]  # the first box of every cell of the finest level, row by row
    middles = ((first[:, :2] + first[:, 2:]) / 2).tolist()
    assert middles[0] == pytest.approx([4.0, 4.0])
    assert middles[1] == pytest.approx([12.0, 4.0])
    assert middles[levels[0].width] == pytest.approx([4.0, 12.0])


@pytest.mark.parametrize("name", HEADS)
def test_decoding_is_scores_then_boxes_then_suppression_by_class(name: str) -> None:
    arch = detector(name)
    outputs = raw_outputs(arch)
    boxes, scores, labels = postprocessor(arch, score_threshold=0.4, iou_threshold=0.3, max_detections=990)(outputs)
    for image in range(2):
        wanted = slowly(arch, [tuple(x[image] for x in level) for level in outputs], 0.4, 0.3)
        count = len(wanted[0])
        assert 0 < count < 990
        torch.testing.assert_close(boxes[image, :count], wanted[0], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(scores[image, :count], wanted[1])
        assert torch.equal(labels[image, :count], wanted[2])
        assert not bool(boxes[image, count:].any() or scores[image, count:].any())
        assert bool((labels[image, count:] == -1).all())


def slowly(
    arch: Arch, level_outputs: list[tuple[torch.Tensor, ...]], threshold: float, overlap: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every box of one image by torchvision's coder, the 1000 best, torchvision's suppression by class."""
    levels = levels_of(arch)
    rows = []
    for level, maps in zip(levels, level_outputs, strict=True):
        parts = [x.reshape(len(level.boxes), -1, level.height, level.width) for x in maps]
        parts = [part.permute(0, 2, 3, 1) for part in parts]
        rows.append([part.reshape(level.box_count, -1) for part in parts])
    logits, regression, *centerness = (torch.cat(column) for column in zip(*rows, strict=True))
    anchors = anchor_boxes(levels, IMAGE)
    if arch.head.kind == "fcos":
        scores = logits.sigmoid() * centerness[0].sigmoid()
        boxes = BoxLinearCoder().decode(regression.relu(), anchors)
    else:
        weights = (10.0, 10.0, 5.0, 5.0) if arch.head.kind == "ssdlite" else (1.0, 1.0, 1.0, 1.0)
        scores = logits.softmax(1)[:, 1:] if logits.shape[1] > 3 else logits.sigmoid()
        boxes = BoxCoder(weights).decode_single(regression, anchors)
    boxes = clip_boxes_to_image(boxes, IMAGE).repeat_interleave(3, dim=0)
    labels = torch.arange(3).repeat(len(anchors))
    best = scores.flatten().argsort(descending=True)[:1000]
    best = best[scores.flatten()[best] > threshold]
    kept = best[batched_nms(boxes[best], scores.flatten()[best], labels[best], overlap)]
    return boxes[kept], scores.flatten()[kept], labels[kept]


def test_nothing_found_is_rows_of_zeros() -> None:
    arch = detector("retina")
    boxes, scores, labels = postprocessor(arch, score_threshold=1.0, max_detections=7)(raw_outputs(arch))
    assert boxes.shape == (2, 7, 4)
    assert not bool(boxes.any() or scores.any())
    assert labels.tolist() == [[-1] * 7] * 2


# torchvision's own account of suppression calls a function of torch's that is on its way out
@pytest.mark.filterwarnings("ignore:.*create_unbacked_symint.*:FutureWarning")
@pytest.mark.parametrize("name", HEADS)
def test_the_decoder_exports_by_itself(name: str) -> None:
    arch = detector(name)
    decoder = postprocessor(arch, score_threshold=0.5, max_detections=20)
    exported = torch.export.export(decoder, (raw_outputs(arch),)).module()
    # Other images than the one it was exported with, the last of which holds nothing.
    others = [raw_outputs(arch, seed=1), raw_outputs(arch, seed=2)]
    for outputs in (*others, [tuple(values - 1e3 for values in level) for level in others[0]]):
        for ours, theirs in zip(decoder(outputs), exported(outputs), strict=True):
            assert torch.equal(ours, theirs)


def test_the_decoder_holds_no_weights() -> None:
    decoder = postprocessor(detector("retina"))
    assert not decoder.state_dict()
    assert not [*decoder.parameters()]


class Counting(TorchDispatchMode):
    """Counts the operators that torch runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.elements: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.calls[name] += 1
        self.elements[name] += getattr(result, "numel", lambda: 0)()
        return result


@pytest.mark.parametrize("name", HEADS)
def test_the_graph_is_what_the_decoder_runs(name: str) -> None:
    arch = detector(name)
    graph = postprocessing_graph(arch)
    with Counting() as run:
        postprocessor(arch, score_threshold=0.0)(raw_outputs(arch, batch=1))
    named = {"sigmoid": "sigmoid", "softmax": "_softmax", "relu": "relu", "aten.exp": "exp", "aten.topk": "topk"}
    named |= {"max": "amax"}
    named["torchvision.nms"] = "nms"
    for ours, theirs in named.items():
        ops = [op for op in graph.ops if ours in (op.function, op.kind)]
        if ours == "aten.exp":  # torch runs it for widths and heights one by one
            assert 2 * len(ops) == run.calls[theirs]
        else:
            assert len(ops) == run.calls[theirs]
        if ours in ("sigmoid", "softmax", "aten.exp", "relu"):
            assert sum(math.prod(op.out_shape) for op in ops) == run.elements[theirs]
    boxes = sum(level.box_count for level in levels_of(arch))
    assert [math.prod(op.out_shape) for op in graph.ops if op.name in ("logits", "regression")] == [
        boxes * arch.head.class_logits,  # type: ignore[attr-defined]
        boxes * 4,
    ]
    copied = sum(math.prod(op.out_shape) for op in graph.ops if op.name in ("logits", "regression", "centers"))
    assert graph.input_shape == (copied, 1, 1)


@pytest.mark.parametrize("name", HEADS)
def test_every_target_prices_arithmetic_and_names_the_rest(name: str) -> None:
    graph = postprocessing_graph(detector(name))
    for target in list_targets():
        cost = estimate(graph, target)
        assert cost.latency_s > 0
        unpriced = {label.split()[0] for label in cost.unpriced}
        assert {"best", "nms", "chosen", "clip"} <= unpriced
        assert not any(row.bound == "unpriced" for row in cost.by_op if row.kind in ("add", "mul", "concat"))


def test_only_candidates_get_a_score_for_every_class() -> None:
    graph = postprocessing_graph(detector("retina", 90), max_candidates=100)
    shapes = {op.name: op.out_shape for op in graph.ops}
    boxes = sum(level.box_count for level in levels_of(detector("retina", 90)))
    assert shapes["highest"] == (boxes, 1, 1)
    assert shapes["scores"] == (100, 90, 1)
    assert shapes["best"] == (100, 2, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"score_threshold": 1.5}, r"score_threshold \(=1.5\)"),
        ({"iou_threshold": -0.1}, r"iou_threshold \(=-0.1\)"),
        ({"max_detections": 0}, r"max_detections \(=0\)"),
        ({"max_candidates": -1}, r"max_candidates \(=-1\)"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        postprocessor(detector("retina"), **values)


def test_a_classifier_has_nothing_to_decode() -> None:
    for make in (postprocessor, postprocessing_graph):
        with pytest.raises(TypeError, match="'classification' head predicts no boxes; take one of fcos, retina"):
            make(get_arch("ibn_t"))


def test_the_graph_needs_no_torch() -> None:
    code = (
        "import sys, accelzoo; from accelzoo.detection import postprocessing_graph; "
        "postprocessing_graph(accelzoo.get_arch('ibn_t', head='fcos')); print('torch' in sys.modules)"
    )
    assert fresh_python(code) == "False"
