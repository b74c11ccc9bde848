"""What a segmentation network is trained by: class-weighted cross-entropy plus soft dice of the labelled pixels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from accelzoo.tasks.segmentation.masks import IGNORE
from accelzoo.tasks.segmentation.resizing import bilinear_matrix, resize_maps
from accelzoo.tasks.segmentation.view import Weighting

_LOG_OFFSET = 1.02  # Paszke et al. 2016: weights up to 50
_MEDIAN_CAP = 50.0


def class_weights(pixels: NDArray[np.int64], weighting: Weighting) -> Tensor:
    """Returns the weight of each class in the cross-entropy, scaled so that the mean over labelled pixels is 1.

    `log` is 1 / ln(1.02 + p) with the class's share p of all pixels (Paszke et al. 2016, ENet, §5.2); `median` is the
    median of all frequencies over the class's own, a frequency being the share of pixels in the images that show the
    class (Eigen & Fergus 2015), of labelled pixels, here 50 at most. A class that is never seen gets weight 0.

    Args:
        pixels: int64 (images, classes), pixels of each class in each training image.
        weighting: Which rule; `none` gives every class weight 1.

    Returns:
        float32 (classes,).
    """
    totals = pixels.sum(0).astype(np.float64)
    seen = totals > 0
    if weighting == "none":
        return torch.ones(len(totals))
    share = totals / totals.sum()
    if weighting == "log":
        weights = 1 / np.log(_LOG_OFFSET + share)
    else:
        shown_in = ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
        frequency = np.divide(totals, shown_in, out=np.ones_like(totals), where=seen)
        weights = np.minimum(np.median(frequency[seen]) / frequency, _MEDIAN_CAP)
    weights = np.where(seen, weights, 0.0)
    return torch.tensor(weights / (weights @ share), dtype=torch.float32)


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None, dice: float = 1.0) -> Tensor:
    """Returns weighted cross-entropy in nats per labelled pixel, plus `dice` times the soft dice loss.

    Logits are brought to the labels' size first (bilinear). A batch without a labelled pixel has loss 0.

    Args:
        logits: Float (batch, classes, any height, any width).
        labels: uint8 or int64 (batch, height, width); `IGNORE` (255) counts for nothing.
        weights: float32 (classes,), see `class_weights`; None: all 1.
        dice: Weight of the dice term.
    """
    maps = logits.float().permute(1, 0, 2, 3)  # classes first: sums over pixels then run along memory
    if maps.shape[2:] != labels.shape[1:]:
        rows, columns = (bilinear_matrix(*sizes) for sizes in zip(maps.shape[2:], labels.shape[1:], strict=True))
        maps = resize_maps(maps, rows, columns)
    log_likelihood = F.log_softmax(maps.flatten(1), 0)
    flat = labels.flatten().long()
    labelled = flat != IGNORE
    flat = flat.where(labelled, 0)
    right = log_likelihood.gather(0, flat[None])[0]
    weight = labelled.float() if weights is None else labelled * weights[flat]
    loss = -(weight * right).sum() / labelled.sum().clamp(min=1)
    return loss + dice * _dice(log_likelihood.exp(), right.exp(), flat, labelled) if dice else loss


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Returns 1 − the mean dice coefficient over the classes that the batch shows (Milletari et al. 2016, §3).

    The coefficient of a class is 2 Σ p·g / (Σ p² + Σ g²), with sums over all labelled pixels of the batch.

    Args:
        probabilities: Float (batch, classes, height, width), of each class.
        labels: uint8 or int64 (batch, height, width); `IGNORE` (255) counts for nothing.
    """
    by_class, flat = probabilities.movedim(1, 0).flatten(1), labels.flatten().long()
    labelled = flat != IGNORE
    flat = flat.where(labelled, 0)
    return _dice(by_class, by_class.gather(0, flat[None])[0], flat, labelled)


def _dice(probabilities: Tensor, right: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    classes = torch.arange(len(probabilities), device=labels.device)
    truth = ((labels == classes[:, None]) & labelled).float()
    pixels = truth.sum(1)
    squares = probabilities.square() @ labelled.float() + pixels
    shown = pixels > 0
    coefficients = torch.where(shown, 2 * (truth @ right) / squares.clamp(min=1e-6), 0)
    return shown.any() * (1 - coefficients.sum() / shown.sum().clamp(min=1))
