"""Runs a segmentation network on whole images and scores it at their own resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from accelzoo.errors import DataError
from accelzoo.tasks.classification import normalize
from accelzoo.tasks.data import Normalization
from accelzoo.tasks.score import DenseScore
from accelzoo.tasks.segmentation.data import SegmentationSplit
from accelzoo.tasks.segmentation.metrics import (
    SegmentationMetrics,
    confusion_matrix,
    mean_iou_interval,
    measure,
)
from accelzoo.tasks.segmentation.placing import Placement
from accelzoo.tasks.segmentation.resizing import bilinear_matrix, resize_maps

METRIC = "mIoU"
Network = Callable[[Tensor], Any]


def evaluate_segmentation(
    model: Network,
    split: SegmentationSplit,
    input_size: Sequence[int],
    normalization: Normalization,
    *,
    stretch: bool = False,
    batch_size: int = 16,
    bootstrap: int = 1000,
) -> DenseScore:
    """Scores a network by its mean IoU at the masks' own resolution.

    Args:
        model: Maps float32 (batch, 3, height, width) to logits (batch, classes, any height, any width): a module, whose
            mode is restored, or anything that can be called alike (a quantised network).
        split: Images with masks.
        input_size: (height, width) of the network's input.
        normalization: What the network was trained with.
        stretch: As in training.
        batch_size: Images at a time; the result does not depend on it beyond float rounding.
        bootstrap: Draws for the 95 % interval over images; 0: no interval.

    Returns:
        `value` is the mean IoU over the classes that the masks show; `parts` hold `pixel_accuracy` and the IoU of each
        class, `IoU NAME`, None for a class that no mask shows.

    Raises:
        DataError: If the split is empty, or the network's classes are not the data's.
    """
    matrices = confusion_matrices(
        model, split, input_size, normalization, stretch=stretch, batch_size=batch_size
    )
    low, high = mean_iou_interval(matrices, draws=bootstrap) if bootstrap else (None, None)
    return score(measure(matrices), split.class_names, low, high)


def score(
    metrics: SegmentationMetrics, class_names: Sequence[str], low: float | None = None, high: float | None = None
) -> DenseScore:
    """Returns metrics as the value that trainings record."""
    by_class = {f"IoU {name}": iou for name, iou in zip(class_names, metrics.class_iou, strict=True)}
    return DenseScore(
        metric=METRIC,
        value=metrics.mean_iou,
        count=metrics.images,
        low=low,
        high=high,
        parts={"pixel_accuracy": metrics.pixel_accuracy, **by_class},
    )


def confusion_matrices(
    model: Network,
    split: SegmentationSplit,
    input_size: Sequence[int],
    normalization: Normalization,
    *,
    stretch: bool = False,
    batch_size: int = 16,
) -> NDArray[np.int64]:
    """Returns the confusion matrix of each image, int64 (images, classes, classes); see `evaluate_segmentation`.

    Raises:
        DataError: If the split is empty, or the network's classes are not the data's.
    """
    if not len(split):
        raise DataError("cannot evaluate on an empty split")
    images = (split.image(index) for index in range(len(split)))
    classes, matrices = len(split.class_names), []
    predictions = _predict(model, images, input_size, normalization, stretch, batch_size, classes)
    for index, predicted in enumerate(predictions):
        labels = torch.from_numpy(split.mask(index)).to(predicted.device)
        matrices.append(confusion_matrix(predicted, labels, classes))
    return np.stack(matrices)


def segment(
    model: Network,
    images: Sequence[NDArray[np.uint8]],
    input_size: Sequence[int],
    normalization: Normalization,
    *,
    stretch: bool = False,
    batch_size: int = 16,
) -> list[NDArray[np.uint8]]:
    """Returns the class of every pixel of images, uint8 (height, width) each.

    Args:
        model: As in `evaluate_segmentation`.
        images: uint8 (height, width, 3) each, of any size.
        input_size: (height, width) of the network's input.
        normalization: What the network was trained with.
        stretch: As in training.
        batch_size: Images at a time.
    """
    predictions = _predict(model, iter(images), input_size, normalization, stretch, batch_size, None)
    return [predicted.to(torch.uint8).cpu().numpy() for predicted in predictions]


def _predict(
    model: Network,
    images: Iterator[NDArray[np.uint8]],
    input_size: Sequence[int],
    normalization: Normalization,
    stretch: bool,
    batch_size: int,
    classes: int | None,
) -> Iterator[Tensor]:
    module = model if isinstance(model, nn.Module) else nn.Module()
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    was_training = module.training
    module.eval()
    canvas = (int(input_size[0]), int(input_size[1]))
    try:
        while batch := list(islice(images, batch_size)):
            with torch.inference_mode():
                yield from _predict_batch(model, batch, canvas, normalization, stretch, device, classes)
    finally:
        module.train(was_training)


def _predict_batch(
    model: Network,
    images: Sequence[NDArray[np.uint8]],
    canvas: tuple[int, int],
    normalization: Normalization,
    stretch: bool,
    device: torch.device,
    classes: int | None,
) -> list[Tensor]:
    places = [Placement.of(image.shape[0], image.shape[1], canvas, stretch=stretch) for image in images]
    placed = [letterbox(image, place, canvas, normalization) for image, place in zip(images, places, strict=True)]
    batch = torch.from_numpy(np.stack(placed)).to(device).permute(0, 3, 1, 2)
    logits = model(normalize(batch, normalization)).float()
    if logits.ndim != 4 or (classes is not None and logits.shape[1] != classes):
        raise DataError(f"the data have {classes} classes, the network's output is {tuple(logits.shape)}")
    rows = zip(logits, places, images, strict=True)
    return [_restore(maps, place, canvas, image.shape[:2]) for maps, place, image in rows]


def letterbox(
    image: NDArray[np.uint8], place: Placement, canvas: tuple[int, int], normalization: Normalization
) -> NDArray[np.uint8]:
    """Puts an image, uint8 (height, width, 3), on a canvas of the mean colour, resized with antialiasing (bilinear)."""
    fill = np.round(np.array(normalization.mean) * 255).astype(np.uint8)
    out = np.empty((*canvas, 3), dtype=np.uint8)
    out[:] = fill
    resized = Image.fromarray(image).resize((place.width, place.height), Image.Resampling.BILINEAR)
    out[place.top : place.top + place.height, place.left : place.left + place.width] = np.asarray(resized)
    return out


def _restore(logits: Tensor, place: Placement, canvas: tuple[int, int], size: Sequence[int]) -> Tensor:
    """Brings logits to the canvas's size, takes the image's part and brings that to the image's size, all in one."""
    lower = bilinear_matrix(logits.shape[1], canvas[0])[place.top : place.top + place.height]
    across = bilinear_matrix(logits.shape[2], canvas[1])[place.left : place.left + place.width]
    rows = bilinear_matrix(place.height, size[0]) @ lower
    columns = bilinear_matrix(place.width, size[1]) @ across
    return _highest(resize_maps(logits, rows, columns))


def _highest(maps: Tensor) -> Tensor:
    """Returns what `maps.argmax(0)` returns, without its slow walk across memory on a CPU."""
    best, label = maps[0], torch.zeros_like(maps[0], dtype=torch.int64)
    for number, other in enumerate(maps[1:], 1):
        label.masked_fill_(other > best, number)
        best = torch.maximum(best, other)
    return label
