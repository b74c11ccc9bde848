"""Average precision against pycocotools and by hand; its interval against the evaluator on resampled images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from accelzoo.errors import DataError
from accelzoo.tasks.detection.bootstrap import average_precision_intervals, draw_counts, resampled_precision
from accelzoo.tasks.detection.matching import match_classes
from accelzoo.tasks.detection.metrics import Detections, average_precision


class Objects(NamedTuple):
    """Objects per image, as a split holds them."""

    boxes: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]
    crowd: list[NDArray[np.bool_]]


def boxes_of(*boxes: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def objects_of(*boxes: tuple[float, float, float, float], crowd: Sequence[bool] = ()) -> Objects:
    """One image with objects of class 0."""
    flags = np.array(crowd or [False] * len(boxes), dtype=bool)
    return Objects([boxes_of(*boxes)], [np.zeros(len(boxes), dtype=np.int64)], [flags])


def found(*boxes: tuple[float, float, float, float], scores: Sequence[float]) -> list[Detections]:
    """Detections of class 0 in one image."""
    labels = np.zeros(len(boxes), dtype=np.int64)
    return [Detections(boxes_of(*boxes), np.array(scores, dtype=np.float32), labels)]


def drawn(seed: int, images: int = 12, classes: int = 3, most: int = 130) -> tuple[Objects, list[Detections]]:
    """Random objects of all sizes, some of them crowds, and detections around them and elsewhere."""
    rng = np.random.default_rng(seed)
    objects, detections = Objects([], [], []), []
    for index in range(images):
        count = 0 if index == 0 else int(rng.integers(1, 9))
        corner, side = rng.uniform(0, 300, (count, 2)), rng.uniform(4, 180, (count, 2))
        objects.boxes.append(np.hstack((corner, corner + side)).astype(np.float32))
        objects.labels.append(rng.integers(0, classes - 1, count))  # the last class has no object
        objects.crowd.append(rng.random(count) < 0.2)
        guesses = 0 if index == 1 else int(rng.integers(5, most))
        corner, side = rng.uniform(0, 300, (guesses, 2)), rng.uniform(4, 180, (guesses, 2))
        boxes, labels = np.hstack((corner, corner + side)), rng.integers(0, classes, guesses)
        if count:
            near = rng.random(guesses) < 0.6
            chosen = rng.integers(0, count, guesses)
            spread = rng.uniform(0, 12) * rng.normal(size=(guesses, 4))
            boxes = np.where(near[:, None], objects.boxes[-1][chosen] + spread, boxes)
            labels = np.where(near & (rng.random(guesses) < 0.8), objects.labels[-1][chosen], labels)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        detections.append(Detections(boxes.astype(np.float32), rng.random(guesses).astype(np.float32), labels))
    return objects, detections


def chosen(objects: Objects, images: Iterable[int]) -> Objects:
    """Some of the images, in this order."""
    picked = list(images)
    boxes, labels, crowd = objects
    return Objects([boxes[i] for i in picked], [labels[i] for i in picked], [crowd[i] for i in picked])


def by_pycocotools(objects: Objects, detections: Sequence[Detections], classes: int) -> tuple[list[Any], list[Any]]:
    """AP, AP50, AP75, AP of small, medium, large, AR100; and AP50 of each class. None where −1."""
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for index, found_here in enumerate(detections):
        for box, label, crowd in zip(*(part[index] for part in objects), strict=True):
            left, top, right, bottom = box.astype(float).tolist()
            one = {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}
            one |= {"id": len(annotations) + 1, "image_id": index, "category_id": int(label), "iscrowd": int(crowd)}
            annotations.append(one)
        for box, score, label in zip(*found_here, strict=True):
            left, top, right, bottom = box.astype(float).tolist()
            bbox = [left, top, right - left, bottom - top]
            results.append({"image_id": index, "category_id": int(label), "bbox": bbox, "score": float(score)})
    known = COCO()
    known.dataset = {
        "info": {},
        "images": [{"id": index} for index in range(len(detections))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        evaluator = COCOeval(known, known.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][0, :, :, 0, 2]
    per_class = [precision[:, label].mean() for label in range(classes)]
    stats = [evaluator.stats[place] for place in (0, 1, 2, 3, 4, 5, 8)]
    return [None if value < 0 else value for value in stats], [None if value < 0 else value for value in per_class]


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_pycocotools(seed: int) -> None:
    objects, detections = drawn(seed)
    metrics = average_precision(objects, detections, 3)
    stats, per_class = by_pycocotools(objects, detections, 3)
    values = list(asdict(metrics).values())
    assert values[:7] == pytest.approx(stats, abs=1e-6)
    assert list(metrics.per_class_ap50) == pytest.approx(per_class, abs=1e-6)
    assert metrics.per_class_ap50[2] is None
    assert metrics.images == 12


SQUARE = (10.0, 10.0, 50.0, 50.0)
OTHER = (100.0, 10.0, 140.0, 50.0)


def test_a_found_object_scores_one_and_sizes_without_objects_nothing() -> None:
    metrics = average_precision(objects_of(SQUARE), found(SQUARE, scores=[0.5]), 1)
    assert (metrics.ap, metrics.ap50, metrics.ap75, metrics.ar100) == pytest.approx((1, 1, 1, 1))
    assert (metrics.ap_small, metrics.ap_large) == (None, None)  # 40² pixels lie between 32² and 96²
    assert metrics.ap_medium == pytest.approx(1)


def test_one_of_two_objects_fills_the_recalls_up_to_a_half() -> None:
    metrics = average_precision(objects_of(SQUARE, OTHER), found(SQUARE, scores=[0.5]), 1)
    assert metrics.ap50 == pytest.approx(51 / 101)  # recalls 0, 0.01 … 0.5
    assert metrics.ar100 == pytest.approx(0.5)


def test_a_wrong_box_before_the_right_one_halves_the_precision() -> None:
    metrics = average_precision(objects_of(SQUARE), found(OTHER, SQUARE, scores=[0.9, 0.5]), 1)
    assert metrics.ap50 == pytest.approx(0.5)


def test_an_overlap_counts_up_to_its_threshold() -> None:
    wide = (10.0, 10.0, 70.0, 50.0)  # IoU 40 / 60
    metrics = average_precision(objects_of(SQUARE), found(wide, scores=[0.5]), 1)
    assert metrics.ap == pytest.approx(4 / 10)  # 0.5, 0.55, 0.6, 0.65
    assert (metrics.ap50, metrics.ap75) == pytest.approx((1, 0))


def test_boxes_in_a_crowd_count_neither_way() -> None:
    objects = objects_of(SQUARE, (90.0, 0.0, 200.0, 90.0), crowd=(False, True))
    metrics = average_precision(objects, found(OTHER, SQUARE, scores=[0.9, 0.5]), 1)
    assert metrics.ap50 == pytest.approx(1)


def test_without_objects_nothing_is_defined_and_without_detections_it_is_zero() -> None:
    nothing = average_precision(objects_of(), found(SQUARE, scores=[0.5]), 1)
    assert (nothing.ap, nothing.ap50, nothing.ar100, nothing.per_class_ap50) == (None, None, None, (None,))
    missed = average_precision(objects_of(SQUARE), found(scores=[]), 1)
    assert (missed.ap, missed.ap50, missed.ar100) == (0, 0, 0)


def test_neither_library_talks(capfd: pytest.CaptureFixture[str]) -> None:
    average_precision(objects_of(SQUARE), found(SQUARE, scores=[0.5]), 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("objects", "detections", "classes", "said"),
    [
        (objects_of(SQUARE), [], 1, "0 images for 1"),
        (objects_of(SQUARE), found(scores=[]) * 2, 1, "2 images for 1"),
        (Objects([], [], []), [], 1, "0 images"),
        (objects_of(SQUARE), found(scores=[]), 0, "annotated labels"),
        (objects_of(), [Detections(boxes_of(SQUARE), np.ones(1, np.float32), np.array([3]))], 2, "found labels"),
    ],
)
def test_what_does_not_fit_is_refused(
    objects: Objects, detections: list[Detections], classes: int, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        average_precision(objects, detections, classes)
    with pytest.raises(DataError, match=said):
        average_precision_intervals(objects, detections, classes)


@pytest.mark.parametrize("seed", range(3))
def test_resamples_score_as_the_evaluator_scores_them(seed: int) -> None:
    objects, detections = drawn(seed, images=8, most=60)
    counts = draw_counts(8, 12, seed)
    figures = resampled_precision(match_classes(objects, detections, 3), counts)
    for drawn_counts, thresholds in zip(counts, figures.T, strict=True):
        copies = np.repeat(np.arange(8), drawn_counts)
        resampled = chosen(objects, copies)
        metrics = average_precision(resampled, [detections[index] for index in copies], 3)
        assert thresholds[0] == pytest.approx(metrics.ap50, abs=1e-9)
        assert thresholds[5] == pytest.approx(metrics.ap75, abs=1e-9)
        assert thresholds.mean() == pytest.approx(metrics.ap, abs=1e-9)


def test_the_interval_holds_the_figure_and_is_the_same_each_time() -> None:
    objects, detections = drawn(5, images=30)
    metrics = average_precision(objects, detections, 3)
    intervals = average_precision_intervals(objects, detections, 3, samples=200)
    assert intervals is not None
    assert metrics.ap50 is not None
    assert metrics.ap is not None
    assert intervals.ap50.low < metrics.ap50 < intervals.ap50.high
    assert intervals.ap.low < metrics.ap < intervals.ap.high
    assert intervals == average_precision_intervals(objects, detections, 3, samples=200)
    assert intervals != average_precision_intervals(objects, detections, 3, samples=200, seed=1)


def test_the_interval_of_two_images_spans_both() -> None:
    objects = chosen(objects_of(SQUARE), [0, 0])
    detections = found(SQUARE, scores=[0.5]) + found(scores=[])
    intervals = average_precision_intervals(objects, detections, 1, samples=400)
    assert intervals is not None
    assert intervals.ap50 == pytest.approx((0, 1))  # each image is drawn twice in a quarter of the resamples


def test_without_objects_there_is_no_interval() -> None:
    assert average_precision_intervals(objects_of(), found(SQUARE, scores=[0.5]), 1, samples=5) is None
    with pytest.raises(ValueError, match="samples"):
        average_precision_intervals(objects_of(SQUARE), found(SQUARE, scores=[0.5]), 1, samples=0)


def test_counts_draw_as_many_images_evenly() -> None:
    counts = draw_counts(7, 3000, 0)
    assert counts.shape == (3000, 7)
    assert set(counts.sum(axis=1).tolist()) == {7}
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.1)
