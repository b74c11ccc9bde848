"""Made-up results of width runs."""

from __future__ import annotations

from accelzoo.hwmodel import Cost
from accelzoo.recipes.width.schema import Method
from accelzoo.recipes.width.values import Choice, Trained
from accelzoo.tasks.metrics import Metrics

ORIGINAL_S = 10e-3


def trained(
    method: Method | None,
    seed: int,
    share: float,
    correct: int,
    *,
    widths: tuple[int, ...] = (8, 16),
    predicted_s: float | None = None,
    measured_s: float | None = None,
) -> Trained:
    """A network of so many correct ones of 1,000 test images; the original without a method."""
    budget_s = share * ORIGINAL_S
    measured_s = budget_s if measured_s is None else measured_s
    return Trained(
        choice=Choice(
            method=method or "original",
            seed=seed,
            share=share,
            genome=tuple(range(len(widths))),
            widths=widths,
            budget_s=budget_s,
            predicted_s=measured_s if predicted_s is None else predicted_s,
            measured_s=measured_s,
            score=None if method is None else 0.5 + 0.25 * seed,
        ),
        cost=Cost(latency_s=1e-3, weight_bytes=2048 * sum(widths), macs=1_000_000 * sum(widths)),
        validation=Metrics(correct=correct // 2, count=500, loss=0.5),
        test=Metrics(correct=correct, count=1000, loss=0.5),
    )
