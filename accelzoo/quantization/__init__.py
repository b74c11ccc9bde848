"""Post-training quantisation to int8: trained network → TensorFlow Lite model, and what it scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.quantization.calibration import METHODS, Calibration, calibrate
    from accelzoo.quantization.floating import FoldedNetwork
    from accelzoo.quantization.folding import fold
    from accelzoo.quantization.images import calibration_images
    from accelzoo.quantization.int8 import QuantizedNetwork, quantize, to_float_tflite

__all__ = [
    "METHODS",
    "Calibration",
    "FoldedNetwork",
    "QuantizedNetwork",
    "calibrate",
    "calibration_images",
    "fold",
    "quantize",
    "to_float_tflite",
]

_HOMES = {
    "METHODS": "calibration",
    "Calibration": "calibration",
    "calibrate": "calibration",
    "FoldedNetwork": "floating",
    "calibration_images": "images",
    "fold": "folding",
    "QuantizedNetwork": "int8",
    "quantize": "int8",
    "to_float_tflite": "int8",
}

__getattr__ = lazy.loader(__name__, _HOMES)
