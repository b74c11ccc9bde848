"""The name of a data source to three disjoint splits at the network's input size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accelzoo.draw import generator
from accelzoo.errors import DataError
from accelzoo.tasks.data import ClassificationData, Normalization, Split, measure_normalization
from accelzoo.tasks.raw import RawData, RawSplit
from accelzoo.tasks.sources import read_source
from accelzoo.tasks.splitting import carve

# Separate streams, so that asking for another validation share leaves the test images what they were.
_TEST_STREAM, _VALIDATION_STREAM = 1, 2


def load_classification(
    source: str,
    input_size: Sequence[int],
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    normalization: Normalization | None = None,
) -> ClassificationData:
    """Reads a data set for image classification.

    Splits that the source has are kept as they are. A missing test or validation split is drawn from train: seeded,
    class by class, and with groups (a scene, a speaker; else byte-equal images) kept on one side. Which images are
    drawn does not depend on `input_size`. Images are resized with antialiasing, aspect ratio kept, until they just
    cover `input_size`, and cropped about the centre.

    Args:
        source: A name (`digits`, `fashion_mnist`, `cifar10`), a name with a path (`cifar10:/data/cifar10.npz`) or a
            path alone (an .npz, a .csv index, a folder of IDX files, of CIFAR-10 batches or of class folders).
        input_size: (channels, height, width); 1 channel is grey, 3 are RGB.
        validation_fraction: Share of train to draw for validation, when the source has none.
        test_fraction: Share of train to draw for test, when the source has none.
        seed: Seed of those draws.
        normalization: Mean and standard deviation to feed networks with (a pretrained network's); None: measured on
            the train split, and on it only.

    Raises:
        DataError: If the data are missing or broken.
        UnknownNameError: If `source` is neither a known name nor a path.
    """
    from accelzoo.tasks.images import check_input_size

    size = check_input_size(input_size)
    for label, fraction in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise DataError(f"{label} (={fraction}) must lie between 0 and 1")
    raw = read_source(source)
    _check_labels(source, raw)
    parts = draw_splits(raw, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed)
    train, validation, test = _sized(source, parts, size, normalization)
    return ClassificationData(
        train=train,
        validation=validation,
        test=test,
        class_names=raw.class_names,
        name=source,
        mirror=raw.mirror,
    )


def draw_splits(
    raw: RawData, *, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[RawSplit, RawSplit, RawSplit]:
    """Returns train, validation and test: those that the source has, the others drawn from its train split.

    The test split is drawn first and from a random stream of its own: it depends on `test_fraction` and `seed` only.
    """
    train, test = _drawn(raw.train, raw.test, test_fraction, seed, _TEST_STREAM)
    train, validation = _drawn(train, raw.validation, validation_fraction, seed, _VALIDATION_STREAM)
    return train, validation, test


def _drawn(
    train: RawSplit, given: RawSplit | None, fraction: float, seed: int, stream: int
) -> tuple[RawSplit, RawSplit]:
    if given is not None:
        return train, given
    kept, taken = carve(train.labels, fraction, generator(seed, stream), train.carve_groups())
    return train.take(kept), train.take(taken)


def _sized(
    source: str, parts: Sequence[RawSplit], size: tuple[int, int, int], normalization: Normalization | None
) -> list[Split]:
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        if not len(part.labels):
            raise DataError(f"{source}: nothing is left for the {name} split: too few images, or groups of them")
    pixels = [_pixels(part, size) for part in parts]
    statistics = normalization or measure_normalization(pixels[0])
    if len(statistics.mean) != size[0] or len(statistics.std) != size[0]:
        raise DataError(f"normalization has {len(statistics.mean)} channels, input_size (={size}) has {size[0]}")
    return [
        Split(images=images, labels=part.labels, normalization=statistics)
        for images, part in zip(pixels, parts, strict=True)
    ]


def _pixels(part: RawSplit, size: tuple[int, int, int]) -> NDArray[np.uint8]:
    from accelzoo.tasks.images import decode_files, fit_arrays

    if isinstance(part.images, np.ndarray):
        return fit_arrays(part.images, size)
    return decode_files(part.images, size)


def _check_labels(source: str, raw: RawData) -> None:
    for name, part in (("train", raw.train), ("validation", raw.validation), ("test", raw.test)):
        if part is None:
            continue
        if not len(part.labels):
            raise DataError(f"{source}: the {name} split is empty")
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= len(raw.class_names):
            raise DataError(
                f"{source}: {name} has labels {low} … {high}, but there are {len(raw.class_names)} class names"
            )
