"""Necks, one file per kind; a file added here is found by itself."""

from accelzoo.necks.base import Neck, neck_kinds
from accelzoo.necks.bifpn import BiFPN
from accelzoo.necks.fpn import FPN

__all__ = ["FPN", "BiFPN", "Neck", "neck_kinds"]
