"""Geometry and augmentation of detection examples: boxes stay on their objects, and nothing depends on the order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from accelzoo.draw import generator
from accelzoo.tasks.detection import DetectionAugment, DetectionSplit, ImageRecord, Letterbox
from accelzoo.tasks.detection.compose import Composer, Example, recolour, visible_part
from accelzoo.tasks.detection.mosaic import quadrants
from accelzoo.tasks.detection.paste import paste
from accelzoo.tasks.detection.store import ImageStore, longest_side, measure, shrunk

GREY = (90, 90, 90)
CANVAS = (48, 64)


def grey_with_box(width: int, height: int, box: tuple[int, int, int, int], level: int = 255) -> NDArray[np.uint8]:
    pixels = np.full((height, width, 3), GREY, dtype=np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = level
    return pixels


def split_of(pictures: list[NDArray[np.uint8]], boxes: list[tuple[int, int, int, int]]) -> DetectionSplit:
    return DetectionSplit(
        images=tuple(
            ImageRecord(id=index, width=image.shape[1], height=image.shape[0], pixels=image)
            for index, image in enumerate(pictures)
        ),
        boxes=tuple(np.array([box], np.float32) for box in boxes),
        labels=tuple(np.array([index], np.int64) for index in range(len(boxes))),
        crowd=tuple(np.zeros(1, np.bool_) for _ in boxes),
    )


def split_of_four() -> DetectionSplit:
    boxes = [(20, 20, 60, 50), (8, 30, 40, 70), (30, 10, 90, 40), (10, 10, 50, 50)]
    sizes = [(100, 80), (60, 90), (120, 60), (64, 64)]
    return split_of([grey_with_box(*size, box) for size, box in zip(sizes, boxes, strict=True)], boxes)


def examples(augment: DetectionAugment, count: int = 40, split: DetectionSplit | None = None) -> list[Example]:
    chosen = split or split_of_four()
    composer = Composer(chosen, ImageStore(chosen, 200), augment, CANVAS, GREY)
    return [composer.example(index % len(chosen), generator(0, index)) for index in range(count)]


def test_a_letterbox_is_the_one_computed_by_hand() -> None:
    wide = Letterbox.of(400, 200, (3, 100, 100))
    assert (wide.left, wide.top, wide.scaled_width, wide.scaled_height) == (0, 25, 100, 50)
    assert wide.to_canvas(np.array([[40.0, 20.0, 80.0, 100.0]])).tolist() == [[10, 30, 20, 50]]
    tall = Letterbox.of(10, 40, (80, 100))
    assert (tall.left, tall.top, tall.scaled_width, tall.scaled_height) == (40, 0, 20, 80)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(400, 200), (333, 517), (7, 5), (1, 90)])
def test_boxes_come_back_from_the_canvas(size: tuple[int, int], flip: bool) -> None:
    fitted = Letterbox.of(*size, (3, 96, 128))
    placed = Letterbox(
        width=size[0], height=size[1], left=fitted.left, top=fitted.top, scaled_width=fitted.scaled_width,
        scaled_height=fitted.scaled_height, canvas=fitted.canvas, flip=flip,
    )  # fmt: skip
    boxes = np.array([[0, 0, *size], [0.1, 0.2, 0.7 * size[0], 0.9 * size[1]]])
    there = placed.to_canvas(boxes)
    assert np.all(there[:, 2:] >= there[:, :2])
    assert np.allclose(placed.to_image(there), boxes, atol=1e-3)
    corner = fitted.left + fitted.scaled_width, fitted.top + fitted.scaled_height
    assert there[0].tolist() == [fitted.left, fitted.top, *corner]


def test_a_letterboxed_picture_is_where_its_boxes_say() -> None:
    pixels = grey_with_box(200, 100, (40, 20, 120, 60))
    placed = Letterbox.of(200, 100, (100, 100))
    canvas = placed.render(pixels, (0, 0, 0))
    left, top, right, bottom = placed.to_canvas(np.array([[40, 20, 120, 60]]))[0].astype(int)
    assert (canvas[top + 1 : bottom - 1, left + 1 : right - 1] == 255).all()
    assert (canvas[25:75] > 0).all()
    assert (canvas[:25] == 0).all()
    assert (canvas[75:] == 0).all()
    smaller = shrunk(pixels, 150)
    assert smaller.shape == (75, 150, 3)
    assert np.abs(placed.render(smaller, (0, 0, 0)).astype(int) - canvas).mean() < 2


def test_without_augmentation_an_example_is_the_letterboxed_image() -> None:
    split = split_of_four()
    for index, example in enumerate(examples(DetectionAugment.none(), 4, split)):
        record = split.images[index]
        placed = Letterbox.of(record.width, record.height, CANVAS)
        assert record.pixels is not None
        assert np.array_equal(example.pixels, placed.render(record.pixels, GREY))
        assert np.array_equal(example.boxes, placed.to_canvas(split.boxes[index]))
        assert not example.ignored.any()


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_stay_on_their_objects(mosaic: float) -> None:
    found = examples(DetectionAugment(photometric=0, mosaic=mosaic, min_visible=0, scale=(0.6, 1.6)))
    assert sum(len(example.boxes) for example in found) > 25
    for example in found:
        white = np.zeros(CANVAS, dtype=np.bool_)
        for left, top, right, bottom in example.boxes:
            white[round(float(top)) : round(float(bottom)), round(float(left)) : round(float(right))] = True
        bright = example.pixels[..., 0] > 172  # halfway from ground to object
        assert (white != bright).sum() <= 1.2 * sum(
            2 * (right - left + bottom - top) for left, top, right, bottom in example.boxes
        )


def test_mosaics_show_four_images_and_tile_the_canvas() -> None:
    shown = {len(set(example.labels.tolist())) for example in examples(DetectionAugment(mosaic=1))}
    assert max(shown) >= 3
    for seed in range(20):
        covered = np.zeros(CANVAS, dtype=np.int64)
        for left, top, right, bottom in quadrants(CANVAS, generator(seed)):
            assert min(right - left, bottom - top) > 0
            covered[top:bottom, left:right] += 1
        assert (covered == 1).all()


def test_flips_mirror_pixels_and_boxes() -> None:
    split = split_of_four()
    plain, mirrored = (
        examples(DetectionAugment(flip=flip, scale=(1, 1), photometric=0, mosaic=0), 4, split) for flip in (0, 1)
    )
    for before, after in zip(plain, mirrored, strict=True):
        expected = before.boxes[:, [2, 1, 0, 3]].copy()
        expected[:, [0, 2]] = CANVAS[1] - expected[:, [0, 2]]
        assert np.abs(after.boxes - expected).max() <= 1  # a centred image of odd width lies half a pixel off
        columns = np.abs(after.pixels.astype(int) - before.pixels[:, ::-1]).mean()
        assert columns < 6


def test_what_a_crop_leaves_of_an_object_is_kept_ignored_or_gone() -> None:
    boxes = np.array([[0, 0, 20, 20], [12, 0, 32, 20], [18, 0, 38, 20], [40, 0, 60, 20], [2, 2, 3, 15]], np.float32)
    crowd = np.array([False, False, False, False, False])
    cut, kept, ignored = visible_part(boxes, (0, 0, 20, 20), crowd, 0.3)
    assert kept.tolist() == [True, True, True, False, True]
    assert cut.tolist() == [[0, 0, 20, 20], [12, 0, 20, 20], [18, 0, 20, 20], [2, 2, 3, 15]]
    assert ignored.tolist() == [False, False, True, True]  # 40 % and 10 % visible; one pixel wide
    assert visible_part(boxes[:1], (0, 0, 20, 20), np.array([True]), 0.3)[2].tolist() == [True]
    nothing = visible_part(np.zeros((0, 4), np.float32), (0, 0, 9, 9), np.zeros(0, np.bool_), 0.3)
    assert [len(part) for part in nothing] == [0, 0, 0]


def test_pasted_objects_are_copied_and_hide_what_they_cover() -> None:
    source = grey_with_box(40, 40, (4, 6, 34, 36))
    for seed in range(10):
        canvas = np.zeros((40, 40, 3), dtype=np.uint8)
        below = np.array([[16, 16, 22, 22], [0, 0, 2, 2]], np.float32)
        objects = np.array([[4, 6, 34, 36]], np.float32)
        found = paste(canvas, below, source, objects, 0.3, generator(seed))
        (left, top, right, bottom), *_ = found.boxes.astype(int)
        assert (right - left, bottom - top) == (30, 30)
        assert (canvas[top:bottom, left:right] == 255).all()
        assert (canvas == 255).all(axis=2).sum() == 900
        assert bool(found.hidden[0])  # a box of 30 pixels always covers the middle of 40


def test_pasting_adds_objects_to_examples() -> None:
    plain = examples(DetectionAugment(mosaic=0, copy_paste=0))
    pasted = examples(DetectionAugment(mosaic=0, copy_paste=1))
    assert sum(len(example.boxes) for example in pasted) > 1.5 * sum(len(example.boxes) for example in plain)
    for example in pasted:
        assert len(example.boxes) == len(example.labels) == len(example.ignored)
        assert (example.boxes >= 0).all()
        assert (example.boxes <= np.array([64, 48, 64, 48])).all()


def test_colours_change_within_their_strength() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    pixels = rng.integers(60, 180, (8, 8, 3), dtype=np.uint8)
    assert recolour(pixels, 0.0, generator(1)) is pixels
    changed = [recolour(pixels, 0.5, generator(seed)) for seed in range(8)]
    assert len({image.tobytes() for image in changed}) == 8
    slight = recolour(pixels, 0.01, generator(0)).astype(int) - pixels
    assert np.abs(slight).max() <= 5
    grey = np.full((8, 8, 3), 120, dtype=np.uint8)
    shades = recolour(grey, 0.5, generator(3)).astype(int)
    assert np.ptp(shades, axis=2).max() <= 1  # a hue cannot change grey


def test_examples_are_functions_of_their_generator() -> None:
    first, again = (examples(DetectionAugment(copy_paste=0.5), 6) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.boxes, other.boxes)


def test_a_store_keeps_what_fits_and_gives_equal_pixels() -> None:
    split = split_of_four()
    small, large = ImageStore(split, 50, memory_bytes=6000), ImageStore(split, 50)
    for index in range(4):
        assert max(large.pixels(index).shape) <= 50
        assert np.array_equal(small.pixels(index), large.pixels(index))
    assert small.kept == 1
    assert large.kept == 4
    with pytest.raises(ValueError, match="read-only"):
        large.pixels(0)[0] = 0
    assert longest_side((3, 96, 128), 1.5) == 192
    assert longest_side((3, 96, 128), 0.5) == 128


def test_statistics_are_those_of_the_pixels() -> None:
    split = split_of([np.full((10, 10, 3), level, np.uint8) for level in (51, 153)], [(0, 0, 5, 5)] * 2)
    statistics = measure(split)
    assert statistics.mean == pytest.approx((0.4, 0.4, 0.4))
    assert statistics.std == pytest.approx((0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    "wrong", [{"flip": 1.1}, {"scale": (1.5, 0.5)}, {"scale": (0, 1)}, {"photometric": 1}, {"mosaic": -1}]
)
def test_augmentation_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectionAugment(**wrong)  # type: ignore[arg-type]
