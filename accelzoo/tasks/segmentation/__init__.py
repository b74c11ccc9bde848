"""Semantic segmentation: reading sets of images with masks, augmentation, loss, metric and pictures.

Importing this page loads neither torch nor PIL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy
from accelzoo.tasks.segmentation.augment import SegmentationAugment
from accelzoo.tasks.segmentation.view import LossSettings, SegmentationView

if TYPE_CHECKING:
    from accelzoo.tasks.segmentation.data import SegmentationData, SegmentationRecord, SegmentationSplit
    from accelzoo.tasks.segmentation.evaluate import evaluate_segmentation, segment
    from accelzoo.tasks.segmentation.load import load_segmentation
    from accelzoo.tasks.segmentation.loss import class_weights, segmentation_loss
    from accelzoo.tasks.segmentation.masks import IGNORE
    from accelzoo.tasks.segmentation.overlay import coloured, draw_segmentation

__all__ = [
    "IGNORE",
    "LossSettings",
    "SegmentationAugment",
    "SegmentationData",
    "SegmentationRecord",
    "SegmentationSplit",
    "SegmentationView",
    "class_weights",
    "coloured",
    "draw_segmentation",
    "evaluate_segmentation",
    "load_segmentation",
    "segment",
    "segmentation_loss",
]

__getattr__ = lazy.loader(
    __name__,
    {
        "IGNORE": "masks",
        "SegmentationData": "data",
        "SegmentationRecord": "data",
        "SegmentationSplit": "data",
        "class_weights": "loss",
        "coloured": "overlay",
        "draw_segmentation": "overlay",
        "evaluate_segmentation": "evaluate",
        "load_segmentation": "load",
        "segment": "evaluate",
        "segmentation_loss": "loss",
    },
)
