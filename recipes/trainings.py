"""Training one architecture, and trainings that serve as accuracy signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.build import AccelNet, build_classifier
from accelzoo.errors import AccelzooError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.schema import Scale
from accelzoo.search import CandidateError
from accelzoo.search.signals import check_fidelity
from accelzoo.tasks.data import TrainingView
from accelzoo.tasks.metrics import Metrics
from accelzoo.train import TrainConfig, TrainError, TrainResult, fit

SMALLEST_INPUT = 8
"""Pixels, below which no resolution is scaled."""


def train(
    arch: Arch, view: TrainingView, plan: TrainConfig, seed: int, folder: Path | None, progress: bool | None
) -> tuple[AccelNet, TrainResult]:
    """Builds `arch` with weights drawn from `seed` and trains it.

    Args:
        arch: What to train.
        view: Train and validation images at the architecture's input size.
        plan: How; its seed is replaced by `seed`.
        seed: Of the initial weights, the order of images, augmentation and dropout.
        folder: Where checkpoints go; an interrupted training goes on from there.
        progress: See `accelzoo.train.fit`.
    """
    import torch

    model = build_classifier(arch, torch.Generator().manual_seed(seed))
    return model, fit(model, view, replace(plan, seed=seed), folder=folder, progress=progress)


def validation_top1(result: TrainResult) -> float:
    """The accuracy that a candidate is judged by.

    Raises:
        AccelzooError: If the training was told not to evaluate.
    """
    if not isinstance(result.validation, Metrics):
        raise AccelzooError("a candidate's training needs `evaluate` (epoch or end): it is judged by its accuracy")
    return result.validation.top1


@dataclass(frozen=True, slots=True)
class TrainingSignal:
    """Validation top-1 after a training, short or full: what a search maximises.

    Args:
        bank: The data.
        plan: The training.
        validation_images: How many validation images decide; None: all.
        scale: What a lower fidelity saves: `epochs` (or steps), training `images`, or pixels of the input
            (`resolution`).
        pixels: Share of the architecture's input pixels to train at.
        seconds: The declared cost of one training; None: unknown.
        folders: Architecture's digest → where checkpoints of its training go, so that it is gone on with when it was
            interrupted; others leave none.
        progress: Whether to show each training.
    """

    bank: DataBank
    plan: TrainConfig
    validation_images: int | None
    scale: Scale = "epochs"
    pixels: float = 1.0
    seconds: float | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    progress: bool | None = False

    def __call__(self, arch: Arch) -> float:
        """Trains `arch` and returns its top-1 accuracy, 0 … 1.

        Raises:
            CandidateError: If the training diverges.
        """
        folder = self.folders.get(arch.digest())
        arch = scaled_input(arch, self.pixels)
        images = self.validation_images
        view = self.bank.of(arch).search_view() if images is None else self.bank.glimpse(arch, images)
        try:
            _, result = train(arch, view, self.plan, self.plan.seed, folder, self.progress)
        except TrainError as error:
            raise CandidateError(str(error)) from None
        return validation_top1(result)

    def digest(self) -> str:
        """Names the signal in the trace: the training plan and the source's name."""
        facts = {"data": self.bank.source, "images": self.validation_images, "plan": config.to_config(self.plan)}
        if self.pixels != 1:
            facts["pixels"] = self.pixels
        return config.digest(facts)

    def at(self, fidelity: float) -> TrainingSignal:
        """Returns the training for a share of its effort; its checkpoints go to folders of its own.

        Raises:
            ConfigError: If the fidelity is not above 0 and up to 1.
        """
        check_fidelity(fidelity)
        if fidelity == 1:
            return self
        pixels, plan = self.pixels, self.plan
        if self.scale == "resolution":
            pixels *= fidelity
        elif self.scale == "images":
            plan = fewer_images(plan, fidelity)
        else:
            plan = fewer_steps(plan, fidelity)
        return replace(
            self,
            plan=plan,
            pixels=pixels,
            seconds=None if self.seconds is None else self.seconds * fidelity,
            folders={digest: path.with_name(f"{path.name}-{fidelity:g}") for digest, path in self.folders.items()},
        )


def fewer_steps(plan: TrainConfig, share: float) -> TrainConfig:
    """Returns a training of a share of the epochs, or of the steps where these are given."""
    if plan.steps is not None:
        return replace(plan, steps=max(1, round(plan.steps * share)))
    return replace(plan, epochs=plan.epochs * share)


def fewer_images(plan: TrainConfig, share: float) -> TrainConfig:
    """Returns a training on a share of the images, with as many epochs, and so with that share of the steps."""
    most = None if plan.max_train_images is None else max(1, round(plan.max_train_images * share))
    steps = None if plan.steps is None else max(1, round(plan.steps * share))
    return replace(plan, train_fraction=plan.train_fraction * share, max_train_images=most, steps=steps)


def scaled_input(arch: Arch, pixels: float) -> Arch:
    """Returns the architecture for a share of its input's pixels: sides are rounded to even numbers, at least 8."""
    if pixels == 1:
        return arch
    channels, *sides = arch.input_size
    height, width = (min(side, max(SMALLEST_INPUT, 2 * round(side * math.sqrt(pixels) / 2))) for side in sides)
    return replace(arch, input_size=(channels, height, width))
