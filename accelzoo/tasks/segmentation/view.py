"""What the training loop sees of a segmentation data set: splits at a network's input size, and how they are fed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from accelzoo.errors import check_one_of
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.segmentation.augment import SegmentationAugment

if TYPE_CHECKING:
    import torch
    from torch import nn

    from accelzoo.tasks.segmentation.data import SegmentationSplit
    from accelzoo.tasks.segmentation.feed import SegmentationFeed
    from accelzoo.training.config import TrainConfig

Weighting = Literal["none", "log", "median"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What training minimises: class-weighted cross-entropy plus soft dice.

    Args:
        weighting: Weights of the classes in the cross-entropy (see `class_weights`). `log` keeps the weight of a rare
            class bounded; `median` does not, and a class of few pixels can rule the gradient.
        dice: Weight of the dice term, which sees each class alike, however few its pixels; 0 turns it off.
    """

    weighting: Weighting = "log"
    dice: float = 1.0

    def __post_init__(self) -> None:
        check_one_of("weighting", self.weighting, ("none", "log", "median"))
        if not 0 <= self.dice < float("inf"):
            raise ValueError(f"dice (={self.dice}) must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationView:
    """Training and validation images at one input size: there is no `.test` here, so nothing can be tuned on it.

    Args:
        train: What weights are fitted on.
        validation: What choices are made on.
        normalization: Statistics of the train split.
        input_size: (3, height, width).
        augment: Random changes to training images.
        loss: What is minimised.
        stretch: Whether images fill the input by changing their aspect ratio.
    """

    train: SegmentationSplit
    validation: SegmentationSplit
    normalization: Normalization
    input_size: tuple[int, int, int]
    augment: SegmentationAugment
    loss: LossSettings
    stretch: bool = False

    def digest(self) -> str:
        """Returns `sha256:…` over data, input size, augmentation and loss: what training depends on."""
        parts = {
            "train": self.train.digest(),
            "validation": self.validation.digest(),
            "normalization": asdict(self.normalization),
            "input_size": self.input_size,
            "augment": asdict(self.augment),
            "loss": asdict(self.loss),
            "stretch": self.stretch,
        }
        return f"sha256:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"

    def feed(self, model: nn.Module, config: TrainConfig, device: torch.device) -> SegmentationFeed:
        """Returns the batches, loss and evaluation of one training.

        Raises:
            DataError: If `model` names its classes' number and it is not that of the data.
        """
        from accelzoo.tasks.segmentation.feed import SegmentationFeed

        return SegmentationFeed(self, model, config, device)
