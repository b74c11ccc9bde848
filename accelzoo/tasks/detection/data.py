"""The values every detection data set becomes: images by record, boxes in pixels, labels, and regions to ignore."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accelzoo.draw import generator, sample
from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization

if TYPE_CHECKING:
    from accelzoo.tasks.detection.augment import DetectionAugment
    from accelzoo.tasks.detection.view import DetectionView

Boxes = NDArray[np.float32]
Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

_SUBSET_STREAM = 0x5B5E7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageRecord:
    """One image: where its pixels are, and how large they are.

    Args:
        id: The name or number it has in the annotations.
        width: In pixels.
        height: In pixels.
        path: Its file; None where `pixels` holds it.
        pixels: uint8 (height, width, 3), RGB; None where `path` names a file.
    """

    id: int | str
    width: int
    height: int
    path: Path | None = None
    pixels: Pixels | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.pixels is None):
            raise DataError(f"image {self.id!r} needs either a path or pixels")
        if self.pixels is not None and self.pixels.shape != (self.height, self.width, 3):
            raise DataError(f"image {self.id!r}: pixels are {self.pixels.shape}, not {(self.height, self.width, 3)}")

    def content(self) -> bytes:
        """Returns what identifies the picture: the bytes of its file, or its pixels."""
        if self.pixels is not None:
            return self.pixels.tobytes()
        assert self.path is not None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: image {self.id!r} cannot be read ({error})") from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionSplit:
    """Images with the boxes on them.

    Args:
        images: One record per image.
        boxes: Per image, float32 (objects, 4): left, top, right, bottom in pixels of the image as it was annotated.
        labels: Per image, int64 (objects,), from 0 on.
        crowd: Per image, bool (objects,): true where the box is a region that neither rewards nor punishes (COCO's
            `iscrowd`, VOC's `difficult`).

    Raises:
        DataError: If there is not one entry per image, or an array has another shape or type.
    """

    images: tuple[ImageRecord, ...]
    boxes: tuple[Boxes, ...]
    labels: tuple[Labels, ...]
    crowd: tuple[Flags, ...]
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.boxes) == len(self.labels) == len(self.crowd):
            counts = len(self.images), len(self.boxes), len(self.labels), len(self.crowd)
            raise DataError(f"images, boxes, labels and crowd must be equally many, got {counts}")
        for record, boxes, labels, crowd in zip(self.images, self.boxes, self.labels, self.crowd, strict=True):
            count = len(boxes)
            shaped = boxes.shape == (count, 4) and labels.shape == (count,) and crowd.shape == (count,)
            typed = boxes.dtype == np.float32 and labels.dtype == np.int64 and crowd.dtype == np.bool_
            if not (shaped and typed):
                raise DataError(
                    f"image {record.id!r}: boxes must be float32 (n, 4), labels int64 (n,), crowd bool (n,), got "
                    f"{boxes.dtype} {boxes.shape}, {labels.dtype} {labels.shape}, {crowd.dtype} {crowd.shape}"
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def object_count(self) -> int:
        """Number of boxes that are objects, not regions to ignore."""
        return sum(int((~crowd).sum()) for crowd in self.crowd)

    def class_counts(self, classes: int) -> tuple[int, ...]:
        """Returns the number of objects of each of `classes` classes; regions to ignore do not count."""
        counts = np.zeros(classes, dtype=np.int64)
        for labels, crowd in zip(self.labels, self.crowd, strict=True):
            counts += np.bincount(labels[~crowd], minlength=classes)
        return tuple(counts.tolist())

    def digest(self) -> str:
        """Returns `sha256:…` over the images' bytes, boxes, labels and regions (computed once)."""
        if not self._digest:
            hasher = hashlib.sha256(str(len(self)).encode())
            for record, boxes, labels, crowd in zip(self.images, self.boxes, self.labels, self.crowd, strict=True):
                hasher.update(f"|{record.width}x{record.height}|{len(boxes)}|".encode())
                hasher.update(hashlib.sha256(record.content()).digest())
                hasher.update(boxes.astype("<f4").tobytes())
                hasher.update(labels.astype("<i8").tobytes())
                hasher.update(crowd.astype("u1").tobytes())
            self._digest.append(f"sha256:{hasher.hexdigest()}")
        return self._digest[0]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> DetectionSplit:
        """Returns the images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return DetectionSplit(
            images=tuple(self.images[index] for index in chosen),
            boxes=tuple(self.boxes[index] for index in chosen),
            labels=tuple(self.labels[index] for index in chosen),
            crowd=tuple(self.crowd[index] for index in chosen),
        )

    def subset(self, count: int, *, seed: int) -> DetectionSplit:
        """Returns `count` images, drawn evenly and seeded, in their old order; the split itself when it has no more."""
        if count >= len(self):
            return self
        return self.take(sorted(sample(generator(seed, _SUBSET_STREAM), range(len(self)), max(1, count))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionData:
    """A data set for object detection.

    Args:
        train: What weights are fitted on.
        validation: What choices are made on.
        test: What is reported; None where the source has none. Never seen by a search or by the training loop.
        class_names: One name per label.
        name: The source as the user named it.
        skipped: One line per image or box that was left out or changed: file, id and why.
        notes: What a reader of results should know, such as a class without an object in the validation split.
    """

    train: DetectionSplit
    validation: DetectionSplit
    test: DetectionSplit | None
    class_names: tuple[str, ...]
    name: str
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def view(
        self,
        input_size: Sequence[int],
        augment: DetectionAugment | None = None,
        *,
        normalization: Normalization | None = None,
        memory_bytes: int | None = None,
    ) -> DetectionView:
        """Returns what `accelzoo.fit` takes: train and validation at a network's input size, without the test split.

        Args:
            input_size: (3, height, width) of the network.
            augment: Random changes to training images; None: the usual ones.
            normalization: What networks are fed with (a pretrained network's); None: measured on the train split.
            memory_bytes: Most bytes of decoded images to keep; None: 1 GiB.

        Raises:
            DataError: If the input size is not one of three positive numbers with 3 channels.
        """
        from accelzoo.tasks.detection.view import make_view

        return make_view(self, input_size, augment, normalization, memory_bytes)

    def digest(self) -> str:
        """Returns `sha256:…` over the digests of train and validation: what training can depend on."""
        return digest_of({"train": self.train.digest(), "validation": self.validation.digest()})

    def manifest(self) -> dict[str, Any]:
        """Returns plain values for a lock file: name, classes, what was left out, and each split's counts and digest.

        A split says how many images and objects it has, and how many objects of each class.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "name": self.name,
            "class_names": list(self.class_names),
            "splits": {key: self._described(split) for key, split in splits.items() if split is not None},
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }

    def _described(self, split: DetectionSplit) -> dict[str, Any]:
        per_class = split.class_counts(len(self.class_names))
        return {
            "images": len(split),
            "objects": split.object_count,
            "objects_per_class": dict(zip(self.class_names, per_class, strict=True)),
            "digest": split.digest(),
        }


def digest_of(value: Any) -> str:
    """Returns `sha256:…` over plain values or a frozen dataclass."""
    plain = value if isinstance(value, dict) else asdict(value)
    return f"sha256:{hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}"
