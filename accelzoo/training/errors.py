"""What can go wrong in training."""

from __future__ import annotations

from accelzoo.errors import AccelzooError


class TrainError(AccelzooError):
    """Training cannot go on; the message names the step and what to change."""


class CheckpointError(AccelzooError):
    """A checkpoint that is damaged, missing, or of another training."""
