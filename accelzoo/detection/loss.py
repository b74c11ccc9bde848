"""What detectors are trained on: losses of classes, boxes and centerness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from accelzoo.arch import Arch
from accelzoo.detection.boxes import anchor_boxes, box_strides, decode_deltas, decode_distances, flat
from accelzoo.detection.geometry import detection_head, levels_of
from accelzoo.detection.matching import BACKGROUND, IGNORED, ignore, match
from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead

NEGATIVES_PER_POSITIVE = 3
"""Boxes without an object that count, the worst first, for each with one (Liu et al. 2016, §2.2)."""
Target = Mapping[str, torch.Tensor]


class _Matched(NamedTuple):
    """What the boxes of a batch are trained towards, and those among them that have an object."""

    objects: torch.Tensor  # (batch, boxes) index of the object, or below 0
    classes: torch.Tensor  # (batch, boxes) label, −1 without an object
    boxes: torch.Tensor  # (positives, 4)

    @property
    def positive(self) -> torch.Tensor:
        """Which boxes have an object, `(batch, boxes)`."""
        return self.objects >= 0


def detection_loss(
    outputs: Sequence[tuple[torch.Tensor, ...]], targets: Sequence[Target], arch: Arch
) -> dict[str, torch.Tensor]:
    """Returns the losses of a batch, to be added up.

    `classes` is the focal loss (Lin et al. 2017b, §3) or, with a logit for the background, cross-entropy with hard
    negatives (Liu et al. 2016, §2.2); `boxes` is 1 − generalised IoU (Rezatofighi et al. 2019) of decoded boxes;
    `centerness`, of FCOS, is binary cross-entropy (Tian et al. 2019, §3.3). Each is a sum divided by the number of
    boxes that have an object, at least 1.

    Args:
        outputs: What the network returns.
        targets: Per image, `boxes` `(objects, 4)` as left, top, right, bottom in pixels, right of left and below top,
            and `labels` `(objects,)` from 0 on; where there are some, also `ignored` `(regions, 4)`: boxes within one
            that have no object are not taught to be background.
        arch: The detector.

    Raises:
        TypeError: If the architecture is no detector.
        ValueError: If there is not one target per image, or a label is out of range.
    """
    head = detection_head(arch)
    logits = flat([level[0] for level in outputs], head.class_logits).transpose(1, 2).float()
    regression = flat([level[1] for level in outputs], 4).transpose(1, 2).float()
    if len(targets) != len(logits):
        raise ValueError(f"got {len(targets)} targets for {len(logits)} images")
    anchors, strides = (values.to(logits.device) for values in _anchors_of(arch))
    matched = _matched(head, targets, anchors, strides)
    positive = matched.positive
    count = positive.sum().clamp(min=1)
    anchors, strides = anchors.expand(len(logits), -1, -1)[positive], strides.expand(len(logits), -1)[positive]
    with_background = head.class_logits > head.num_classes
    losses = {"classes": (_hard_negatives if with_background else _focal)(logits, matched) / count}
    if isinstance(head, FCOSHead):
        decoded = decode_distances(regression[positive], anchors, strides)
        centerness = flat([level[2] for level in outputs], 1).float()[:, 0][positive]
        wanted = centerness_of(matched.boxes, anchors)
        losses["centerness"] = F.binary_cross_entropy_with_logits(centerness, wanted, reduction="sum") / count
    else:
        decoded = decode_deltas(regression[positive], anchors, head.box_weights)
    losses["boxes"] = generalized_box_iou_loss(decoded, matched.boxes, reduction="sum") / count
    return losses


def centerness_of(boxes: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """How near the middles of anchors are to those of boxes, from 0 at a side to 1 (Tian et al. 2019, eq. 3).

    Args:
        boxes: `(boxes, 4)`, each around the middle of its anchor.
        anchors: `(boxes, 4)`.
    """
    middles = (anchors[:, :2] + anchors[:, 2:]) / 2
    before, behind = middles - boxes[:, :2], boxes[:, 2:] - middles
    return (torch.minimum(before, behind) / torch.maximum(before, behind)).prod(-1).clamp(min=0).sqrt()


@lru_cache(maxsize=16)
def _anchors_of(arch: Arch) -> tuple[torch.Tensor, torch.Tensor]:
    levels = levels_of(arch)
    return anchor_boxes(levels, arch.input_size[1:]), box_strides(levels)


def _matched(
    head: DetectionHead, targets: Sequence[Target], anchors: torch.Tensor, strides: torch.Tensor
) -> _Matched:
    objects, classes, boxes = [], [], []
    for target in targets:
        labels = target["labels"].to(anchors.device)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < head.num_classes:
            raise ValueError(f"labels (={labels.tolist()}) must lie in 0 … {head.num_classes - 1}")
        known = target["boxes"].to(anchors)
        index = match(head, known, anchors, strides)
        if "ignored" in target:
            index = ignore(index, target["ignored"].to(anchors), anchors)
        found = index >= 0
        objects.append(index)
        classes.append(torch.full_like(index, BACKGROUND).masked_scatter(found, labels.to(index)[index[found]]))
        boxes.append(known[index[found]])
    return _Matched(torch.stack(objects), torch.stack(classes), torch.cat(boxes))


def _focal(logits: torch.Tensor, matched: _Matched) -> torch.Tensor:
    wanted = torch.zeros_like(logits)
    wanted[matched.positive] = F.one_hot(matched.classes[matched.positive], logits.shape[-1]).to(logits)
    counts = matched.objects != IGNORED
    loss: torch.Tensor = sigmoid_focal_loss(logits[counts], wanted[counts], reduction="sum")
    return loss


def _hard_negatives(logits: torch.Tensor, matched: _Matched) -> torch.Tensor:
    """Cross-entropy of the boxes with an object and of the worst others; the background is class 0."""
    loss = F.cross_entropy(logits.transpose(1, 2), matched.classes + 1, reduction="none")
    positive = matched.positive
    background = matched.objects == BACKGROUND
    others = loss.detach().masked_fill(~background, -torch.inf)
    place = others.argsort(dim=1, descending=True).argsort(dim=1)
    hard = (place < NEGATIVES_PER_POSITIVE * positive.sum(dim=1, keepdim=True)) & background
    return loss[positive | hard].sum()
