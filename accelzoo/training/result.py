"""What a training returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from accelzoo.tasks.metrics import Metrics
from accelzoo.tasks.score import DenseScore


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of the history; records of equal runs are equal (seconds do not count).

    Args:
        epoch: Epochs begun, from 1; the last may be a fraction of one.
        step: Steps done at its end.
        loss: Mean training loss of its steps.
        learning_rate: Of its last step.
        validation: Score at its end, where it was asked for.
        images_per_s: Training images per second, evaluation excluded.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    validation: Metrics | DenseScore | None = None
    images_per_s: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        score = "" if self.validation is None else f"  validation {self.validation}"
        return (
            f"epoch {self.epoch}  step {self.step}  loss {self.loss:.4f}  learning rate {self.learning_rate:.2e}  "
            f"{self.images_per_s:,.0f} images/s{score}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values that `from_json` reads."""
        return asdict(self)

    def point(self) -> dict[str, Any]:
        """Returns what a training curve shows of it; the score is top-1 or the task's metric, 0 … 1."""
        found = self.validation
        score = found if found is None else found.top1 if isinstance(found, Metrics) else found.value
        return {"epoch": self.epoch, "step": self.step, "loss": self.loss, "score": score}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EpochRecord:
        """Reads what `to_json` returned."""
        validation = values["validation"]
        if validation is not None:
            validation = DenseScore.from_json(validation) if "metric" in validation else Metrics(**validation)
        return cls(**{**values, "validation": validation})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What `fit` returns; the trained (or averaged) weights are in the network it was given.

    Args:
        history: One record per epoch.
        steps: Optimizer steps in all.
        images: Training images used (after `train_fraction`).
        validation: Score of the final weights, unless `evaluate` is `never`.
        wall_s: Seconds of training, those before an interruption included.
        resumed_at_step: Where a checkpoint was taken up; None for a run in one go.
        notes: What a reader of the result should know (a resume on another machine).
        setup: What its last bits depend on (see `accelzoo.training.identity.run_setup`).
    """

    history: tuple[EpochRecord, ...]
    steps: int
    images: int
    validation: Metrics | DenseScore | None
    wall_s: float = field(compare=False)
    resumed_at_step: int | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    setup: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def curve(self) -> list[dict[str, Any]]:
        """Returns the training curve as plain data: `epoch`, `step`, `loss`, and the validation `score` or None."""
        return [record.point() for record in self.history]
