"""What a width recipe's run is about: the widths that a method chose, and what became of them in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from accelzoo.hwmodel import Cost
from accelzoo.recipes.width.schema import Method
from accelzoo.search.space import Genome
from accelzoo.tasks.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The widths that one method chose with one seed under one budget.

    Attributes:
        method: Who chose; `original` for the network as it is.
        seed: Of the slimmable training that it was chosen by, and of the final training.
        share: The latency budget as a share of the original's latency; 1 for the original.
        genome: The network in the space.
        widths: The channels of every group.
        budget_s: The latency budget in seconds.
        predicted_s: Latency by the table that the choice was made with.
        measured_s: Latency as measured once more after all was chosen, or as the target estimates it where nothing is
            measured.
        score: Cross-entropy in nats on held-out images with shared weights; None for the original.
        facts: How it came about: the multiplier, the rule and how many networks it scored, the rounds of the loop.
    """

    method: Method | Literal["original"]
    seed: int
    share: float
    genome: Genome
    widths: tuple[int, ...]
    budget_s: float
    predicted_s: float
    measured_s: float
    score: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The choice in a few characters: `narrowed-0.5-seed1`."""
        return f"{self.method}-{self.share:g}-seed{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self) | {"genome": list(self.genome), "widths": list(self.widths), "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Returns the choice that `to_json` made this of."""
        tuples = {"genome": tuple(content["genome"]), "widths": tuple(content["widths"])}
        return cls(**{**content, **tuples})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A chosen network after its final training.

    Attributes:
        choice: Which widths.
        cost: Its price on the target (estimates; the latency that counts is the choice's `measured_s`).
        validation: Metrics on the validation split.
        test: Metrics on the test split.
    """

    choice: Choice
    cost: Cost
    validation: Metrics
    test: Metrics
