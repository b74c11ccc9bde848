"""Average precision of detections by the COCO protocol, with faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.hwmodel.oracles.protocol import import_tool

MOST_DETECTIONS = 100
"""Detections of one class that count per image, the best first."""


class Detections(NamedTuple):
    """What a detector finds in one image.

    `boxes` are float32 (n, 4), left, top, right and bottom in pixels of the image; `scores` float32 (n,), 0 … 1;
    `labels` int64 (n,), from 0 on.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


class Truth(Protocol):
    """Objects per image: a `DetectionSplit` is one."""

    @property
    def boxes(self) -> Sequence[NDArray[np.float32]]:
        """Per image, (objects, 4) as left, top, right, bottom in pixels."""
        ...

    @property
    def labels(self) -> Sequence[NDArray[np.int64]]:
        """Per image, (objects,), from 0 on."""
        ...

    @property
    def crowd(self) -> Sequence[NDArray[np.bool_]]:
        """Per image, (objects,): regions in which detections count neither for nor against the detector."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionMetrics:
    """Average precision and recall, 0 … 1; None where no object belongs to the figure.

    Sizes are areas of boxes: small below 32² pixels, large above 96² (Lin et al. 2014; COCO's own annotations count
    the pixels of an object's mask instead).

    Args:
        ap: Mean over the IoU thresholds 0.5, 0.55 … 0.95 and the classes.
        ap50: At IoU 0.5.
        ap75: At IoU 0.75.
        ap_small: `ap` of small objects.
        ap_medium: `ap` of medium objects.
        ap_large: `ap` of large objects.
        ar100: Recall with at most 100 detections per image and class, mean over the same thresholds.
        per_class_ap50: `ap50` of each class.
        images: How many images were scored.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar100: float | None
    per_class_ap50: tuple[float | None, ...]
    images: int


def average_precision(truth: Truth, detections: Sequence[Detections], num_classes: int) -> DetectionMetrics:
    """Scores detections as COCO does (Lin et al. 2014; 101 recall points, crowd regions ignored).

    Args:
        truth: The objects of each image.
        detections: What was found in each image, in the same order.
        num_classes: Labels lie below it.

    Raises:
        DataError: If the images do not match, or a label is out of range.
        MissingToolError: If the extra `det` is not installed.
    """
    check_detections(truth, detections, num_classes)
    evaluator = _evaluator(truth, detections, num_classes)
    evaluator.evaluate()
    evaluator.accumulate()
    precision = _shaped(evaluator, "precision")  # (thresholds, recalls, classes, areas)
    recall = _shaped(evaluator, "recall")  # (thresholds, classes, areas)
    return DetectionMetrics(
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[0, ..., 0]),
        ap75=_mean(precision[5, ..., 0]),
        ap_small=_mean(precision[..., 1]),
        ap_medium=_mean(precision[..., 2]),
        ap_large=_mean(precision[..., 3]),
        ar100=_mean(recall[..., 0]),
        per_class_ap50=tuple([_mean(precision[0, :, label, 0]) for label in range(num_classes)]),
        images=len(detections),
    )


def check_detections(truth: Truth, detections: Sequence[Detections], num_classes: int) -> None:
    """Refuses detections that do not belong to the truth.

    Raises:
        DataError: If there are other numbers of images, none at all, or a label out of range.
    """
    if not len(detections) or len(truth.boxes) != len(detections):
        raise DataError(f"got detections of {len(detections)} images for {len(truth.boxes)} annotated ones")
    for what, labels in (("annotated", truth.labels), ("found", [found.labels for found in detections])):
        for index, values in enumerate(labels):
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
                raise DataError(
                    f"image {index}: {what} labels (={sorted(set(values.tolist()))}) must lie in 0 … {num_classes - 1}"
                )


def _evaluator(truth: Truth, detections: Sequence[Detections], num_classes: int) -> Any:
    """The library's evaluator over both, told to say nothing."""
    tool = import_tool("faster_coco_eval", "det")
    objects = [
        {"image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
        for image, boxes in enumerate(truth.boxes)
        for box, label, crowd in zip(_sides(boxes), truth.labels[image], truth.crowd[image], strict=True)
    ]
    found = [
        {"image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "score": float(score)}
        for image, each in enumerate(detections)
        for box, label, score in zip(_sides(each.boxes), each.labels, each.scores, strict=True)
    ]
    known, guessed = (
        tool.COCO(
            {
                "images": [{"id": image} for image in range(len(detections))],
                "categories": [{"id": label} for label in range(num_classes)],
                "annotations": [{"id": number, **value} for number, value in enumerate(values, 1)],  # 0: no match
            },
            print_function=_say_nothing,
        )
        for values in (objects, found)
    )
    evaluator = tool.COCOeval_faster(known, guessed, iouType="bbox", print_function=_say_nothing)
    evaluator.params.maxDets = [MOST_DETECTIONS]
    return evaluator


def _sides(boxes: NDArray[np.float32]) -> list[list[float]]:
    """Boxes as left, top, width and height."""
    exact = boxes.reshape(-1, 4).astype(np.float64)
    sides: list[list[float]] = np.concatenate((exact[:, :2], exact[:, 2:] - exact[:, :2]), axis=1).tolist()
    return sides


def _shaped(evaluator: Any, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.asarray(evaluator.eval[name], dtype=np.float64)
    return values[..., -1]


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is defined: the protocol marks with −1 what no object belongs to."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else None


def _say_nothing(*_: object) -> None:
    pass
