"""The contract of a data source as a test class: subclass it to run a source of yours through it.

    class TestMySource(SourceContract):
        @pytest.fixture
        def source(self, tmp_path):
            write_a_small_data_set(tmp_path)
            return f"my_source:{tmp_path}"

The data set should be small: it is read a dozen times.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from accelzoo.errors import DataError
from accelzoo.tasks.data import ClassificationData, SearchView, Split
from accelzoo.tasks.load import draw_splits, load_classification
from accelzoo.tasks.raw import RawData, RawSplit
from accelzoo.tasks.sources import list_sources, parse_source, read_source

GREY, COLOUR = (1, 12, 16), (3, 16, 12)
VALIDATION_FRACTION, TEST_FRACTION = 0.2, 0.25


class SourceContract:
    """What training, searches and lock files rely on; subclasses supply the fixture `source`, a source's name."""

    def load(self, source: str, input_size: tuple[int, int, int] = GREY, seed: int = 0) -> ClassificationData:
        """Returns the data set with shares that leave something in every split of a small one."""
        return load_classification(
            source, input_size, seed=seed, validation_fraction=VALIDATION_FRACTION, test_fraction=TEST_FRACTION
        )

    def test_splits_have_the_promised_types(self, source: str) -> None:
        """uint8 (n, channels, height, width) and int64 (n,), grey and RGB; nothing empty."""
        for size in (GREY, COLOUR):
            for split in _splits(self.load(source, size)):
                assert split.images.dtype == np.uint8
                assert split.images.flags.c_contiguous
                assert split.images.shape == (len(split), *size)
                assert split.labels.dtype == np.int64
                assert split.labels.shape == (len(split),)
                assert len(split) > 0

    def test_labels_are_indices_of_distinct_class_names(self, source: str) -> None:
        """Every class is in train: nothing can be tested that was never taught."""
        data = self.load(source)
        count = len(data.class_names)
        assert count == len(set(data.class_names)) >= 2
        assert all(isinstance(name, str) and name for name in data.class_names)
        assert set(data.train.labels.tolist()) == set(range(count))
        for split in _splits(data):
            assert split.labels.min() >= 0
            assert split.labels.max() < count

    def test_no_image_is_in_two_splits(self, source: str) -> None:
        """Drawn splits share no group and no two equal images; files are never listed twice."""
        raw = read_source(source)
        drawn = draw_splits(raw, seed=3, validation_fraction=VALIDATION_FRACTION, test_fraction=TEST_FRACTION)
        given = (True, raw.validation is not None, raw.test is not None)
        for first in range(3):
            for second in range(first + 1, 3):
                assert not _files(drawn[first]) & _files(drawn[second])
                if not given[second]:
                    assert not set(drawn[first].carve_groups()) & set(drawn[second].carve_groups())
        images = [sum(len(part.labels) for part in parts if part is not None) for parts in (drawn, _given(raw))]
        assert images[0] == images[1]

    def test_reading_twice_gives_equal_digests(self, source: str) -> None:
        """And manifests that survive JSON; one changed pixel changes the digest."""
        first, second = self.load(source), self.load(source)
        assert first.digest() == second.digest()
        assert first.manifest() == second.manifest()
        assert json.loads(json.dumps(first.manifest())) == first.manifest()
        changed = first.test.take(np.arange(len(first.test)))
        changed.images[0, 0, 0, 0] ^= 1
        assert changed.digest() != first.test.digest()

    def test_the_test_split_depends_on_nothing_tuned(self, source: str) -> None:
        """Neither on the input size nor on the share of validation images."""
        small, large = self.load(source, GREY), self.load(source, (1, 32, 32))
        for first, second in zip(_splits(small), _splits(large), strict=True):
            assert first.labels.tolist() == second.labels.tolist()
        other = load_classification(source, GREY, validation_fraction=0.4, test_fraction=TEST_FRACTION)
        assert other.test.digest() == small.test.digest()

    def test_statistics_are_those_of_train(self, source: str) -> None:
        """Every split carries the same ones."""
        data = self.load(source, COLOUR)
        pixels = data.train.images / 255
        np.testing.assert_allclose(data.normalization.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(data.normalization.std, np.maximum(pixels.std(axis=(0, 2, 3)), 1 / 255), atol=1e-5)
        assert all(split.normalization == data.normalization for split in _splits(data))

    def test_a_search_cannot_reach_the_test_split(self, source: str) -> None:
        """Its view has train and validation, and no more."""
        data = self.load(source)
        view = data.search_view()
        assert isinstance(view, SearchView)
        assert not hasattr(view, "test")
        assert (view.train, view.validation) == (data.train, data.validation)
        assert view.digest() == data.digest()

    def test_what_is_missing_or_unknown_is_named(self, source: str, tmp_path: Path) -> None:
        """A wrong path and a wrong option are errors of the user, with the value in the message."""
        reader, _, _ = parse_source(source)
        assert reader.NAME in list_sources()
        with pytest.raises(DataError, match="nowhere"):
            reader.read(tmp_path / "nowhere", {})
        with pytest.raises(DataError, match="no option 'nonsense'"):
            read_source(f"{source}{'&' if '?' in source else '?'}nonsense=1")
        assert not reader.detect(tmp_path / "nowhere")


def _splits(data: ClassificationData) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def _given(raw: RawData) -> tuple[RawSplit | None, ...]:
    return raw.train, raw.validation, raw.test


def _files(part: RawSplit) -> set[Path]:
    return set() if isinstance(part.images, np.ndarray) else set(part.images)
