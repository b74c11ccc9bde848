"""Batches, loss and evaluation of a training on a segmentation data set."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from accelzoo.draw import generator, permutation
from accelzoo.errors import DataError
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.score import DenseScore
from accelzoo.tasks.segmentation.evaluate import evaluate_segmentation
from accelzoo.tasks.segmentation.loss import class_weights, segmentation_loss
from accelzoo.tasks.segmentation.samples import Sample, Samples
from accelzoo.tasks.segmentation.transforms import apply, draw_sample
from accelzoo.tasks.segmentation.view import SegmentationView
from accelzoo.training.batches import derive_seed
from accelzoo.training.config import TrainConfig

_CHOICE_STREAM, _ORDER_STREAM, _AUGMENT_STREAM = 21, 22, 23
_WORKERS = 2  # threads that prepare the next batch while the network works on this one


class SegmentationFeed:
    """Serves normalised, augmented batches; any step's batch can be made again, as it is a function of seed and step.

    Args:
        view: Training and validation images.
        model: The network that will be trained; only its number of classes is looked at, where it tells.
        config: How it is trained.
        device: Where batches are wanted.

    Raises:
        DataError: If `model` has another number of classes than the data.
    """

    def __init__(self, view: SegmentationView, model: nn.Module, config: TrainConfig, device: torch.device) -> None:
        classes = len(view.train.class_names)
        made_for = getattr(getattr(getattr(model, "arch", None), "head", None), "num_classes", classes)
        if made_for != classes:
            raise DataError(f"the data have {classes} classes, the network's head has {made_for}")
        self._view, self._config, self._device = view, config, device
        count = math.ceil(config.train_fraction * len(view.train))
        count = min(count, config.max_train_images or count)
        train = view.train
        if count < len(train):
            train = train.take(sorted(permutation(generator(config.seed, _CHOICE_STREAM), len(train))[:count]))
        self.images = len(train)
        self.batch_size = min(config.batch_size, self.images)
        self.steps_per_epoch = self.images // self.batch_size
        self._samples = Samples(train, math.ceil(max(view.input_size[1:]) * max(1.0, view.augment.scale[1])))
        self._weights = class_weights(train.class_pixels(), view.loss.weighting).to(device)
        mean = torch.tensor(view.normalization.mean)
        self._fill = (mean * 255).round().to(torch.uint8)
        self._order: tuple[int, list[int]] | None = None
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="segmentation")
        self._ahead: dict[int, list[Future[Sample]]] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the batch of a step, and begins to prepare the next.

        Returns:
            Images, float32 (batch, 3, height, width) in channels-last memory, and labels, uint8 (batch, height, width),
            with `IGNORE` (255) for pixels that count for nothing.
        """
        waiting = self._ahead.pop(step, None) or self._begin(step)
        self._ahead = {step + 1: self._ahead.get(step + 1) or self._begin(step + 1)}
        samples = [future.result() for future in waiting]
        images = torch.stack([image for image, _ in samples]).contiguous(memory_format=torch.channels_last)
        labels = torch.cat([mask for _, mask in samples])
        images = images.to(self._device, non_blocking=True)
        return normalize(images, self._view.normalization), labels.to(self._device, non_blocking=True)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits (batch, classes, height, width), see `segmentation_loss`.

        Raises:
            DataError: If the logits are not one map per class.
        """
        classes = len(self._weights)
        if outputs.ndim != 4 or outputs.shape[1] != classes:
            raise DataError(f"the data have {classes} classes, the network's output is {tuple(outputs.shape)}")
        return segmentation_loss(outputs, targets, self._weights, self._view.loss.dice)

    def evaluate(self, model: nn.Module) -> DenseScore | None:
        """Scores a network on the validation split; None if that is empty."""
        view = self._view
        if not len(view.validation):
            return None
        size = view.input_size[1:]
        return evaluate_segmentation(model, view.validation, size, view.normalization, stretch=view.stretch)

    def _begin(self, step: int) -> list[Future[Sample]]:
        epoch, start = step // self.steps_per_epoch, step % self.steps_per_epoch * self.batch_size
        if self._order is None or self._order[0] != epoch:
            words = generator(self._config.seed, _ORDER_STREAM, epoch).bit_generator.random_raw(self.images)
            self._order = epoch, np.argsort(words, kind="stable").tolist()
        indices = self._order[1][start : start + self.batch_size]
        return [self._pool.submit(self._sample, epoch, index) for index in indices]

    def _sample(self, epoch: int, index: int) -> Sample:
        seed = derive_seed(self._config.seed, _AUGMENT_STREAM, epoch, index)
        draw = draw_sample(self._view.augment, torch.Generator().manual_seed(seed))
        size = self._view.input_size[1:]
        return apply(self._samples.get(index), draw, size, self._fill, stretch=self._view.stretch)
