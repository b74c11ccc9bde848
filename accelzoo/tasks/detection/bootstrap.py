"""How far average precision could lie from what the images at hand give: percentile intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelzoo.draw import generator
from accelzoo.tasks.detection.matching import THRESHOLDS, ClassMatches, match_classes
from accelzoo.tasks.detection.metrics import Detections, Truth, check_detections

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which the COCO protocol reads the precision."""
_STREAM = 0xB007
_MOST_COUNTS = 1 << 23  # detections times resamples held at a time
_QUANTILES = (0.025, 0.975)


class Interval(NamedTuple):
    """Both ends of a 95 % interval."""

    low: float
    high: float


class Intervals(NamedTuple):
    """Intervals of AP at IoU 0.5, and of AP averaged over the IoU thresholds 0.5 … 0.95."""

    ap50: Interval
    ap: Interval


def average_precision_intervals(
    truth: Truth, detections: Sequence[Detections], num_classes: int, *, samples: int = 1000, seed: int = 0
) -> Intervals | None:
    """Returns 95 % intervals from resampled images (Efron & Tibshirani 1993, §13.3: percentiles).

    Detections are matched once; a resample only counts each image's matches several times or not at all. A class
    without an object in a resample is left out of that resample's mean, as the protocol does.

    Args:
        truth: The objects of each image.
        detections: What was found in each image, in the same order.
        num_classes: Labels lie below it.
        samples: Resamples.
        seed: Draws them.

    Returns:
        None if no resample has an object.

    Raises:
        DataError: If the images do not match, or a label is out of range.
        ValueError: If `samples` is below 1.
    """
    if samples < 1:
        raise ValueError(f"samples (={samples}) must be at least 1")
    check_detections(truth, detections, num_classes)
    figures = resampled_precision(match_classes(truth, detections, num_classes), draw_counts(
        len(detections), samples, seed
    ))
    mean = figures.mean(axis=0)  # over thresholds
    defined = ~np.isnan(mean)
    if not defined.any():
        return None
    ends = [Interval(*map(float, np.quantile(each[defined], _QUANTILES))) for each in (figures[0], mean)]
    return Intervals(*ends)


def draw_counts(images: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Draws how often each image is in each resample of as many images, (samples, images)."""
    raw = generator(seed, _STREAM).bit_generator.random_raw(samples * images)
    drawn = ((raw >> np.uint64(11)) * (2.0**-53 * images)).astype(np.int64).clip(max=images - 1)
    cells = drawn + np.repeat(np.arange(samples) * images, images)
    return np.bincount(cells, minlength=samples * images).reshape(samples, images)


def resampled_precision(classes: Sequence[ClassMatches], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average precision of each resample, averaged over the classes that have an object in it.

    Args:
        classes: The matches of each class.
        counts: (samples, images), how often each image is drawn.

    Returns:
        (thresholds, samples); NaN in a resample without any object.
    """
    total = np.zeros((len(THRESHOLDS), len(counts)))
    known = np.zeros(len(counts), dtype=np.int64)
    for matches in classes:
        objects = counts @ matches.objects
        defined = objects > 0
        known += defined
        chunk = max(1, _MOST_COUNTS // max(1, len(matches.images)))
        for start in range(0, len(counts), chunk):
            part = slice(start, start + chunk)
            total[:, part] += np.where(defined[part], _of_class(matches, counts[part], objects[part]), 0)
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)


def _of_class(
    matches: ClassMatches, counts: NDArray[np.int64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average precision of one class, (thresholds, samples), wherever there are objects."""
    before = counts[:, matches.images].cumsum(axis=1)  # (samples, detections) so far, each with all of its copies
    found = np.empty((len(THRESHOLDS), len(counts)))
    for index, (right, ignored) in enumerate(zip(matches.right, matches.ignored, strict=True)):
        places = np.flatnonzero(right)
        good = counts[:, matches.images[places]].cumsum(axis=1)
        all_so_far = before[:, places]
        if ignored.any():
            dropped = np.flatnonzero(ignored)
            gone = np.pad(counts[:, matches.images[dropped]].cumsum(axis=1), ((0, 0), (1, 0)))
            all_so_far = all_so_far - gone[:, np.searchsorted(dropped, places)]
        found[index] = _area(good, all_so_far, objects)
    return found


def _area(
    good: NDArray[np.int64], all_so_far: NDArray[np.int64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean over `RECALLS` of the best precision at that recall or above.

    Only right detections matter: between them recall stands still and precision falls.

    Args:
        good: (samples, right detections), how many are right up to each right detection.
        all_so_far: The same of all detections.
        objects: (samples,).
    """
    precision = good / np.maximum(all_so_far, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, good / np.maximum(objects, 1)[:, None], side="right")
    newly = np.diff(reached, axis=1, prepend=0)
    area: NDArray[np.float64] = (newly * best).sum(axis=1) / len(RECALLS)
    return area
