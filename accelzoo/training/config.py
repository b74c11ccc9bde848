"""How a network is trained: one frozen value, part of every recipe and every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from accelzoo.tasks.augment import Augment

# Fields that change how a run is watched, not what it computes: a checkpoint fits whatever they say.
NEUTRAL_FIELDS = frozenset({"checkpoint_every_steps", "checkpoint_every_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a network is trained.

    Args:
        optimizer: `adamw` (Loshchilov & Hutter 2019) or `sgd` (with Nesterov momentum).
        learning_rate: Peak, reached after the warm-up; a cosine to zero follows.
        weight_decay: Not applied to norms, biases and other vectors.
        momentum: Of `sgd`.
        epochs: Passes over the training images; may be a fraction. Ignored when `steps` is given.
        steps: Number of optimizer steps.
        batch_size: Images per step, over all devices together; an epoch's incomplete last batch is left out (other
            images each time).
        warmup_fraction: Share of all steps over which the learning rate rises from zero.
        label_smoothing: See `classification_loss`.
        ema_decay: Decay per step of the moving average of weights and buffers that becomes the result; 0 turns it off.
        ema_every_steps: Steps between updates of that average (the decay is raised to this power).
        mixed_precision: `auto` is bf16 on a GPU that has it, and float32 on a CPU.
        threads: CPU threads of torch; fixed here because sums, and so results, depend on it.
        seed: Of order, augmentation, dropout and the choice of a subset. Not of the initial weights: seed those before
            building the network.
        gradient_clip: Largest gradient norm; 0 turns it off.
        checkpoint_every_steps: Steps between checkpoints; None: by time only.
        checkpoint_every_s: Seconds between checkpoints; None: by steps only.
        channels_last: Keep activations in channels-last memory; faster for most convolutions.
        augment: Random changes to the training images.
        train_fraction: Share of the training images to use, drawn per class.
        max_train_images: Upper bound on the same.
        evaluate: Score the validation split after every `epoch`, at the `end`, or `never`.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    epochs: float = 10.0
    steps: int | None = None
    batch_size: int = 128
    warmup_fraction: float = 0.1
    label_smoothing: float = 0.1
    ema_decay: float = 0.0
    ema_every_steps: int = 4
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    threads: int = 2
    seed: int = 0
    gradient_clip: float = 0.0
    checkpoint_every_steps: int | None = None
    checkpoint_every_s: float | None = 60.0
    channels_last: bool = True
    augment: Augment = field(default_factory=Augment)
    train_fraction: float = 1.0
    max_train_images: int | None = None
    evaluate: Literal["epoch", "end", "never"] = "end"

    def __post_init__(self) -> None:
        _check_choices(self)
        for name in ("learning_rate", "epochs", "batch_size", "threads", "ema_every_steps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} (={getattr(self, name)}) must be positive and finite")
        for name in ("steps", "checkpoint_every_steps", "checkpoint_every_s", "max_train_images"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} (={value}) must be positive, or left out")
        for name in ("weight_decay", "gradient_clip", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} (={getattr(self, name)}) must not be negative")
        for name in ("momentum", "label_smoothing", "ema_decay", "warmup_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must lie in 0 … 1, 1 excluded")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"train_fraction (={self.train_fraction}) must lie in 0 … 1, 0 excluded")


_CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "mixed_precision": ("auto", "no", "bf16", "fp16"),
    "evaluate": ("epoch", "end", "never"),
}


def _check_choices(config: TrainConfig) -> None:
    for name, allowed in _CHOICES.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} (={getattr(config, name)!r}) must be one of {', '.join(allowed)}")
