"""What a lock says of trainings: how each was made, and how far a repeated one may be off."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelzoo.training.config import TrainConfig

if TYPE_CHECKING:
    from accelzoo.tasks.metrics import Metrics
    from accelzoo.tasks.score import DenseScore

_DEVIATIONS = 3.0


def training_facts(plan: TrainConfig, result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of how a training was made.

    Args:
        plan: The training, with its seed.
        result: What came of it: `steps`, `images`, `wall_s`, `notes`, and `setup` (see `TrainResult.setup`), which
            trainings of older versions lack.

    Returns:
        `steps`, `images`, `wall_s`, `notes` (if there are any), `seed`, `epochs` (passes over the images), `batch_size`
        (images), `threads`, and where known `world_size` (processes), `device`, `dtype` and `deterministic`.
    """
    images, batch_size = result["images"], min(plan.batch_size, result["images"])
    facts = {name: result[name] for name in ("steps", "images", "wall_s")}
    if result.get("notes"):
        facts["notes"] = list(result["notes"])
    epochs = round(result["steps"] / (images // batch_size), 6) if batch_size else 0.0
    known = {"seed": plan.seed, "epochs": epochs, "batch_size": batch_size, "threads": plan.threads}
    return {**facts, **known, **result.get("setup", {})}


def tolerance(networks: Sequence[Sequence[Metrics | DenseScore]]) -> float:
    """Returns how far the score of a training that is repeated elsewhere is claimed to be off, at most.

    Another device, build or number of threads changes the last digits of sums, and so, after some steps, the training
    as much as another seed would. Two trainings with different seeds differ by √2 times the deviation over seeds; three
    times that is claimed. With few seeds that deviation is itself uncertain, so the claim is never less than half the
    width of the 95 % interval over test images.

    Args:
        networks: Of every network, its scores of one metric on one split, one per seed.

    Returns:
        Of the same unit as the scores: the largest over the networks.
    """
    return max((max(_of_seeds(scores), _of_images(scores)) for scores in networks if scores), default=0.0)


def _of_seeds(scores: Sequence[Metrics | DenseScore]) -> float:
    values = [_value_and_ends(score)[0] for score in scores]
    return _DEVIATIONS * math.sqrt(2) * statistics.stdev(values) if len(values) > 1 else 0.0


def _of_images(scores: Sequence[Metrics | DenseScore]) -> float:
    ends = [_value_and_ends(score)[1] for score in scores]
    return max(((high - low) / 2 for low, high in filter(None, ends)), default=0.0)


def _value_and_ends(score: Metrics | DenseScore) -> tuple[float, tuple[float, float] | None]:
    from accelzoo.tasks.metrics import Metrics

    if isinstance(score, Metrics):
        return score.top1, score.interval
    return score.value, None if score.low is None or score.high is None else (score.low, score.high)
