"""A progress display that ends a training, as Ctrl-C would."""

from __future__ import annotations

from accelzoo.train import EpochRecord


class Stopped(Exception):  # noqa: N818
    """What a `StopAfter` raises."""


class StopAfter:
    """Raises when `step` steps are done, before any checkpoint of that step; keeps what it was told."""

    def __init__(self, step: int | None = None) -> None:
        self.stop_at = step
        self.calls: list[str] = []

    def start(self, done_steps: int, total_steps: int) -> None:
        self.calls.append(f"start {done_steps}/{total_steps}")

    def step(self, step: int, loss: float | None, images: int) -> None:
        self.calls.append(f"step {step}")
        if step == self.stop_at:
            raise Stopped

    def epoch(self, record: EpochRecord) -> None:
        self.calls.append(f"epoch {record.epoch}")

    def stop(self) -> None:
        self.calls.append("stop")
