"""Tasks: reading labelled data, augmentation, loss, metric. Importing this page loads neither torch nor PIL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy
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

__getattr__ = lazy.loader(__name__, {"classification_loss": "classification", "evaluate": "classification"})
