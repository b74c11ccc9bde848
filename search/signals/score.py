"""A zero-cost score as a signal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from accelzoo import config
from accelzoo.search.plan import identity
from accelzoo.search.scores import Score, get_score
from accelzoo.search.signals.protocol import check_fidelity


@dataclass(frozen=True, slots=True)
class ScoreSignal:
    """Scores an architecture without training it.

    Attributes:
        name: One of `accelzoo.search.scores.score_names()`.
        batch: For scores of freshly drawn networks: images, images and targets (see `Score`), or a callable
            architecture → either, as where a space has several input sizes. None: unit normal noise at the
            architecture's input size.
        seed: Draws weights and noise.

    Raises:
        UnknownNameError: If there is no such score.
    """

    name: str
    batch: Any | Callable[[Any], Any] = None
    seed: int = 0

    def __post_init__(self) -> None:
        get_score(self.name)

    @property
    def seconds(self) -> float | None:
        """The score's own order of magnitude."""
        return self._score().cost.seconds

    def __call__(self, arch: Any) -> float:
        """Returns the score.

        Raises:
            ScoreError: If it is not finite; a `CandidateError`.
        """
        batch = self.batch(arch) if callable(self.batch) else self.batch
        return self._score()(arch, batch, seed=self.seed)

    def digest(self) -> str:
        """Names the signal by score, seed and batch."""
        return config.digest({"batch": _batch_digest(self.batch), "score": self.name, "seed": self.seed})

    def at(self, fidelity: float) -> ScoreSignal:
        """Returns the signal itself: there is nothing to save."""
        check_fidelity(fidelity)
        return self

    def _score(self) -> Score:
        return get_score(self.name)


def _batch_digest(batch: Any) -> Any:
    if batch is None or callable(batch):
        return identity(batch)
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    return [_part_digest(part) for part in parts]


def _part_digest(part: Any) -> Any:
    """Names a tensor, or the targets of a detector: a mapping of tensors for each image."""
    if isinstance(part, Mapping):
        return {name: _part_digest(value) for name, value in part.items()}
    if isinstance(part, tuple | list):
        return [_part_digest(value) for value in part]
    return [str(part.dtype), list(part.shape), hashlib.sha256(part.numpy().tobytes()).hexdigest()]
