"""Tasks: reading labelled data, augmentation, loss, metric. Importing this page loads neither torch nor PIL."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from accelzoo.tasks.augment import Augment
from accelzoo.tasks.data import ClassificationData, Normalization, SearchView, Split, TrainingView, overlap
from accelzoo.tasks.load import load_classification
from accelzoo.tasks.metrics import Metrics, wilson_interval
from accelzoo.tasks.raw import RawData, RawSplit, Source
from accelzoo.tasks.sources import list_sources, register_source

if TYPE_CHECKING:
    from accelzoo.tasks.classification import classification_loss, evaluate

__all__ = [
    "Augment",
    "ClassificationData",
    "Metrics",
    "Normalization",
    "RawData",
    "RawSplit",
    "SearchView",
    "Source",
    "Split",
    "TrainingView",
    "classification_loss",
    "evaluate",
    "list_sources",
    "load_classification",
    "overlap",
    "register_source",
    "wilson_interval",
]

_LAZY = ("classification_loss", "evaluate")


def __getattr__(name: str) -> Any:
    """Loads the parts that need torch on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.classification"), name)
