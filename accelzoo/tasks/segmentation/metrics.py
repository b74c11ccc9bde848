"""What a segmentation network scores: IoU per class and its mean, pixel accuracy, and an interval over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from accelzoo.draw import generator
from accelzoo.errors import DataError
from accelzoo.hwmodel.oracles.protocol import import_tool
from accelzoo.tasks.segmentation.masks import IGNORE

_BOOTSTRAP_STREAM = 0xB007


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationMetrics:
    """What a network scores on a split.

    Args:
        mean_iou: Mean of `class_iou` over the classes that the masks show.
        class_iou: Intersection over union of each class, 0 … 1, pixels of all images together; None for a class that
            no mask shows: it is left out of the mean, though pixels wrongly given to it harm the classes they are of.
        pixel_accuracy: Share of labelled pixels with the right class.
        images: How many.
    """

    mean_iou: float
    class_iou: tuple[float | None, ...]
    pixel_accuracy: float
    images: int


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> NDArray[np.int64]:
    """Counts pixels by true class (rows) and predicted class (columns), int64 (classes, classes).

    Args:
        predicted: int64, any shape, classes.
        labels: uint8 or int64 of the same shape; `IGNORE` (255) counts for nothing.
        classes: How many.

    Raises:
        MissingToolError: If the extra `seg` is not installed.
    """
    tool = import_tool("torchmetrics.functional.classification", "seg")
    counts: Tensor = tool.multiclass_confusion_matrix(
        predicted, labels.long(), num_classes=classes, ignore_index=IGNORE, validate_args=False
    )
    return counts.cpu().numpy().astype(np.int64)


def measure(matrices: NDArray[np.int64]) -> SegmentationMetrics:
    """Returns the metrics of confusion matrices, int64 (images, classes, classes).

    Raises:
        DataError: If no pixel is labelled.
    """
    total = matrices.sum(0)
    if not total.any():
        raise DataError("no pixel is labelled: nothing to score")
    right, truth, predicted = np.diag(total), total.sum(1), total.sum(0)
    iou = _class_iou(right, truth, predicted)
    return SegmentationMetrics(
        mean_iou=float(np.nanmean(iou)),
        class_iou=tuple(None if np.isnan(value) else float(value) for value in iou),
        pixel_accuracy=float(right.sum() / total.sum()),
        images=len(matrices),
    )


def mean_iou_interval(matrices: NDArray[np.int64], *, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of the mean IoU by resampling images: percentiles (Efron & Tibshirani 1993, §13.3).

    In each draw the mean is over the classes that the drawn images' masks show.

    Args:
        matrices: int64 (images, classes, classes), a confusion matrix per image.
        draws: How often to draw as many images as there are, with replacement.
        seed: Of the draws.
    """
    means = resampled_mean_iou(matrices, resample_counts(len(matrices), draws, seed))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def resample_counts(images: int, draws: int, seed: int) -> NDArray[np.int64]:
    """Returns how often each image is drawn in each draw, int64 (draws, images)."""
    words = generator(seed, _BOOTSTRAP_STREAM).bit_generator.random_raw(draws * images)
    picked = ((words >> np.uint64(32)) * np.uint64(images)) >> np.uint64(32)
    rows = np.arange(draws).repeat(images)
    counts = np.bincount(rows * images + picked.astype(np.int64), minlength=draws * images)
    return counts.reshape(draws, images).astype(np.int64)


def resampled_mean_iou(matrices: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the mean IoU of each draw, float64 (draws,), from how often each image is in it (draws, images)."""
    weights = counts.astype(np.float64)
    right = weights @ np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64)
    truth, predicted = weights @ matrices.sum(2).astype(np.float64), weights @ matrices.sum(1).astype(np.float64)
    iou = _class_iou(right, truth, predicted)
    shown = ~np.isnan(iou)
    return np.where(shown, iou, 0).sum(1) / np.maximum(1, shown.sum(1))


def _class_iou(
    right: NDArray[np.generic], truth: NDArray[np.generic], predicted: NDArray[np.generic]
) -> NDArray[np.float64]:
    right, truth, predicted = (values.astype(np.float64) for values in (right, truth, predicted))
    union = truth + predicted - right
    return np.divide(right, union, out=np.full_like(union, np.nan), where=truth > 0)
