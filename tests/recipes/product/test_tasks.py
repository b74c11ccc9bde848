"""A product recipe's data: what networks are fed with, calibrated on and scored on."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from accelzoo.arch import Arch
from accelzoo.quantization import calibration_images
from accelzoo.recipes.product.tasks import DetectorData, SegmenterData, product_data
from accelzoo.tasks.data import Normalization
from tests.recipes.product.tiny_product import network, product_recipe

TASKS = ("detection", "segmentation")


def of(task: str, folder: Path, **changes: object) -> DetectorData | SegmenterData:
    return product_data(product_recipe(folder, task, **changes))


def pixels(data: DetectorData | SegmenterData) -> np.ndarray:
    """Every training image, 0 … 255."""
    train = data.loaded.train
    if isinstance(data, DetectorData):
        found = [record.pixels for record in data.loaded.train.images]
    else:
        found = [data.loaded.train.image(index) for index in range(len(train))]
    return np.stack([image for image in found if image is not None])


@pytest.mark.parametrize("task", TASKS)
def test_calibration_images_are_normalised_training_images(task: str, tmp_path: Path) -> None:
    data, arch = of(task, tmp_path), Arch.from_config(network(task))
    images = data.calibration(arch, 5)
    assert images.shape == (5, 3, 48, 48)
    statistics = data.normalization(arch)
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    seen = images.permute(0, 2, 3, 1).numpy() * std + mean  # drawn at the network's own size: nothing is resized
    known = pixels(data)
    nearest = [[int(np.abs(image * 255 - other).max() < 0.01) for other in known] for image in seen]
    assert [sum(row) for row in nearest] == [1] * 5
    assert len({row.index(1) for row in nearest}) == 5
    assert np.array_equal(images, data.calibration(arch, 5))
    assert len(data.calibration(arch, 99)) == len(known) == 12
    assert np.array_equal(images, calibration_images(arch, data.source, 5, statistics))  # those of `accelzoo compile`


@pytest.mark.parametrize("task", TASKS)
def test_it_travels_by_name_and_is_read_once(task: str, tmp_path: Path) -> None:
    data = of(task, tmp_path)
    copy = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 2000
    assert copy.loaded is data.loaded
    assert copy.digest() == data.digest()
    assert data.class_names == tuple(data.manifest()["class_names"])


@pytest.mark.parametrize("task", TASKS)
def test_augmentation_and_images_are_in_the_digest(task: str, tmp_path: Path) -> None:
    plan: dict[str, object] = {task: {"augment": {"flip": 0.25}}}
    other = "shapes?count=11&size=48&seed=0"
    changes: list[dict[str, object]] = [{}, plan, {"data": other}]
    assert len({of(task, tmp_path, **changed).digest() for changed in changes}) == 3


def test_only_the_classes_asked_for_are_kept(tmp_path: Path) -> None:
    data = of("detection", tmp_path, detection={"classes": ["square"]})
    assert data.class_names == ("square",)
    assert {int(label) for labels in data.loaded.train.labels for label in labels} == {0}  # type: ignore[union-attr]


def test_views_share_decoded_images(tmp_path: Path) -> None:
    data, arch = of("detection", tmp_path), Arch.from_config(network("detection"))
    assert data.view(arch) is data.view(arch)
    assert isinstance(data.normalization(arch), Normalization)
