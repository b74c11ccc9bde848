"""Which object each predicted box is trained towards."""

from __future__ import annotations

import torch
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.ops import box_area, box_iou

from accelzoo.heads._detection import DetectionHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.ssdlite import SSDLiteHead

BACKGROUND = -1
IGNORED = -2
"""What a box is matched to that overlaps an object too much for background and too little for the object, or that lies
in a region to ignore."""
LEAST_INSIDE = 0.5
"""Share of a box's area within a region to ignore from which on it is no example of the background."""
CENTRE_RADIUS = 1.5
"""Strides between a cell and the middle of an object that it may predict (the authors' later rule)."""
LARGEST_DISTANCE = 8.0
"""Strides up to which a level predicts distances: 64 pixels at stride 8, 128 at 16 … (Tian et al. 2019, §3.2)."""


def match(
    head: DetectionHead, boxes: torch.Tensor, anchors: torch.Tensor, strides: torch.Tensor
) -> torch.Tensor:
    """Returns the object of each anchor, `BACKGROUND` or `IGNORED`, `(anchors,)`.

    SSD takes objects that an anchor overlaps by half and more, and each object's best anchor (Liu et al. 2016, §2.2);
    RetinaNet ignores overlaps of 0.4 to 0.5 (Lin et al. 2017b, §4); FCOS goes by position and size.

    Args:
        head: Which of the rules.
        boxes: The image's objects, `(objects, 4)`.
        anchors: `(anchors, 4)`.
        strides: Those of the anchors' levels, `(anchors,)`.
    """
    if not len(boxes):
        return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    if isinstance(head, FCOSHead):
        return _match_cells(boxes, anchors, strides)
    matcher = SSDMatcher(0.5) if isinstance(head, SSDLiteHead) else Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched: torch.Tensor = matcher(box_iou(boxes, anchors))
    return matched


def ignore(matched: torch.Tensor, regions: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Returns the matches with `IGNORED` for background that lies in a region to ignore.

    The regions are COCO's crowds, VOC's difficult objects, and objects of which augmentation has left too little. A box
    counts as within one from half of its area on; the measure is that of COCO's evaluation, where the intersection
    with a crowd is divided by the area of the detection alone.

    Args:
        matched: What `match` returned, `(anchors,)`; boxes with an object keep it.
        regions: `(regions, 4)`.
        anchors: `(anchors, 4)`.
    """
    if not len(regions):
        return matched
    shared = (
        torch.minimum(anchors[:, None, 2:], regions[None, :, 2:])
        - torch.maximum(anchors[:, None, :2], regions[None, :, :2])
    ).clamp(min=0)
    inside = (shared.prod(-1) / box_area(anchors)[:, None]).amax(1) >= LEAST_INSIDE
    return matched.masked_fill(inside & (matched == BACKGROUND), IGNORED)


def _match_cells(boxes: torch.Tensor, anchors: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Cells inside of an object, near its middle, of the level for its size; of several, the smallest object."""
    middles = (anchors[:, :2] + anchors[:, 2:]) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = (middles[:, None] - centres[None]).abs().amax(-1) < CENTRE_RADIUS * strides[:, None]
    sides = torch.cat((middles[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - middles[:, None]), dim=-1)
    farthest = sides.amax(-1)
    least, most = strides * LARGEST_DISTANCE / 2, strides * LARGEST_DISTANCE
    least = least.where(strides > strides.min(), 0.0)
    most = most.where(strides < strides.max(), torch.inf)
    fits = near & (sides.amin(-1) > 0) & (farthest >= least[:, None]) & (farthest < most[:, None])
    areas = box_area(boxes)[None].where(fits, torch.inf)
    smallest, matched = areas.min(dim=1)
    return matched.where(smallest.isfinite(), BACKGROUND)
