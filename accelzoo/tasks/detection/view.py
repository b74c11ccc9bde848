"""A detection data set at a network's input size: what `fit` trains a detector from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.augment import DetectionAugment
from accelzoo.tasks.detection.data import DetectionData, DetectionSplit, digest_of
from accelzoo.tasks.detection.store import MEMORY_BYTES, ImageStore, PlacedStore, longest_side, measure

if TYPE_CHECKING:
    import torch
    from torch import nn

    from accelzoo.tasks.detection.feed import DetectionFeed
    from accelzoo.training.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionView:
    """Train and validation of a detection data set at an input size, with augmentation; there is no test split here.

    Args:
        train: What weights are fitted on.
        validation: What choices are made on.
        class_names: One name per label.
        name: The source as the user named it.
        input_size: (3, height, width) that images are brought to, aspect ratio kept.
        augment: Random changes to training images.
        normalization: Mean and standard deviation per channel that networks are fed with.
        memory_bytes: Most bytes of decoded images to keep, of training and of validation each.
    """

    train: DetectionSplit
    validation: DetectionSplit
    class_names: tuple[str, ...]
    name: str
    input_size: tuple[int, int, int]
    augment: DetectionAugment
    normalization: Normalization
    memory_bytes: int = MEMORY_BYTES
    _stores: list[ImageStore] = field(default_factory=list, init=False, repr=False)
    _placed: list[PlacedStore] = field(default_factory=list, init=False, repr=False)

    def digest(self) -> str:
        """Returns `sha256:…` over both splits, the input size, the augmentation and the normalisation."""
        return digest_of(
            {
                "train": self.train.digest(),
                "validation": self.validation.digest(),
                "input_size": list(self.input_size),
                "augment": asdict(self.augment),
                "normalization": asdict(self.normalization),
            }
        )

    def store(self) -> ImageStore:
        """Returns the decoded training images; all feeds of this view share them."""
        if not self._stores:
            longest = longest_side(self.input_size, self.augment.scale[1])
            self._stores.append(ImageStore(self.train, longest, self.memory_bytes))
        return self._stores[0]

    def validation_store(self) -> PlacedStore:
        """Returns the decoded validation images at the input size; all feeds of this view share them."""
        if not self._placed:
            self._placed.append(PlacedStore(self.validation, self.input_size, self.memory_bytes))
        return self._placed[0]

    def feed(self, model: nn.Module, config: TrainConfig, device: torch.device) -> DetectionFeed:
        """Returns what `model` is trained from.

        Args:
            model: A built detector; its `arch` says what the loss compares.
            config: Batch size, seed and share of the training images.
            device: Where batches are wanted.

        Raises:
            DataError: If the network's input size or number of classes is another one.
            TypeError: If the network is no detector.
        """
        from accelzoo.tasks.detection.feed import DetectionFeed

        return DetectionFeed(self, model, config, device)


def make_view(
    data: DetectionData,
    input_size: Sequence[int],
    augment: DetectionAugment | None,
    normalization: Normalization | None,
    memory_bytes: int | None,
) -> DetectionView:
    """Makes the view that `DetectionData.view` describes."""
    size = tuple(int(side) for side in input_size)
    if len(size) != 3 or size[0] != 3 or min(size) < 1:
        raise DataError(f"input_size (={tuple(input_size)}) must be (3, height, width)")
    statistics = normalization or measure(data.train)
    if len(statistics.mean) != 3 or len(statistics.std) != 3:
        raise DataError(f"normalization has {len(statistics.mean)} channels, detectors see 3")
    return DetectionView(
        train=data.train,
        validation=data.validation,
        class_names=data.class_names,
        name=data.name,
        input_size=size,
        augment=augment or DetectionAugment(),
        normalization=statistics,
        memory_bytes=MEMORY_BYTES if memory_bytes is None else memory_bytes,
    )
