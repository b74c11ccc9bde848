"""From a detector's raw outputs to boxes, what that costs, and what to train with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.detection.decoder import DetectionDecoder, postprocessor
    from accelzoo.detection.loss import detection_loss
    from accelzoo.detection.pricing import postprocessing_graph

__all__ = ["DetectionDecoder", "detection_loss", "postprocessing_graph", "postprocessor"]

_HOMES = {
    "DetectionDecoder": "decoder",
    "detection_loss": "loss",
    "postprocessing_graph": "pricing",
    "postprocessor": "decoder",
}

__getattr__ = lazy.loader(__name__, _HOMES)
