"""Object detection: reading labelled boxes, augmentation, batches. Importing this page loads neither torch nor PIL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy
from accelzoo.tasks.detection.augment import DetectionAugment
from accelzoo.tasks.detection.data import DetectionData, DetectionSplit, ImageRecord

if TYPE_CHECKING:
    from accelzoo.tasks.detection.bootstrap import average_precision_intervals
    from accelzoo.tasks.detection.draw import draw_detections
    from accelzoo.tasks.detection.evaluate import detect, evaluate_detection
    from accelzoo.tasks.detection.feed import DetectionFeed
    from accelzoo.tasks.detection.letterbox import Letterbox
    from accelzoo.tasks.detection.load import load_detection
    from accelzoo.tasks.detection.metrics import DetectionMetrics, Detections, average_precision
    from accelzoo.tasks.detection.view import DetectionView
    from accelzoo.tasks.detection.voc import voc_to_coco

__all__ = [
    "DetectionAugment",
    "DetectionData",
    "DetectionFeed",
    "DetectionMetrics",
    "DetectionSplit",
    "DetectionView",
    "Detections",
    "ImageRecord",
    "Letterbox",
    "average_precision",
    "average_precision_intervals",
    "detect",
    "draw_detections",
    "evaluate_detection",
    "load_detection",
    "voc_to_coco",
]

_HOMES = {
    "DetectionFeed": "feed",
    "DetectionMetrics": "metrics",
    "DetectionView": "view",
    "Detections": "metrics",
    "Letterbox": "letterbox",
    "average_precision": "metrics",
    "average_precision_intervals": "bootstrap",
    "detect": "evaluate",
    "draw_detections": "draw",
    "evaluate_detection": "evaluate",
    "load_detection": "load",
    "voc_to_coco": "voc",
}

__getattr__ = lazy.loader(__name__, _HOMES)
