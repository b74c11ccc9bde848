"""A product recipe's data, by task: what is trained on, how networks are scored, what they are calibrated on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.errors import ConfigError, DataError
from accelzoo.recipes.product.schema import DetectionPlan, ProductRecipe, SegmentationPlan
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.data import DetectionData, DetectionSplit
from accelzoo.tasks.score import DenseScore
from accelzoo.tasks.segmentation.data import SegmentationData, SegmentationSplit

if TYPE_CHECKING:
    from torch import Tensor

    from accelzoo.tasks.detection.view import DetectionView
    from accelzoo.tasks.segmentation.view import SegmentationView
    from accelzoo.training.feed import DenseView

Split = TypeVar("Split")

Network = Callable[["Tensor"], Any]
"""A built network, or a stand-in that gives the same outputs (a quantised one)."""


class ProductData(Protocol):
    """The data of a run. It travels to worker processes by name; each process reads them once, when they are needed."""

    @property
    def loaded(self) -> DetectionData | SegmentationData:
        """The data as they were read."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know of the data."""

    def manifest(self) -> dict[str, Any]:
        """Returns plain values for a lock file."""

    def digest(self) -> str:
        """Returns `sha256:…` over train and validation and the changes to training images."""

    def normalization(self, arch: Arch) -> Normalization:
        """Returns the statistics of the train split that a network is fed with."""

    def view(self, arch: Arch) -> DenseView:
        """Returns what a network is trained from: train and validation at its input size, no test split."""

    def validation_score(self, network: Network, arch: Arch) -> DenseScore:
        """Scores a network on the split that choices are made on."""

    def test_score(self, network: Network, arch: Arch) -> DenseScore:
        """Scores a network on the split that figures are reported of."""

    def calibration(self, arch: Arch, count: int) -> Tensor:
        """Returns training images as a network sees them, always the same ones.

        Returns:
            float32, normalised, (images, 3, height, width); fewer than `count` where there are no more.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What both tasks pass on of the data as they were read.

    Args:
        source: Names the data.
        plan: How training images are chosen and changed.
    """

    source: str
    plan: Any

    @property
    def loaded(self) -> Any:
        """The data, read once by a process."""
        raise NotImplementedError

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""
        return self.loaded.class_names

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know of the data."""
        return self.loaded.notes

    def manifest(self) -> dict[str, Any]:
        """Returns plain values for a lock file."""
        return self.loaded.manifest()

    def digest(self) -> str:
        """Returns `sha256:…` over train and validation and the changes to training images."""
        return _digest(self.loaded.digest(), self.plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorData(_Read):
    """Labelled boxes for a detector; see `ProductData`.

    Args:
        source: As for `load_detection`.
        plan: Which classes, and how training images are changed.
    """

    plan: DetectionPlan

    @property
    def loaded(self) -> DetectionData:
        """The data, read once by a process.

        Raises:
            DataError: If there is no test split.
        """
        return _detection(self.source, self.plan.classes)

    def normalization(self, arch: Arch) -> Normalization:
        """Returns the statistics of the train split."""
        return self.view(arch).normalization

    def view(self, arch: Arch) -> DetectionView:
        """Returns train and validation at the network's input size; the same value each time."""
        return _detection_view(self.source, self.plan, arch.input_size)

    def validation_score(self, network: Network, arch: Arch) -> DenseScore:
        """Returns AP50 on the validation split."""
        return self._score(network, arch, self.loaded.validation)

    def test_score(self, network: Network, arch: Arch) -> DenseScore:
        """Returns AP50 on the test split."""
        return self._score(network, arch, _required(self.loaded.test, self.source))

    def calibration(self, arch: Arch, count: int) -> Tensor:
        """Returns letterboxed training images; see `ProductData.calibration`."""
        from accelzoo.quantization.images import letterboxed_images

        return letterboxed_images(self.loaded.train, arch.input_size, count, self.normalization(arch))

    def _score(self, network: Network, arch: Arch, split: DetectionSplit) -> DenseScore:
        from accelzoo.tasks.detection.evaluate import evaluate_detection

        return evaluate_detection(network, split, arch.input_size, self.normalization(arch), arch=arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterData(_Read):
    """Images with masks for a segmentation network; see `ProductData`.

    Args:
        source: As for `load_segmentation`.
        plan: How training images are changed.
    """

    plan: SegmentationPlan

    @property
    def loaded(self) -> SegmentationData:
        """The data, read once by a process.

        Raises:
            DataError: If there is no test split.
        """
        return _segmentation(self.source)

    def normalization(self, arch: Arch) -> Normalization:
        """Returns the statistics of the train split, whatever the network."""
        return self.loaded.normalization

    def view(self, arch: Arch) -> SegmentationView:
        """Returns train and validation at the network's input size."""
        return self.loaded.view(arch.input_size, self.plan.augment)

    def validation_score(self, network: Network, arch: Arch) -> DenseScore:
        """Returns mIoU on the validation split."""
        return self._score(network, arch, self.loaded.validation)

    def test_score(self, network: Network, arch: Arch) -> DenseScore:
        """Returns mIoU on the test split."""
        return self._score(network, arch, _required(self.loaded.test, self.source))

    def calibration(self, arch: Arch, count: int) -> Tensor:
        """Returns padded training images; see `ProductData.calibration`."""
        from accelzoo.quantization.images import padded_images

        return padded_images(self.loaded.train, arch.input_size, count, self.loaded.normalization)

    def _score(self, network: Network, arch: Arch, split: SegmentationSplit) -> DenseScore:
        from accelzoo.tasks.segmentation.evaluate import evaluate_segmentation

        return evaluate_segmentation(network, split, arch.input_size[1:], self.loaded.normalization)


def product_data(recipe: ProductRecipe) -> DetectorData | SegmenterData:
    """Returns the data of a recipe; nothing is read yet."""
    if recipe.detection is not None:
        return DetectorData(source=recipe.data, plan=recipe.detection)
    if recipe.segmentation is not None:
        return SegmenterData(source=recipe.data, plan=recipe.segmentation)
    raise ConfigError([f"{recipe.recipe}: give either detection or segmentation"])


@lru_cache(maxsize=1)
def _detection(source: str, classes: tuple[str, ...] | None) -> DetectionData:
    from accelzoo.tasks.detection.load import load_detection

    data = load_detection(source, classes=classes, require_test=True)
    _required(data.test, source)
    return data


@lru_cache(maxsize=2)
def _detection_view(source: str, plan: DetectionPlan, input_size: tuple[int, int, int]) -> DetectionView:
    # A view keeps decoded images: another one for every training would decode all of them again.
    return _detection(source, plan.classes).view(input_size, plan.augment)


@lru_cache(maxsize=1)
def _segmentation(source: str) -> SegmentationData:
    from accelzoo.tasks.segmentation.load import load_segmentation

    data = load_segmentation(source, require_test=True)
    _required(data.test, source)
    return data


def _required(split: Split | None, source: str) -> Split:
    if split is None:
        raise DataError(f"{source}: no test split: figures are not reported on the images that networks are chosen by")
    return split


def _digest(data: str, plan: DetectionPlan | SegmentationPlan) -> str:
    return config.digest({"data": data, "plan": config.to_config(plan)})
