"""Image classification in torch: the loss, and the evaluation of a network on a split."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accelzoo.errors import DataError
from accelzoo.tasks.data import Normalization, Split
from accelzoo.tasks.metrics import Metrics


def classification_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Returns the mean cross-entropy in nats (label smoothing: Szegedy et al. 2016, section 7).

    Args:
        logits: (batch, classes).
        labels: int64 (batch,).
        label_smoothing: Share of the target spread evenly over all classes.
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)


def normalize(images: Tensor, normalization: Normalization) -> Tensor:
    """Turns uint8 (batch, channels, height, width) into the float32 a network sees: (pixel / 255 − mean) / std."""
    mean = torch.tensor(normalization.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(normalization.std, device=images.device).view(1, -1, 1, 1)
    return images.float().mul_(1 / (255 * std)).sub_(mean / std)


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, *, batch_size: int = 256) -> Metrics:
    """Scores a network on a split, in float32, on the device its weights are on.

    Args:
        model: Maps float32 (batch, channels, height, width) to logits (batch, classes); its mode is restored.
        split: The images; they are normalised as the split says.
        batch_size: Images at a time; the result does not depend on it beyond float rounding.

    Raises:
        DataError: If the split is empty, or the labels do not fit the network's classes.
    """
    if not len(split):
        raise DataError("cannot evaluate on an empty split")
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    losses: list[Tensor] = []
    try:
        for start in range(0, len(split), batch_size):
            stop = start + batch_size
            images = torch.from_numpy(split.images[start:stop]).to(device)
            labels = torch.from_numpy(split.labels[start:stop]).to(device)
            logits = model(normalize(images.contiguous(memory_format=torch.channels_last), split.normalization))
            if start == 0 and int(split.labels.max()) >= logits.shape[1]:
                raise DataError(f"labels go up to {int(split.labels.max())}, the network has {logits.shape[1]} classes")
            correct += (logits.argmax(1) == labels).sum()
            losses.append(F.cross_entropy(logits.float(), labels, reduction="sum"))
    finally:
        model.train(was_training)
    loss = float(torch.stack(losses).cpu().double().sum())  # not every device has float64
    return Metrics(correct=int(correct), count=len(split), loss=loss / len(split))
