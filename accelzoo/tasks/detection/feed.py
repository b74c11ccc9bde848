"""Batches for training a detector: made by threads while the network is busy, each a function of seed and step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from accelzoo.arch import Arch
from accelzoo.detection import detection_loss
from accelzoo.detection.geometry import detection_head
from accelzoo.draw import generator
from accelzoo.errors import DataError
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.detection.compose import Composer, Example
from accelzoo.tasks.detection.view import DetectionView
from accelzoo.tasks.score import DenseScore
from accelzoo.training.config import TrainConfig

_ORDER_STREAM, _AUGMENT_STREAM = 1, 2
_AHEAD = 2  # batches that are made before they are asked for
_THREADS = 2

Target = dict[str, Tensor]


class DetectionFeed:
    """Serves the batches of a detector's training.

    Args:
        view: Data, input size and augmentation.
        model: A built detector (its `arch` is read).
        config: `batch_size`, `seed`, `train_fraction` and `max_train_images` are read.
        device: Where batches are wanted.

    Attributes:
        batch_size: Images per step.
        steps_per_epoch: Steps in a pass over the training images; an incomplete last batch is left out.
        images: Training images.

    Raises:
        DataError: If the network has another input size or number of classes than the data.
        TypeError: If the network is no detector.
    """

    def __init__(self, view: DetectionView, model: nn.Module, config: TrainConfig, device: torch.device) -> None:
        self._arch = _checked_arch(view, model)
        self._view, self._device, self._seed = view, device, config.seed
        self._indices = _chosen_images(len(view.train), config)
        self.images = len(self._indices)
        self.batch_size = min(config.batch_size, self.images)
        self.steps_per_epoch = self.images // self.batch_size
        fill = [round(255 * mean) for mean in view.normalization.mean]
        self._composer = Composer(
            view.train, view.store(), view.augment, view.input_size[1:], (fill[0], fill[1], fill[2])
        )
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="detection-feed")
        self._pending: dict[int, list[Future[Example]]] = {}
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, step: int) -> tuple[Tensor, list[Target]]:
        """Returns the batch of a step.

        Returns:
            Images, float32 (batch, 3, height, width), normalised, in channels-last memory; and per image `boxes`
            (objects, 4) as left, top, right, bottom in pixels of the network's input, `labels` int64 (objects,), and
            `ignored` (regions, 4): where nothing is taught.
        """
        for ahead in range(step, step + _AHEAD + 1):
            if ahead not in self._pending:
                self._pending[ahead] = self._begin(ahead)
        examples = [future.result() for future in self._pending[step]]
        self._pending = {key: value for key, value in self._pending.items() if step < key <= step + _AHEAD}
        pixels = torch.from_numpy(np.stack([example.pixels for example in examples])).to(self._device)
        images = normalize(pixels.permute(0, 3, 1, 2), self._view.normalization)
        return images, [self._target(example) for example in examples]

    def loss(self, outputs: Sequence[tuple[Tensor, ...]], targets: Sequence[Target]) -> Tensor:
        """Returns the sum of the losses of `accelzoo.detection.detection_loss`."""
        return torch.stack(list(detection_loss(outputs, targets, self._arch).values())).sum()

    def evaluate(self, model: nn.Module) -> DenseScore | None:
        """Scores a network on the validation split; None where that has no object."""
        from accelzoo.tasks.detection.evaluate import evaluate_detection

        view = self._view
        if not view.validation.object_count:
            return None
        pixels = view.validation_store().pixels
        size, statistics = view.input_size, view.normalization
        return evaluate_detection(model, view.validation, size, statistics, arch=self._arch, pixels=pixels)

    def _begin(self, step: int) -> list[Future[Example]]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            words = generator(self._seed, _ORDER_STREAM, epoch).bit_generator.random_raw(self.images)
            self._order = epoch, self._indices[np.argsort(words, kind="stable")]
        chosen = self._order[1][place * self.batch_size : (place + 1) * self.batch_size]
        return [self._pool.submit(self._example, epoch, int(index)) for index in chosen]

    def _example(self, epoch: int, index: int) -> Example:
        return self._composer.example(index, generator(self._seed, _AUGMENT_STREAM, epoch, index))

    def _target(self, example: Example) -> Target:
        objects = ~example.ignored
        return {
            "boxes": torch.from_numpy(example.boxes[objects]).to(self._device),
            "labels": torch.from_numpy(example.labels[objects]).to(self._device),
            "ignored": torch.from_numpy(example.boxes[example.ignored]).to(self._device),
        }


def _checked_arch(view: DetectionView, model: nn.Module) -> Arch:
    arch = getattr(model, "arch", None)
    if not isinstance(arch, Arch):
        raise TypeError(f"{type(model).__name__} has no `arch`; build detectors by accelzoo.build")
    head = detection_head(arch)
    if arch.input_size != view.input_size:
        raise DataError(f"the network takes images of {arch.input_size}, the data are viewed at {view.input_size}")
    if head.num_classes != len(view.class_names):
        raise DataError(f"the network has {head.num_classes} classes, the data {len(view.class_names)}")
    return arch


def _chosen_images(count: int, config: TrainConfig) -> NDArray[np.int64]:
    wanted = math.ceil(config.train_fraction * count)
    wanted = min(wanted, config.max_train_images or wanted)
    words = generator(config.seed, 0x5B5E7).bit_generator.random_raw(count)
    return np.sort(np.argsort(words, kind="stable")[:wanted]).astype(np.int64)
