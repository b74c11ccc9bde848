"""Scoring networks of a slimmable one: statistics measured anew for each, on images kept apart for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from accelzoo import draw
from accelzoo.errors import DataError
from accelzoo.search.genomes import checked_matrix
from accelzoo.search.space import Genome
from accelzoo.search.width.slimmable.extract import build_subnet
from accelzoo.search.width.slimmable.net import SlimmableNet
from accelzoo.tasks.classification import evaluate, normalize
from accelzoo.tasks.data import SearchView, Split, TrainingView
from accelzoo.tasks.metrics import Metrics
from accelzoo.tasks.splitting import carve

Floats = npt.NDArray[np.float64]
_HELD_OUT_STREAM, _ORDER_STREAM = 0x4E1D, 0x0BDE


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthScores:
    """What networks score on held-out images.

    Attributes:
        genomes: The networks.
        metrics: One per network.
    """

    genomes: tuple[Genome, ...]
    metrics: tuple[Metrics, ...]

    @property
    def accuracies(self) -> Floats:
        """Top-1, 0 … 1, `(n,)`."""
        return np.array([metrics.top1 for metrics in self.metrics])

    @property
    def errors(self) -> Floats:
        """Share of wrong images, 0 … 1, `(n,)`."""
        return 1 - self.accuracies

    @property
    def losses(self) -> Floats:
        """Mean cross-entropy in nats, `(n,)`."""
        return np.array([metrics.loss for metrics in self.metrics])


def hold_out(view: SearchView, fraction: float = 0.1, *, seed: int = 0) -> SearchView:
    """Puts training images aside, class by class, for choosing widths (Yu & Huang 2019, AutoSlim, §4).

    The view's own validation images stay unseen until the chosen networks are trained.

    Args:
        view: Training and validation images.
        fraction: Share of the training images to put aside.
        seed: Of the draw.

    Returns:
        The view with the rest to train on and what was put aside as validation.

    Raises:
        DataError: If the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction (={fraction}) must lie between 0 and 1")
    kept, aside = carve(view.train.labels, fraction, draw.generator(seed, _HELD_OUT_STREAM))
    return replace(view, train=view.train.take(kept), validation=view.train.take(aside))


@torch.no_grad()
def recalibrate(
    model: nn.Module, split: Split, *, images: int = 2048, batch_size: int = 256, seed: int = 0
) -> None:
    """Measures the statistics of every batch normalisation anew, in place (Yu & Huang 2019, §3.1: post-statistics).

    They become exact averages over batches of training images as they are, without augmentation; nothing else of the
    network is in training mode meanwhile. The network comes back in eval mode.

    Args:
        model: Any network.
        split: Training images.
        images: How many of them, drawn class by class.
        batch_size: Images at a time.
        seed: Of the draw and of the order.

    Raises:
        DataError: If there are fewer than two images.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNormAct2d)]
    taken = split.subset(images, seed=seed)
    if len(taken) < 2:
        raise DataError(f"statistics need at least 2 images, got {len(taken)}")
    taken = taken.take(np.array(draw.permutation(draw.generator(seed, _ORDER_STREAM), len(taken)), np.int64))
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for averages that weigh all batches alike
        norm.train()
    try:
        for start in range(0, max(1, len(taken) // batch_size) * batch_size, batch_size):
            pixels = torch.from_numpy(taken.images[start : start + batch_size]).to(device)
            model(normalize(pixels.contiguous(memory_format=torch.channels_last), taken.normalization))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


def score_widths(
    net: SlimmableNet,
    genomes: npt.ArrayLike | Sequence[Genome],
    view: TrainingView,
    *,
    images: int = 2048,
    batch_size: int = 256,
    seed: int = 0,
) -> WidthScores:
    """Scores networks with the weights that they share; the slimmable network stays as it is.

    Each is cut out, gets statistics of its own from training images, and is evaluated on the view's validation images:
    those of `hold_out`, where widths are to be chosen by the scores.

    Args:
        net: Holds the weights.
        genomes: int64 `(n, groups)`.
        view: Training images for the statistics, validation images for the scores.
        images: Training images for the statistics of each.
        batch_size: Images at a time.
        seed: Of the draw of training images.

    Raises:
        ShapeError: If a genome does not fit the space.
        DataError: If there are no validation images, or fewer than two training images.
    """
    rows = checked_matrix(np.asarray(genomes, np.int64), net.space.sizes)
    found = []
    for genome in rows:
        network = build_subnet(net, genome)
        recalibrate(network, view.train, images=images, batch_size=batch_size, seed=seed)
        found.append(evaluate(network, view.validation, batch_size=batch_size))
    return WidthScores(genomes=tuple(rows), metrics=tuple(found))
