"""Training one architecture, and the short training that serves a search as accuracy signal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from accelzoo import config
from accelzoo.arch import Arch
from accelzoo.build import AccelNet, build_classifier
from accelzoo.errors import AccelzooError
from accelzoo.recipes.bank import DataBank
from accelzoo.search import CandidateError
from accelzoo.tasks.data import TrainingView
from accelzoo.train import TrainConfig, TrainError, TrainResult, fit


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
    if result.validation is None:
        raise AccelzooError("a candidate's training needs `evaluate` (epoch or end): it is judged by its accuracy")
    return result.validation.top1


@dataclass(frozen=True, slots=True)
class TrainingSignal:
    """Validation top-1 after a short training: what a search maximises.

    Args:
        bank: The data.
        plan: The short training.
        validation_images: How many validation images decide.
    """

    bank: DataBank
    plan: TrainConfig
    validation_images: int

    def __call__(self, arch: Arch) -> float:
        """Trains `arch` and returns its top-1 accuracy, 0 … 1.

        Raises:
            CandidateError: If the training diverges.
        """
        view = self.bank.glimpse(arch, self.validation_images)
        try:
            _, result = train(arch, view, self.plan, self.plan.seed, None, False)
        except TrainError as error:
            raise CandidateError(str(error)) from None
        return validation_top1(result)

    def digest(self) -> str:
        """Names the signal in the trace: the training plan and the source's name."""
        facts = {"data": self.bank.source, "images": self.validation_images, "plan": config.to_config(self.plan)}
        return config.digest(facts)
