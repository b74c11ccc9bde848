"""The value every image classification data set becomes: disjoint uint8 splits with names and digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from accelzoo.draw import generator
from accelzoo.errors import DataError
from accelzoo.tasks.splitting import carve

_SUBSET_STREAM = 0x5B5E7


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Per-channel mean and standard deviation of pixels scaled to 0 … 1; a network sees (pixel / 255 − mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Images with labels, and how a network must be fed them.

    Args:
        images: uint8, (images, channels, height, width), C-contiguous.
        labels: int64, (images,), from 0 … classes − 1.
        normalization: Statistics of the *train* split, whichever split this is.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normalization: Normalization
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"images must be uint8 (n, channels, height, width), got {self.images.dtype} {self.images.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(f"labels must be int64 ({len(self.images)},), got {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The shape of one image: (channels, height, width)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def digest(self) -> str:
        """Returns `sha256:…` over shape, labels and pixels (computed once)."""
        if not self._digest:
            hasher = hashlib.sha256(repr(self.images.shape).encode())
            hasher.update(np.ascontiguousarray(self.labels).astype("<i8").tobytes())
            hasher.update(np.ascontiguousarray(self.images).data)
            self._digest.append(f"sha256:{hasher.hexdigest()}")
        return self._digest[0]

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Returns the images at `indices`, in that order."""
        return Split(images=self.images[indices], labels=self.labels[indices], normalization=self.normalization)

    def subset(self, count: int, *, seed: int) -> Split:
        """Returns about `count` images, drawn per class (stratified) and seeded; the split itself when it has no more.

        Every class with at least two images keeps one, so that the result can exceed a `count` below the number of
        classes.
        """
        if count >= len(self):
            return self
        _, taken = carve(self.labels, count / len(self), generator(seed, _SUBSET_STREAM))
        return self.take(taken)


class TrainingView(Protocol):
    """What training may see: both a `SearchView` and a whole `ClassificationData` fit."""

    @property
    def train(self) -> Split:
        """What weights are fitted on."""

    @property
    def validation(self) -> Split:
        """What choices are made on."""

    @property
    def mirror(self) -> bool:
        """Whether a horizontal flip keeps every label."""

    def digest(self) -> str:
        """Returns `sha256:…` over both splits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchView:
    """The part of a data set that a search may see: there is no `.test` here, so nothing can be tuned on it."""

    train: Split
    validation: Split
    class_names: tuple[str, ...]
    name: str
    mirror: bool

    def digest(self) -> str:
        """Returns `sha256:…` over the digests of both splits."""
        return _digest_of({"train": self.train.digest(), "validation": self.validation.digest()})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassificationData:
    """A data set for image classification in three disjoint splits.

    Args:
        train: What weights are fitted on.
        validation: What choices are made on.
        test: What is reported; never seen by a search or by the training loop.
        class_names: One name per label.
        name: The source as the user named it.
        mirror: Whether a horizontal flip keeps every label (false for digits and letters).
    """

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    name: str
    mirror: bool = True

    @property
    def input_size(self) -> tuple[int, int, int]:
        """The shape of one image: (channels, height, width)."""
        return self.train.input_size

    @property
    def normalization(self) -> Normalization:
        """Mean and standard deviation per channel, of the train split."""
        return self.train.normalization

    def search_view(self) -> SearchView:
        """Returns the same data without the test split."""
        return SearchView(
            train=self.train,
            validation=self.validation,
            class_names=self.class_names,
            name=self.name,
            mirror=self.mirror,
        )

    def digest(self) -> str:
        """Returns `sha256:…` over the digests of train and validation: what training can depend on."""
        return self.search_view().digest()

    def manifest(self) -> dict[str, Any]:
        """Returns plain values for a lock file: name, size, classes, and count and digest of each split."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "name": self.name,
            "input_size": list(self.input_size),
            "class_names": list(self.class_names),
            "normalization": {"mean": list(self.normalization.mean), "std": list(self.normalization.std)},
            "splits": {key: {"images": len(split), "digest": split.digest()} for key, split in splits.items()},
        }


def overlap(first: Split, second: Split) -> int:
    """Returns how many images of `second` are pixel for pixel in `first` as well (a leak, when not zero)."""
    known = {image.tobytes() for image in first.images}
    return sum(image.tobytes() in known for image in second.images)


def measure_normalization(images: NDArray[np.uint8]) -> Normalization:
    """Returns mean and standard deviation per channel of uint8 images (n, channels, height, width), on a 0 … 1 scale.

    Exact integer sums, so the result does not depend on the order of the images; rounded to 6 decimals.
    """
    levels = np.arange(256, dtype=np.float64) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        share = np.bincount(images[:, channel].ravel(), minlength=256) / max(1, images[:, channel].size)
        mean = float(share @ levels)
        means.append(round(mean, 6))
        stds.append(round(max(float(share @ (levels - mean) ** 2) ** 0.5, 1 / 255), 6))
    return Normalization(mean=tuple(means), std=tuple(stds))


def _digest_of(value: dict[str, str]) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}"
