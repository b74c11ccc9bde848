"""Images for calibration: some of a data set's training images, as a network sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accelzoo.draw import generator, sample
from accelzoo.errors import DataError
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.data import Normalization

if TYPE_CHECKING:
    from accelzoo.arch import Arch
    from accelzoo.tasks.detection.data import DetectionSplit
    from accelzoo.tasks.segmentation.data import SegmentationSplit

IMAGES = 256
_STREAM = 0xCA11B


def calibration_images(
    arch: Arch, source: str, count: int = IMAGES, normalization: Normalization | None = None
) -> Tensor:
    """Reads training images, always the same ones.

    Args:
        arch: Its input size is theirs; its head says what kind of data it is.
        source: As for `load_classification`, `load_detection` or `load_segmentation`.
        count: How many; all where there are fewer.
        normalization: What the network was trained with; None: measured on the data.

    Returns:
        Float32, normalised, `(images, channels, height, width)`.

    Raises:
        DataError: If the data are missing or broken, or no data set is for such a head.
        UnknownNameError: If `source` is not known.
    """
    match arch.head.task:
        case "classification":
            from accelzoo.tasks.load import load_classification

            data = load_classification(source, arch.input_size, normalization=normalization)
            chosen = data.train.images[_chosen(len(data.train), count)]
            return normalize(torch.from_numpy(chosen), data.train.normalization)
        case "detection":
            from accelzoo.tasks.detection.load import load_detection
            from accelzoo.tasks.detection.store import measure

            train = load_detection(source).train
            return letterboxed_images(train, arch.input_size, count, normalization or measure(train))
        case "segmentation":
            from accelzoo.tasks.segmentation.load import load_segmentation

            masked = load_segmentation(source)
            return padded_images(masked.train, arch.input_size, count, normalization or masked.normalization)
    raise DataError(f"no data set is read for networks whose head is for {arch.head.task}")


def letterboxed_images(
    split: DetectionSplit, input_size: tuple[int, int, int], count: int, normalization: Normalization
) -> Tensor:
    """Returns images of a split as a detector sees them in evaluation; see `calibration_images`."""
    from accelzoo.tasks.detection.letterbox import Letterbox
    from accelzoo.tasks.detection.pictures import decode

    red, green, blue = [round(255 * mean) for mean in normalization.mean]
    pictures = []
    for index in _chosen(len(split), count):
        pixels = decode(split.images[index])
        place = Letterbox.of(pixels.shape[1], pixels.shape[0], input_size)
        pictures.append(place.render(pixels, (red, green, blue)))
    return _normalized(pictures, normalization)


def padded_images(
    split: SegmentationSplit, input_size: tuple[int, int, int], count: int, normalization: Normalization
) -> Tensor:
    """Returns images of a split as a segmentation network sees them in evaluation; see `calibration_images`."""
    from accelzoo.tasks.segmentation.evaluate import letterbox
    from accelzoo.tasks.segmentation.placing import Placement

    _, height, width = input_size
    pictures = []
    for index in _chosen(len(split), count):
        image = split.image(index)
        place = Placement.of(image.shape[0], image.shape[1], (height, width))
        pictures.append(letterbox(image, place, (height, width), normalization))
    return _normalized(pictures, normalization)


def _chosen(length: int, count: int) -> list[int]:
    return sorted(sample(generator(0, _STREAM), range(length), min(count, length)))


def _normalized(pictures: list[NDArray[np.uint8]], values: Normalization) -> Tensor:
    return normalize(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), values)
