"""Heads, one file per task or kind; a file added here is found by itself."""

from accelzoo.heads.base import Head, head_kinds
from accelzoo.heads.classification import ClassificationHead
from accelzoo.heads.deeplab import DeepLabHead
from accelzoo.heads.fcos import FCOSHead
from accelzoo.heads.lraspp import LrAsppHead
from accelzoo.heads.retina import RetinaHead
from accelzoo.heads.segmentation_fpn import SegmentationFpnHead
from accelzoo.heads.sequence import SequenceHead
from accelzoo.heads.spaghetti import SpaghettiHead
from accelzoo.heads.ssdlite import SSDLiteHead

__all__ = [
    "ClassificationHead",
    "DeepLabHead",
    "FCOSHead",
    "Head",
    "LrAsppHead",
    "RetinaHead",
    "SSDLiteHead",
    "SegmentationFpnHead",
    "SequenceHead",
    "SpaghettiHead",
    "head_kinds",
]
