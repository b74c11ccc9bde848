"""Losses of detectors: by hand on small cases, and one step of training."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.detection import detection_loss, postprocessor
from accelzoo.detection.boxes import anchor_boxes, box_strides
from accelzoo.detection.geometry import levels_of
from accelzoo.detection.loss import centerness_of
from accelzoo.detection.matching import BACKGROUND, IGNORED, match
from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.retina import RetinaHead
from accelzoo.heads.ssdlite import SSDLiteHead
from accelzoo.necks import FPN, BiFPN

HEADS: tuple[DetectionHead, ...] = (
    SSDLiteHead(num_classes=2, extra_channels=(32, 32)),
    SSDLiteHead(num_classes=2, extra_channels=(32, 32), background=False),
    RetinaHead(num_classes=2, neck=BiFPN(channels=16, fusion="fast", repeats=1), tower_depth=1),
    FCOSHead(num_classes=2, neck=FPN(channels=16), tower_depth=1),
)
TARGETS: list[dict[str, torch.Tensor]] = [
    {"boxes": torch.tensor([[10.0, 12.0, 50.0, 70.0], [40.0, 8.0, 118.0, 120.0]]), "labels": torch.tensor([0, 1])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
]


def name_of(value: object) -> str:
    """Names a case of a test by its kind of head."""
    return f"{value.kind}{'' if getattr(value, 'background', True) else '_sigmoid'}" if hasattr(value, "kind") else ""


def detector(head: DetectionHead) -> Arch:
    return get_arch("ibn_t", head=head, input_size=128)


@pytest.mark.parametrize("head", HEADS, ids=name_of)
def test_one_step_reaches_every_parameter_and_lowers_the_loss(head: DetectionHead) -> None:
    arch = detector(head)
    torch.manual_seed(0)
    model = arch.build().train()
    images = torch.randn(2, 3, 128, 128)
    before = sum(detection_loss(model(images), TARGETS, arch).values())
    before.backward()  # type: ignore[union-attr]
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert bool(value.grad.isfinite().all()), name
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    with torch.no_grad():
        after = sum(detection_loss(model(images), TARGETS, arch).values())
    assert math.isfinite(after)
    assert after < before


def perfect(arch: Arch, target: dict[str, torch.Tensor], certainty: float = 12.0) -> list[tuple[torch.Tensor, ...]]:
    """Outputs of a network that is right: made by inverting the box coding by hand."""
    head, levels = arch.head, levels_of(arch)
    assert isinstance(head, DetectionHead)
    anchors, strides = anchor_boxes(levels, (128, 128)), box_strides(levels)
    objects = match(head, target["boxes"], anchors, strides)
    found = objects >= 0
    logits = torch.full((len(anchors), head.class_logits), -certainty)
    background = head.class_logits - head.num_classes
    if background:
        logits[~found, 0] = certainty
    logits[found, target["labels"][objects[found]] + background] = certainty
    boxes = target["boxes"][objects.clamp(min=0)]
    middles, sizes = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    if isinstance(head, FCOSHead):
        sides = torch.cat((middles - boxes[:, :2], boxes[:, 2:] - middles), dim=1)
        regression = sides / strides[:, None]
        near, far = torch.minimum(sides[:, :2], sides[:, 2:]), torch.maximum(sides[:, :2], sides[:, 2:])
        centerness = (near / far).clamp(1e-6).prod(1).sqrt().clamp(1e-6, 1 - 1e-6).logit()[:, None]
        parts = [logits, regression, centerness]
    else:
        moved = ((boxes[:, :2] + boxes[:, 2:]) / 2 - middles) / sizes
        grown = ((boxes[:, 2:] - boxes[:, :2]) / sizes).log()
        parts = [logits, torch.cat((moved, grown), dim=1) * torch.tensor(head.box_weights)]
    outputs, start = [], 0
    for level in levels:
        rows = [part[start : start + level.box_count] for part in parts]
        shape = len(level.boxes), level.height, level.width, -1
        outputs.append(tuple(row.reshape(*shape).permute(0, 3, 1, 2).flatten(0, 1)[None] for row in rows))
        start += level.box_count
    return outputs


@pytest.mark.parametrize("head", HEADS, ids=name_of)
def test_a_network_that_is_right_has_no_loss_and_finds_the_objects(head: DetectionHead) -> None:
    arch = detector(head)
    outputs = perfect(arch, TARGETS[0])
    losses = detection_loss(outputs, TARGETS[:1], arch)
    assert losses["boxes"] < 1e-4
    assert losses["classes"] < 1e-3
    boxes, scores, labels = postprocessor(arch, score_threshold=0.01, iou_threshold=0.9)(outputs)
    rounded = boxes[0].round().int().tolist()
    found = {(label, *box) for label, box in zip(labels[0].tolist(), rounded, strict=True)}
    wanted = {(label, *box) for box, label in zip([(10, 12, 50, 70), (40, 8, 118, 120)], (0, 1), strict=True)}
    assert found - {(BACKGROUND, 0, 0, 0, 0)} == wanted
    assert scores[0, 0] > 0.3


def test_hard_negatives_are_three_for_each_positive() -> None:
    head = SSDLiteHead(num_classes=1, extra_channels=())
    arch = detector(head)
    outputs = [tuple(torch.zeros_like(x) for x in level) for level in perfect(arch, TARGETS[0] | one_label())]
    levels = levels_of(arch)
    anchors, strides = anchor_boxes(levels, (128, 128)), box_strides(levels)
    positives = int((match(head, TARGETS[0]["boxes"], anchors, strides) >= 0).sum())
    assert positives > 0
    # all logits are equal: each of the boxes that count costs log 2, and the sum is divided by the positives
    losses = detection_loss(outputs, [TARGETS[0] | one_label()], arch)
    assert losses["classes"].item() == pytest.approx(4 * math.log(2), rel=1e-5)


def one_label() -> dict[str, torch.Tensor]:
    return {"labels": torch.tensor([0, 0])}


def test_focal_loss_of_even_odds() -> None:
    head = RetinaHead(num_classes=1, neck=FPN(channels=8))
    arch = detector(head)
    target = TARGETS[0] | one_label()
    outputs = [tuple(torch.zeros_like(x) for x in level) for level in perfect(arch, target)]
    levels = levels_of(arch)
    objects = match(head, target["boxes"], anchor_boxes(levels, (128, 128)), box_strides(levels))
    positives, negatives = int((objects >= 0).sum()), int((objects == BACKGROUND).sum())
    assert int((objects == IGNORED).sum()) > 0
    # Lin et al. 2017b, eq. 5 at p = 1/2, γ = 2, α = 1/4
    wanted = (0.25 * positives + 0.75 * negatives) * 0.25 * math.log(2) / positives
    assert detection_loss(outputs, [target], arch)["classes"].item() == pytest.approx(wanted, rel=1e-4)


def test_cells_predict_the_smallest_object_around_them_on_the_level_for_its_size() -> None:
    head = FCOSHead()
    cells = torch.tensor([[4.0, 4.0, 12.0, 12.0], [0.0, 0.0, 16.0, 16.0], [100.0, 100.0, 108.0, 108.0]])
    strides = torch.tensor([8.0, 16.0, 8.0])
    small, large = [2.0, 2.0, 14.0, 14.0], [1.0, 1.0, 15.0, 15.0]
    huge = [-92.0, -92.0, 108.0, 108.0]  # 100 pixels from the middle of the first two cells
    matched = match(head, torch.tensor([large, small]), cells, strides)
    assert matched.tolist() == [1, BACKGROUND, BACKGROUND]
    assert match(head, torch.tensor([large, huge]), cells, strides).tolist() == [0, 1, BACKGROUND]


def test_centerness_falls_from_the_middle_to_the_side() -> None:
    box = torch.tensor([[0.0, 0.0, 40.0, 20.0]]).repeat(3, 1)
    anchors = torch.tensor([[19.0, 9.0, 21.0, 11.0], [9.0, 9.0, 11.0, 11.0], [-1.0, 9.0, 1.0, 11.0]])
    # Tian et al. 2019, eq. 3: √(min/max · min/max)
    assert centerness_of(box, anchors).tolist() == pytest.approx([1.0, math.sqrt(10 / 30), 0.0])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (TARGETS[:1], "got 1 targets for 2 images"),
        ([TARGETS[0], TARGETS[0] | {"labels": torch.tensor([0, 2])}], r"labels \(=\[0, 2\]\) must lie in 0 … 1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: list[dict[str, Any]], message: str) -> None:
    arch = detector(HEADS[2])
    outputs = [tuple(x.repeat(2, 1, 1, 1) for x in level) for level in perfect(arch, TARGETS[0])]
    with pytest.raises(ValueError, match=message):
        detection_loss(outputs, targets, arch)
