"""A detector on images: what it finds in them, and what it scores on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from accelzoo.arch import Arch
from accelzoo.detection.decoder import DetectionDecoder, postprocessor
from accelzoo.errors import DataError
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.detection.bootstrap import average_precision_intervals
from accelzoo.tasks.detection.data import DetectionSplit, Pixels
from accelzoo.tasks.detection.letterbox import Letterbox
from accelzoo.tasks.detection.metrics import Detections, average_precision
from accelzoo.tasks.detection.pictures import decode
from accelzoo.tasks.detection.unlabelled import Picture, read_picture
from accelzoo.tasks.score import DenseScore

LOWEST_SCORE = 0.01
"""Detections below it are left out of a score: they come last, where they hardly change it."""

Network = Callable[[torch.Tensor], Any]
"""A built network, or a stand-in that gives the same outputs (a quantised one)."""


class _Shown(NamedTuple):
    """An image, perhaps made smaller, and the size of the original."""

    pixels: Pixels
    width: int
    height: int


def detect(
    model: Network,
    images: Iterable[Picture],
    normalization: Normalization,
    *,
    input_size: Sequence[int] | None = None,
    arch: Arch | None = None,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.5,
    batch_size: int = 16,
) -> list[Detections]:
    """Finds objects in images of any size, each letterboxed to the network's input.

    Args:
        model: Maps float32 (batch, 3, height, width) to what its head gives; its mode is restored.
        images: Files, PIL images or uint8 arrays (height, width, 3); read as they are needed.
        normalization: Mean and standard deviation that the network was trained with.
        input_size: (3, height, width); None: that of the architecture.
        arch: The network's architecture; None: `model.arch`.
        score_threshold: Detections score above it.
        iou_threshold: Of two boxes of a class that overlap by more than this share of their union, the better stays.
        batch_size: Images at a time.

    Returns:
        Per image, boxes in its own pixels, the best first.

    Raises:
        DataError: If an image cannot be read.
        TypeError: If there is no architecture, or it is no detector.
        ValueError: If a threshold lies outside 0 … 1, or `batch_size` is below 1.
    """
    at_size = _arch_of(model, arch, input_size)
    shown = (_Shown(pixels, pixels.shape[1], pixels.shape[0]) for pixels in map(read_picture, images))
    decoder = postprocessor(at_size, score_threshold, iou_threshold)
    return _detect(model, decoder, shown, normalization, batch_size)


def evaluate_detection(
    model: Network,
    split: DetectionSplit,
    input_size: Sequence[int],
    normalization: Normalization,
    *,
    batch_size: int = 16,
    bootstrap: int = 1000,
    seed: int = 0,
    arch: Arch | None = None,
    pixels: Callable[[int], Pixels] | None = None,
) -> DenseScore:
    """Scores a detector on a split by average precision at IoU 0.5, over the classes that the split has.

    Args:
        model: Maps float32 (batch, 3, height, width) to what its head gives; its mode is restored.
        split: Images and objects.
        input_size: (3, height, width) to letterbox images to.
        normalization: Mean and standard deviation of the train split.
        batch_size: Images at a time.
        bootstrap: Resamples for the 95 % interval; 0: none is computed.
        seed: Draws the resamples.
        arch: The network's architecture; None: `model.arch`.
        pixels: Gives an image by its index, as `PlacedStore.pixels` does: it may be smaller than the image; None:
            images are decoded one by one.

    Returns:
        `AP50`; its parts are the other figures of `DetectionMetrics`, the ends of the interval of `AP`, and `AP50` of
        each class by its label (`AP50_0` …) where there are several.

    Raises:
        DataError: If the split is empty or has no object, an image cannot be read, or labels do not fit the network.
        MissingToolError: If the extra `det` is not installed.
        TypeError: If there is no architecture, or it is no detector.
    """
    at_size = _arch_of(model, arch, input_size)
    shown = (
        _Shown(decode(record) if pixels is None else pixels(index), record.width, record.height)
        for index, record in enumerate(split.images)
    )
    detections = _detect(model, postprocessor(at_size, LOWEST_SCORE), shown, normalization, batch_size)
    return _score(split, detections, at_size.head.num_classes, bootstrap, seed)


def _detect(
    model: Network, decoder: DetectionDecoder, images: Iterator[_Shown], normalization: Normalization, batch_size: int
) -> list[Detections]:
    """What is found in each image, read as it is needed."""
    if batch_size < 1:
        raise ValueError(f"batch_size (={batch_size}) must be at least 1")
    device = next((each.device for each in model.parameters()), None) if isinstance(model, nn.Module) else None
    decoder = decoder.to(device)
    found: list[Detections] = []
    with torch.inference_mode(), _evaluating(model):
        while batch := list(islice(images, batch_size)):
            found += _of_batch(model, decoder, batch, normalization, device)
    return found


def _of_batch(
    model: Network,
    decoder: DetectionDecoder,
    images: Sequence[_Shown],
    normalization: Normalization,
    device: torch.device | None,
) -> list[Detections]:
    places = [Letterbox.of(image.width, image.height, decoder.image) for image in images]
    red, green, blue = [round(255 * mean) for mean in normalization.mean]
    canvases = [place.render(image.pixels, (red, green, blue)) for place, image in zip(places, images, strict=True)]
    batch = torch.from_numpy(np.stack(canvases)).to(device).permute(0, 3, 1, 2)  # so it is channels-last
    decoded = [values.cpu().numpy() for values in decoder(model(normalize(batch, normalization)))]
    return [_in_image(place, *[values[index] for values in decoded]) for index, place in enumerate(places)]


def _in_image(place: Letterbox, boxes: Any, scores: Any, labels: Any) -> Detections:
    """Brings the boxes on the canvas back to the image, within its sides; those beside it vanish."""
    back = place.to_image(boxes)
    back[:, 0::2] = back[:, 0::2].clip(0, place.width)
    back[:, 1::2] = back[:, 1::2].clip(0, place.height)
    kept = (labels >= 0) & (back[:, 2] > back[:, 0]) & (back[:, 3] > back[:, 1])
    return Detections(boxes=back[kept], scores=scores[kept].astype(np.float32), labels=labels[kept].astype(np.int64))


def _score(
    split: DetectionSplit, detections: Sequence[Detections], num_classes: int, samples: int, seed: int
) -> DenseScore:
    metrics = average_precision(split, detections, num_classes)
    if metrics.ap50 is None:
        raise DataError("cannot score a detector on a split without objects")
    parts: dict[str, float | None] = {
        "AP": metrics.ap,
        "AP75": metrics.ap75,
        "AP_small": metrics.ap_small,
        "AP_medium": metrics.ap_medium,
        "AP_large": metrics.ap_large,
        "AR100": metrics.ar100,
    }
    if num_classes > 1:
        parts |= {f"AP50_{label}": value for label, value in enumerate(metrics.per_class_ap50)}
    low = high = None
    if samples:
        intervals = average_precision_intervals(split, detections, num_classes, samples=samples, seed=seed)
        if intervals is not None:
            low, high = intervals.ap50
            parts |= {"AP_low": intervals.ap.low, "AP_high": intervals.ap.high}
    return DenseScore(metric="AP50", value=metrics.ap50, count=metrics.images, low=low, high=high, parts=parts)


def _arch_of(model: Network, arch: Arch | None, input_size: Sequence[int] | None) -> Arch:
    known = getattr(model, "arch", None) if arch is None else arch
    if not isinstance(known, Arch):
        raise TypeError(f"a {type(model).__name__} has no `arch`: name the architecture with arch=…")
    if input_size is None:
        return known
    channels, height, width = input_size
    return replace(known, input_size=(channels, height, width))


@contextmanager
def _evaluating(model: Network) -> Iterator[None]:
    """Puts a module in eval mode for a while."""
    if not isinstance(model, nn.Module):
        yield
        return
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
