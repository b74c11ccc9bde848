"""Heads, one file per task; a file added here is found by itself."""

from accelzoo.heads.base import Head, head_kinds
from accelzoo.heads.classification import ClassificationHead

__all__ = ["ClassificationHead", "Head", "head_kinds"]
