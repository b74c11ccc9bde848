"""Evaluating detectors: a stand-in network whose outputs say where the objects are, and a real one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from accelzoo import get_arch
from accelzoo.arch import Arch
from accelzoo.detection.geometry import levels_of
from accelzoo.errors import AccelzooError, DataError
from accelzoo.heads.fcos import FCOSHead
from accelzoo.necks import FPN
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.data import DetectionSplit, ImageRecord
from accelzoo.tasks.detection.evaluate import detect, evaluate_detection
from accelzoo.tasks.detection.store import ImageStore
from accelzoo.tasks.detection.unlabelled import Picture

NORMALIZATION = Normalization(mean=(0.5, 0.4, 0.3), std=(0.25, 0.25, 0.25))
ARCH = get_arch("ibn_t", head=FCOSHead(num_classes=2, neck=FPN(channels=16), tower_depth=1), input_size=64)
SURE, UNLIKELY = 8.0, -8.0

# On the canvas of 64 pixels the first image takes the rows 16 … 48, the second the columns 16 … 48.
SIZES = [(128, 64), (32, 64)]
ON_CANVAS = [[(8.0, 20.0, 36.0, 44.0)], [(18.0, 4.0, 46.0, 28.0), (18.0, 36.0, 46.0, 60.0)]]
IN_IMAGE = [[(16.0, 8.0, 72.0, 56.0)], [(2.0, 4.0, 30.0, 28.0), (2.0, 36.0, 30.0, 60.0)]]
LABELS = [[1], [0, 1]]


class Knowing:
    """Puts out, for the images in order, what decodes to the boxes of `ON_CANVAS`: distances of one cell to sides."""

    def __init__(self, arch: Arch = ARCH) -> None:
        self.arch = arch
        self.seen: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        first = sum(map(len, self.seen))
        self.seen.append(images)
        outputs: list[tuple[torch.Tensor, ...]] = []
        for place, level in enumerate(levels_of(self.arch)):
            logits = torch.full((len(images), 2, level.height, level.width), UNLIKELY)
            distances = torch.zeros(len(images), 4, level.height, level.width)
            for index in range(len(images)) if place == 0 else ():
                for box, label in zip(ON_CANVAS[first + index], LABELS[first + index], strict=True):
                    column, row = (int((box[side] + box[side + 2]) / 2 // level.stride) for side in (0, 1))
                    x, y = (column + 0.5) * level.stride, (row + 0.5) * level.stride
                    sides = torch.tensor([x - box[0], y - box[1], box[2] - x, box[3] - y])
                    logits[index, label, row, column] = SURE
                    distances[index, :, row, column] = sides / level.stride
            outputs.append((logits, distances, torch.full_like(logits[:, :1], SURE)))
        return outputs


def split_of(folder: Path | None = None) -> DetectionSplit:
    records = []
    for index, (width, height) in enumerate(SIZES):
        pixels = np.full((height, width, 3), 200, dtype=np.uint8)
        if folder is None:
            records.append(ImageRecord(id=index, width=width, height=height, pixels=pixels))
        else:
            Image.fromarray(pixels).save(folder / f"{index}.png")
            records.append(ImageRecord(id=index, width=width, height=height, path=folder / f"{index}.png"))
    return DetectionSplit(
        images=tuple(records),
        boxes=tuple(np.array(boxes, dtype=np.float32) for boxes in IN_IMAGE),
        labels=tuple(np.array(labels, dtype=np.int64) for labels in LABELS),
        crowd=tuple(np.zeros(len(labels), dtype=bool) for labels in LABELS),
    )


@pytest.mark.parametrize("batch_size", [1, 16])
def test_boxes_come_back_in_pixels_of_each_image(batch_size: int) -> None:
    images = [record.pixels for record in split_of().images if record.pixels is not None]
    found = detect(Knowing(), images, NORMALIZATION, batch_size=batch_size)
    for each, boxes, labels in zip(found, IN_IMAGE, LABELS, strict=True):
        order = np.argsort(each.labels)
        assert each.labels[order].tolist() == labels
        np.testing.assert_allclose(each.boxes[order], boxes, atol=1e-3)
        assert [values.dtype.name for values in each] == ["float32", "float32", "int64"]


def test_the_network_sees_normalised_images_between_the_mean_colour() -> None:
    network = Knowing()
    images = [record.pixels for record in split_of().images if record.pixels is not None]
    detect(network, images, NORMALIZATION)
    (batch,) = network.seen
    assert batch.shape == (2, 3, 64, 64)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(batch[0, :, 32, 32], (200 / 255 - torch.tensor([0.5, 0.4, 0.3])) / 0.25)
    assert batch[0, :, :16].abs().max() < 0.5 / 255 / 0.25 + 1e-6  # the mean, rounded to a pixel's value


def test_a_knowing_network_scores_one(tmp_path: Path) -> None:
    score = evaluate_detection(Knowing(), split_of(tmp_path), (3, 64, 64), NORMALIZATION, bootstrap=20)
    assert (score.metric, score.count) == ("AP50", 2)
    assert (score.value, score.low, score.high) == pytest.approx((1, 1, 1))
    assert score.parts["AP"] == score.parts["AP_low"] == pytest.approx(1)
    assert score.parts["AP_small"] == pytest.approx(1)  # the boxes of the second image
    assert score.parts["AP_large"] is None
    assert (score.parts["AP50_0"], score.parts["AP50_1"]) == pytest.approx((1, 1))


def test_a_store_of_smaller_copies_gives_the_pixels_and_no_resamples_no_interval() -> None:
    split = split_of()
    store = ImageStore(split, longest=32)
    assert store.pixels(0).shape == (16, 32, 3)
    score = evaluate_detection(Knowing(), split, (3, 64, 64), NORMALIZATION, bootstrap=0, pixels=store.pixels)
    assert (score.value, score.parts["AP"]) == pytest.approx((1, 1))
    assert (score.low, score.high) == (None, None)
    assert "AP_low" not in score.parts


def test_a_real_network_is_scored_at_another_size_and_left_in_its_mode() -> None:
    torch.manual_seed(0)
    model = ARCH.build().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score = evaluate_detection(model, split_of(), (3, 96, 128), NORMALIZATION, bootstrap=5)
    assert 0 <= score.value <= 1
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_file_a_picture_and_pixels_are_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ARCH.build()
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    images: list[Picture] = [path, str(path), Image.fromarray(pixels), pixels]
    first, *others = detect(model, images, NORMALIZATION, score_threshold=0.001, batch_size=4)
    assert len(first.boxes)
    for other in others:
        for one, same in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, same)
    assert (first.boxes >= 0).all()
    assert (first.boxes <= [80, 48, 80, 48]).all()


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    split = split_of()
    empty = DetectionSplit(
        images=split.images[:1],
        boxes=(np.zeros((0, 4), dtype=np.float32),),
        labels=(np.zeros(0, dtype=np.int64),),
        crowd=(np.zeros(0, dtype=bool),),
    )
    with pytest.raises(DataError, match="without objects"):
        evaluate_detection(Knowing(), empty, (3, 64, 64), NORMALIZATION)
    with pytest.raises(DataError, match="0 images"):
        evaluate_detection(Knowing(), split.take([]), (3, 64, 64), NORMALIZATION)
    with pytest.raises(TypeError, match="arch="):
        evaluate_detection(lambda images: images, split, (3, 64, 64), NORMALIZATION)
    with pytest.raises(ValueError, match="batch_size"):
        detect(Knowing(), [], NORMALIZATION, batch_size=0)
    with pytest.raises(DataError, match="no such image file"):
        detect(Knowing(), [tmp_path / "absent.png"], NORMALIZATION)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png: not a readable image"):
        detect(Knowing(), [tmp_path / "broken.png"], NORMALIZATION)
    with pytest.raises(DataError, match=r"uint8 \(height, width, 3\)"):
        detect(Knowing(), [np.zeros((3, 8, 8), dtype=np.uint8)], NORMALIZATION)


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(AccelzooError, match=r"accelzoo\[det\]"):
        evaluate_detection(Knowing(), split_of(), (3, 64, 64), NORMALIZATION)
