"""Slimmable training: `accelzoo.train.fit` with a loss of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from accelzoo.search.width.slimmable.errors import AdditiveErrors
from accelzoo.search.width.slimmable.net import SlimmableNet
from accelzoo.search.width.slimmable.objective import SlimmableObjective, SlimmablePlan
from accelzoo.search.width.slimmable.samplers import UniformWidths, WidthSampler
from accelzoo.tasks.data import TrainingView
from accelzoo.train import Progress, TrainConfig, TrainResult, fit
from accelzoo.training.loop import Resume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlimmableResult:
    """What slimmable training returns; the trained weights are in the network it was given.

    Attributes:
        training: How it went: the losses are means over the passes of a step.
        errors: What each width of each group adds to the loss; for `WidthCosts.with_errors(result.errors.tables())`.
    """

    training: TrainResult
    errors: AdditiveErrors


def train_slimmable(
    net: SlimmableNet,
    view: TrainingView,
    config: TrainConfig,
    *,
    plan: SlimmablePlan | None = None,
    sampler: WidthSampler | None = None,
    errors: AdditiveErrors | None = None,
    folder: Path | str | None = None,
    resume: Resume = "auto",
    progress: bool | Progress | None = None,
    device: str | torch.device | None = None,
) -> SlimmableResult:
    """Trains all networks of a space at once, in place, and learns what widths cost.

    Everything random is a function of (`config.seed`, epoch or step). With a `folder`, a training that is killed and
    started again goes on from its last checkpoint, to the same weights and errors bit for bit. Validation images are
    not looked at: `score_widths` does that, after statistics were measured for a network.

    Args:
        net: The network; it comes back on the device it came on, in eval mode.
        view: Training images, best those that `hold_out` leaves.
        config: How to train; `evaluate` has no effect.
        plan: Which networks each step trains; the sandwich with per-image widths by default.
        sampler: Draws the random widths; uniform by default.
        errors: Learns what widths cost; by default it remembers a third of the training, at least an epoch.
        folder: Where checkpoints go; None: none are written.
        resume: As for `accelzoo.train.fit`.
        progress: As for `accelzoo.train.fit`.
        device: As for `accelzoo.train.fit`.

    Raises:
        TrainError: If the loss stops being finite, the configuration does not fit, or several processes run.
        CheckpointError: If the checkpoint in `folder` is damaged or belongs to another training.
    """
    chosen = plan or SlimmablePlan()
    learnt = errors or AdditiveErrors(net.space.sizes, memory=_memory(view, config, chosen))
    objective = SlimmableObjective(
        net,
        sampler or UniformWidths(net.space),
        learnt,
        chosen,
        label_smoothing=config.label_smoothing,
        seed=config.seed,
    )
    quiet = replace(config, evaluate="never")
    training = fit(
        net, view, quiet, folder=folder, resume=resume, progress=progress, device=device, objective=objective
    )
    return SlimmableResult(training=training, errors=learnt)


def _memory(view: TrainingView, config: TrainConfig, plan: SlimmablePlan) -> float:
    """Losses of a third of the training, at least of an epoch."""
    images = min(math.ceil(config.train_fraction * len(view.train)), config.max_train_images or len(view.train))
    epochs = config.epochs if config.steps is None else config.steps * config.batch_size / images
    return images * plan.random_passes * max(1.0, epochs / 3)
