"""Which detections are right: the matching of the COCO protocol, kept per detection so that images can be resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelzoo.tasks.detection.metrics import MOST_DETECTIONS, Detections, Truth

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU from which a detection is right."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMatches:
    """All detections of one class, the best first.

    Args:
        images: int64 (detections,), index of the image each is in.
        right: (thresholds, detections), whether it is matched to an object.
        ignored: (thresholds, detections), whether it is matched to a crowd region.
        objects: int64 (images,), objects of the class that are no crowd.
    """

    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]


def match_classes(truth: Truth, detections: Sequence[Detections], num_classes: int) -> list[ClassMatches]:
    """Matches detections with objects, class by class and image by image.

    Args:
        truth: The objects of each image.
        detections: What was found in each image, in the same order.
        num_classes: Labels lie below it.
    """
    return [_match_class(truth, detections, label) for label in range(num_classes)]


def overlaps(
    boxes: NDArray[np.float64], objects: NDArray[np.float64], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Shares of the union, (boxes, objects); with a crowd region, shares of the box itself."""
    if not boxes.size or not objects.size:
        return np.zeros((len(boxes), len(objects)))
    corner = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    common = (np.minimum(boxes[:, None, 2:], objects[None, :, 2:]) - corner).clip(min=0).prod(axis=2)
    area, other = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, objects))
    whole = np.where(crowd, area[:, None], area[:, None] + other - common)
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def _match_class(truth: Truth, detections: Sequence[Detections], label: int) -> ClassMatches:
    scores, images, right, ignored = [], [], [], []
    objects = np.zeros(len(detections), dtype=np.int64)
    for index, found in enumerate(detections):
        wanted = np.asarray(truth.labels[index]) == label
        crowd = np.asarray(truth.crowd[index], dtype=bool)[wanted]
        objects[index] = (~crowd).sum()
        chosen = np.flatnonzero(found.labels == label)
        chosen = chosen[np.argsort(-found.scores[chosen], kind="stable")][:MOST_DETECTIONS]
        known = np.asarray(truth.boxes[index], dtype=np.float64).reshape(-1, 4)[wanted]
        shares = overlaps(found.boxes[chosen].astype(np.float64), known, crowd)
        of_image = match_boxes(shares, crowd)
        scores.append(found.scores[chosen])
        images.append(np.full(len(chosen), index))
        right.append(of_image[0])
        ignored.append(of_image[1])
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return ClassMatches(
        images=np.concatenate(images)[order],
        right=np.concatenate(right, axis=1)[:, order],
        ignored=np.concatenate(ignored, axis=1)[:, order],
        objects=objects,
    )


def match_boxes(
    shares: NDArray[np.float64], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Gives each detection, the best first, the free object it overlaps most, else a crowd region.

    Args:
        shares: (detections, objects), what `overlaps` returns.
        crowd: (objects,); such a region takes any number of detections.

    Returns:
        Whether a detection has an object, and whether it has a crowd region, each (thresholds, detections).
    """
    right = np.zeros((len(THRESHOLDS), len(shares)), dtype=bool)
    ignored = np.zeros_like(right)
    if not crowd.size:
        return right, ignored
    free = np.broadcast_to(~crowd, (len(THRESHOLDS), len(crowd))).copy()
    for index in np.flatnonzero(shares.max(axis=1) >= THRESHOLDS[0]):
        enough = shares[index] >= THRESHOLDS[:, None]
        fitting = np.where(enough & free, shares[index], -1.0)
        # Of equal overlaps the protocol takes the last.
        best = fitting.shape[1] - 1 - fitting[:, ::-1].argmax(axis=1)
        found = fitting.max(axis=1) >= 0
        free[found, best[found]] = False
        right[:, index] = found
        ignored[:, index] = ~found & (enough & crowd).any(axis=1)
    return right, ignored
