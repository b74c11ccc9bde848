"""What a training takes batches from, what it minimises on them, and how it is scored: one feed per kind of task."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from accelzoo.tasks.classification import classification_loss, evaluate
from accelzoo.tasks.data import Split, TrainingView
from accelzoo.tasks.metrics import Metrics
from accelzoo.tasks.score import DenseScore
from accelzoo.training.batches import Batches
from accelzoo.training.config import TrainConfig
from accelzoo.training.errors import TrainError

Score = Metrics | DenseScore


class Feed(Protocol):
    """Serves the batches of a training; any step's batch can be made again, as it is a function of seed and step.

    Attributes:
        batch_size: Images per step, over all processes.
        steps_per_epoch: Steps in a pass over the training images.
        images: How many training images there are.
    """

    batch_size: int
    steps_per_epoch: int
    images: int

    def batch(self, step: int) -> tuple[Tensor, Any]:
        """Returns the normalised images of a step, float32 (batch, channels, height, width), and their targets."""
        ...

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Returns what is minimised, a scalar, from what the network makes of a batch."""
        ...

    def evaluate(self, model: nn.Module) -> Score | None:
        """Scores a network on the validation images; None without any."""
        ...


class DenseView(Protocol):
    """Data for training a detector or a segmentation network."""

    def digest(self) -> str:
        """Names what training depends on: images, labels, input size and augmentation."""
        ...

    def feed(self, model: nn.Module, config: TrainConfig, device: torch.device) -> Feed:
        """Returns what `model` is trained from.

        Raises:
            DataError: If the data do not fit the network.
        """
        ...


class ClassificationFeed:
    """Batches of images with one label each.

    Args:
        view: Training and validation images.
        config: How the network is trained.
        device: Where batches are wanted.
        shard: This process's number and the number of processes.

    Raises:
        TrainError: If the configuration does not fit the images.
    """

    def __init__(
        self, view: TrainingView, config: TrainConfig, device: torch.device, shard: tuple[int, int] = (0, 1)
    ) -> None:
        train = _chosen_images(view.train, config)
        try:
            augment = config.augment.resolved(*train.input_size[1:], mirror=view.mirror)
        except ValueError as error:
            raise TrainError(f"augment: {error}") from error
        self._batches = Batches(train, augment, config.batch_size, config.seed, device, shard)
        self._validation = view.validation
        self._label_smoothing = config.label_smoothing
        self._top_label = int(train.labels.max())
        self.batch_size, self.steps_per_epoch = self._batches.batch_size, self._batches.steps_per_epoch
        self.images = len(train)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns images, and labels, int64 (batch,)."""
        return self._batches.batch(step)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the cross-entropy of logits (batch, classes).

        Raises:
            TrainError: If there are labels that the network has no output for.
        """
        if outputs.shape[1] <= self._top_label:
            raise TrainError(f"labels go up to {self._top_label}, the network has {outputs.shape[1]} outputs")
        return classification_loss(outputs, targets, self._label_smoothing)

    def evaluate(self, model: nn.Module) -> Metrics | None:
        """Scores a network on the validation split."""
        return evaluate(model, self._validation) if len(self._validation) else None


def make_feed(
    model: nn.Module, view: TrainingView | DenseView, config: TrainConfig, device: torch.device, shard: tuple[int, int]
) -> Feed:
    """Returns the feed of a view of either kind.

    Raises:
        TrainError: If a detector or a segmentation network is to be trained in several processes.
    """
    make = getattr(view, "feed", None)
    if make is None:
        return ClassificationFeed(view, config, device, shard)  # type: ignore[arg-type]
    if shard[1] > 1:
        raise TrainError(f"detection and segmentation are trained in one process, not {shard[1]}")
    feed: Feed = make(model, config, device)
    return feed


def _chosen_images(train: Split, config: TrainConfig) -> Split:
    count = math.ceil(config.train_fraction * len(train))
    return train.subset(min(count, config.max_train_images or count), seed=config.seed)
