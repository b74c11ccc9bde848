"""The value every segmentation data set becomes: records of image and mask in disjoint splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.segmentation.masks import IGNORE, Colour, MaskCoding, read_mask
from accelzoo.tasks.segmentation.pictures import read_picture

if TYPE_CHECKING:
    from accelzoo.tasks.segmentation.augment import SegmentationAugment
    from accelzoo.tasks.segmentation.view import LossSettings, SegmentationView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationRecord:
    """One image with its mask, both still in their files or held as arrays.

    Args:
        id: Name within its data set.
        image: A file, or uint8 (height, width, 3).
        mask: A file, or labels uint8 (height, width) with `IGNORE` (255) for pixels that count for nothing.
        height: Of both, in pixels.
        width: Of both, in pixels.
        pixels: int64 (classes,), pixels of each class.
        sha256: Over the image's bytes and the mask's labels.
    """

    id: str
    image: Path | NDArray[np.uint8]
    mask: Path | NDArray[np.uint8]
    height: int
    width: int
    pixels: NDArray[np.int64]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationSplit:
    """Images with masks.

    Args:
        records: In a fixed order.
        coding: What the values in mask files mean.
        class_names: One name per label.
    """

    records: tuple[SegmentationRecord, ...]
    coding: MaskCoding
    class_names: tuple[str, ...]
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Decodes an image: uint8 (height, width, 3).

        Raises:
            DataError: If its file has become unreadable since the data set was loaded.
        """
        source = self.records[index].image
        return read_picture(source) if isinstance(source, Path) else source

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Decodes a mask: labels uint8 (height, width), `IGNORE` (255) for pixels that count for nothing.

        Raises:
            DataError: If its file has become unreadable since the data set was loaded.
        """
        source = self.records[index].mask
        return read_mask(source, self.coding) if isinstance(source, Path) else source

    def digest(self) -> str:
        """Returns `sha256:…` over class names, image files and labels (computed once)."""
        if not self._digest:
            parts = [list(self.class_names), *([record.id, record.sha256] for record in self.records)]
            self._digest.append(_digest_of(parts))
        return self._digest[0]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> SegmentationSplit:
        """Returns the images at `indices`, in that order."""
        return replace(self, records=tuple(self.records[int(index)] for index in indices))

    def class_pixels(self) -> NDArray[np.int64]:
        """Returns the pixels of each class in each image, int64 (images, classes)."""
        counts = [record.pixels for record in self.records]
        return np.array(counts, dtype=np.int64).reshape(len(counts), len(self.class_names))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationData:
    """A data set for semantic segmentation in disjoint splits.

    Args:
        train: What weights are fitted on.
        validation: What choices are made on.
        test: What is reported; never seen by a search or by the training loop. None: the set has none.
        class_names: One name per label.
        palette: One colour (red, green, blue) per label, for pictures.
        name: The source as the user named it.
        normalization: Mean and standard deviation per channel of (a sample of) the train split.
        skipped: What was left out, one located reason per image.
        notes: What a reader of results should know: a drawn split, a class that validation never shows.
    """

    train: SegmentationSplit
    validation: SegmentationSplit
    test: SegmentationSplit | None
    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]
    name: str
    normalization: Normalization
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ignore_index(self) -> int:
        """The label, 255, of pixels that count for nothing, whatever the files use."""
        return IGNORE

    def view(
        self,
        input_size: Sequence[int],
        augment: SegmentationAugment | None = None,
        *,
        stretch: bool = False,
        loss: LossSettings | None = None,
    ) -> SegmentationView:
        """Returns what training sees, at a network's input size and without the test split.

        Args:
            input_size: (3, height, width) of the network's input.
            augment: Random changes to training images; None: the defaults.
            stretch: Fill the input by changing the aspect ratio, in the place of padding that counts for nothing.
            loss: What is minimised; None: the defaults.

        Raises:
            DataError: If `input_size` is not (3, height, width).
        """
        from accelzoo.tasks.segmentation.augment import SegmentationAugment
        from accelzoo.tasks.segmentation.view import LossSettings, SegmentationView

        size = tuple(int(value) for value in input_size)
        if len(size) != 3 or size[0] != 3 or min(size) < 1:
            raise DataError(f"input_size (={tuple(input_size)}) must be (3, height, width)")
        return SegmentationView(
            train=self.train,
            validation=self.validation,
            normalization=self.normalization,
            input_size=(3, size[1], size[2]),
            augment=augment or SegmentationAugment(),
            loss=loss or LossSettings(),
            stretch=stretch,
        )

    def digest(self) -> str:
        """Returns `sha256:…` over the digests of train and validation: what training can depend on."""
        return _digest_of({"train": self.train.digest(), "validation": self.validation.digest()})

    def manifest(self) -> dict[str, Any]:
        """Returns plain values for a lock file: name, classes, and count and digest of each split."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "name": self.name,
            "class_names": list(self.class_names),
            "normalization": {"mean": list(self.normalization.mean), "std": list(self.normalization.std)},
            "splits": {
                key: {"images": len(split), "digest": split.digest()}
                for key, split in splits.items()
                if split is not None
            },
            "skipped": len(self.skipped),
        }


def _digest_of(value: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}"
