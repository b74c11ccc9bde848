"""The data value: types, digests, subsets, statistics; importing it stays light."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from accelzoo.errors import DataError
from accelzoo.tasks import Normalization, Split, load_classification, overlap
from accelzoo.tasks.data import measure_normalization
from tests.accelzoo.tasks.written import pixels
from tests.checkout import ROOT

NORMALIZATION = Normalization(mean=(0.5,), std=(0.25,))


def make_split(count: int = 100, classes: int = 10) -> Split:
    labels = np.arange(count, dtype=np.int64) % classes
    return Split(images=pixels(count, 1, 4, 4), labels=labels, normalization=NORMALIZATION)


def test_importing_tasks_and_settings_loads_no_heavy_library() -> None:
    code = (
        "import sys, accelzoo.tasks, accelzoo.training.config, accelzoo.training.errors; "
        "accelzoo.tasks.load_classification('digits', (1, 8, 8)); "
        "print(sorted({'torch', 'timm', 'accelerate', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_unknown_names_of_the_page_are_unknown() -> None:
    import accelzoo.tasks

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        accelzoo.tasks.nothing  # noqa: B018
    for name in accelzoo.tasks.__all__:
        assert getattr(accelzoo.tasks, name) is not None


def test_wrong_types_are_refused() -> None:
    labels = np.zeros(2, np.int64)
    with pytest.raises(DataError, match="images must be uint8"):
        Split(images=np.zeros((2, 4, 4), np.uint8), labels=labels, normalization=NORMALIZATION)
    with pytest.raises(DataError, match="images must be uint8"):
        Split(images=np.zeros((2, 1, 4, 4)), labels=labels, normalization=NORMALIZATION)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"labels must be int64 \(2,\)"):
        Split(images=np.zeros((2, 1, 4, 4), np.uint8), labels=labels[:1], normalization=NORMALIZATION)


def test_a_digest_covers_pixels_labels_and_shape() -> None:
    split = make_split()
    relabelled = Split(images=split.images, labels=split.labels[::-1].copy(), normalization=NORMALIZATION)
    reshaped = Split(images=split.images.reshape(100, 1, 2, 8), labels=split.labels, normalization=NORMALIZATION)
    swapped = split.take(np.array([1, 0, *range(2, 100)]))
    digests = {part.digest() for part in (split, relabelled, reshaped, swapped)}
    assert len(digests) == 4
    assert split.take(np.arange(100)).digest() == split.digest()


def test_a_subset_is_stratified_seeded_and_part_of_the_whole() -> None:
    split = make_split()
    part = split.subset(30, seed=1)
    assert np.bincount(part.labels).tolist() == [3] * 10
    assert overlap(split, part) == 30
    assert part.digest() == split.subset(30, seed=1).digest() != split.subset(30, seed=2).digest()
    assert split.subset(100, seed=1) is split
    assert len(split.subset(4, seed=1)) == 10  # one of each class at least


def test_overlap_counts_equal_images() -> None:
    split = make_split()
    assert overlap(split.take(np.arange(50)), split.take(np.arange(45, 80))) == 5


def test_statistics_are_exact_and_never_zero() -> None:
    images = pixels(50, 3, 6, 6)
    images[:, 2] = 40
    measured = measure_normalization(images)
    np.testing.assert_allclose(measured.mean, (images / 255).mean(axis=(0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(measured.std[:2], (images[:, :2] / 255).std(axis=(0, 2, 3)), atol=1e-6)
    assert measured.std[2] == pytest.approx(1 / 255, abs=1e-6)


def test_a_pretrained_networks_statistics_can_be_given() -> None:
    data = load_classification("digits", (1, 8, 8), normalization=NORMALIZATION)
    assert data.test.normalization == NORMALIZATION
    with pytest.raises(DataError, match="normalization has 1 channels"):
        load_classification("digits", (3, 8, 8), normalization=NORMALIZATION)


def test_shares_and_seeds_of_drawn_splits() -> None:
    data = load_classification("digits", (1, 8, 8), validation_fraction=0.25, test_fraction=0.2)
    assert [len(data.train), len(data.validation), len(data.test)] == pytest.approx([1078, 359, 360], abs=6)
    other = load_classification("digits", (1, 8, 8), validation_fraction=0.25, test_fraction=0.2, seed=1)
    assert other.test.digest() != data.test.digest()
    for fraction in (0, 1, -0.1):
        with pytest.raises(DataError, match="test_fraction"):
            load_classification("digits", (1, 8, 8), test_fraction=fraction)
