"""What a step of training minimises: of most networks the loss of their logits on labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Objective(Protocol):
    """A loss of one's own for `fit`, which runs the network itself, as often as it likes, and may learn as it goes."""

    def __call__(self, images: Tensor, labels: Tensor, step: int, total_steps: int) -> Tensor:
        """Returns the loss of a step, a scalar.

        Args:
            images: float32 (batch, channels, height, width).
            labels: int64 (batch,).
            step: 0 … total_steps − 1; everything random must be a function of it.
            total_steps: Steps of the whole training.
        """

    def state(self) -> Mapping[str, Tensor]:
        """Returns what a checkpoint must hold."""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` returned."""

    def identity(self) -> dict[str, Any]:
        """Returns plain values in which trainings that are not the same differ."""
