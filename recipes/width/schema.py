"""What a width recipe says: which network, which device, which budgets, and how widths are learnt and compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from accelzoo.recipes.release_plan import ReleasePlan
from accelzoo.search.width.narrowing import TemperatureSchedule
from accelzoo.training.config import TrainConfig

Method = Literal["uniform", "greedy", "optimal", "narrowed"]
METHODS: tuple[Method, ...] = ("uniform", "greedy", "optimal", "narrowed")
"""Uniform multiplier; greedy pruning; global optimisation (OWS); the same after narrowed training (AOWS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurePlan:
    """Whole networks on a measuring tool; latencies are learnt from them, and every chosen network is measured.

    Args:
        oracle: What measures: one of `accelzoo.hwmodel.oracles`.
        timings: Networks of the space to time first.
        per_round: Networks that each round of the closed loop measures, for each budget.
        tolerance: Relative difference of predicted and measured latency up to which they agree.
        rounds: The most rounds for each budget.
        repeats: How often each network is timed; the median counts.
    """

    oracle: str
    timings: int = 40
    per_round: int = 4
    tolerance: float = 0.01
    rounds: int = 8
    repeats: int = 1

    def __post_init__(self) -> None:
        for name, least in (("timings", 10), ("per_round", 1), ("rounds", 1), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least {least}")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance (={self.tolerance}) must lie between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinePlan:
    """Correction of the learnt errors near each budget by scores of whole networks; AOWS has no such step.

    Args:
        networks: How many are scored in each round, at most.
        rounds: How often networks are drawn by the errors as they are known by then.
        temperature: How far beside the best networks they are drawn, in nats.
        score_images: Held-out images of a score.
        statistics_images: Training images that the statistics of a scored network are measured on.
    """

    networks: int = 40
    rounds: int = 2
    temperature: float = 0.005
    score_images: int = 1000
    statistics_images: int = 512

    def __post_init__(self) -> None:
        least = {"networks": 1, "rounds": 1, "score_images": 1, "statistics_images": 2}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least {number}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature (={self.temperature}) must be positive and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimmableTraining:
    """The training of all widths together, and what scores them afterwards.

    Args:
        training: Epochs, learning rate and the like.
        sandwich: Train the largest and the smallest network in every step beside random ones.
        per_image: A random network for every image; else one for all images of a step, which is faster, and trains deep
            networks better: statistics of normalisations are then of one network, not of a mixture.
        distill: Train all but the largest towards what that predicts.
        held_out: Share of the training images put aside, on which widths are chosen.
        schedule: Temperature over the progress of a narrowed training: `points`, pairs of both (AOWS's by default).
        joint: Draw the widths of a narrowed training together, not each by its own marginal.
        hold: What a narrowed training holds to the budget: the `optimum`, as AOWS does, or the `expectation` over what
            it draws, which keeps to networks of about the budget also while errors are hardly known.
        turns: How often a narrowed training looks at the errors as they are known by then.
        refine: See `RefinePlan`; null: errors are taken as training has learnt them.
        candidates: The best networks by the additive errors, of which the shared weights' own score chooses.
        score_images: Held-out images of a score.
        statistics_images: Training images that the statistics of a scored network are measured on.
    """

    training: TrainConfig
    sandwich: bool = True
    per_image: bool = True
    distill: bool = True
    held_out: float = 0.1
    schedule: TemperatureSchedule = field(default_factory=TemperatureSchedule)
    joint: bool = True
    hold: Literal["optimum", "expectation"] = "optimum"
    turns: int = 100
    refine: RefinePlan | None = field(default_factory=RefinePlan)
    candidates: int = 8
    score_images: int = 2000
    statistics_images: int = 1024

    def __post_init__(self) -> None:
        for name, least in (("turns", 1), ("candidates", 1), ("score_images", 1), ("statistics_images", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least {least}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out (={self.held_out}) must lie between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyPlan:
    """Greedy pruning layer by layer, scored by the shared weights.

    Args:
        rules: Of `accelzoo.search.width.greedy_widths`; the one whose network scores best at a budget stands for all.
        step: Share of the largest network's latency that a round is to save.
        score_images: Held-out images of a score: pruning needs many scores.
        statistics_images: Training images that the statistics of a scored network are measured on.
    """

    rules: tuple[Literal["netadapt", "autoslim", "mobilenetv3"], ...] = ("netadapt", "autoslim", "mobilenetv3")
    step: float = 0.02
    score_images: int = 1000
    statistics_images: int = 512

    def __post_init__(self) -> None:
        if not self.rules or len(set(self.rules)) != len(self.rules):
            raise ValueError(f"rules (={list(self.rules)}) must be different, and at least one")
        if not 0 < self.step < 1:
            raise ValueError(f"step (={self.step}) must lie between 0 and 1")
        for name, least in (("score_images", 1), ("statistics_images", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthReleasePlan(ReleasePlan):
    """What is released: the most accurate of the optimised networks (on validation images) at one of the budgets.

    Args:
        latency_share: Which of the recipe's.
    """

    latency_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthRecipe:
    """The channels of every layer under latency budgets, with greedy and uniform widths beside them in the same run.

    Args:
        kind: Always `width`.
        recipe: The recipe's name.
        description: One sentence.
        task: The only task so far.
        target: A target's name or file: prices, or the prior of latencies that are learnt.
        measure: How networks are timed; null: the target's estimates are taken at their word.
        data: A data source (see `accelzoo.tasks.load_classification`).
        network: Whose widths are chosen: a model's name or file.
        options: Changes to it, as for `accelzoo.get_arch`.
        resolution: Side of its square input in pixels.
        ratios: Widths of every group, relative to the network's.
        divisor: What widths are multiples of.
        fixed: Groups that stay as they are.
        latency_shares: Budgets, as shares of the network's own latency.
        budgets: Other cost fields → the most that any chosen network may cost, in the field's unit.
        methods: What is compared; see `METHODS`.
        greedy: See `GreedyPlan`.
        slimmable: See `SlimmableTraining`.
        training: The final training, anew and alike for all.
        seeds: The whole comparison is made once with each.
        release: See `WidthReleasePlan`.
    """

    kind: Literal["width"]
    recipe: str
    description: str = ""
    task: Literal["classification"] = "classification"
    target: str
    measure: MeasurePlan | None = None
    data: str
    network: str
    options: dict[str, Any] = field(default_factory=dict)
    resolution: int
    ratios: tuple[float, ...]
    divisor: int = 8
    fixed: tuple[str, ...] = ()
    latency_shares: tuple[float, ...]
    budgets: dict[str, float] = field(default_factory=dict)
    methods: tuple[Method, ...] = METHODS
    greedy: GreedyPlan = field(default_factory=GreedyPlan)
    slimmable: SlimmableTraining
    training: TrainConfig
    seeds: tuple[int, ...] = (0, 1, 2)
    release: WidthReleasePlan

    def __post_init__(self) -> None:
        if self.resolution < 8:
            raise ValueError(f"resolution (={self.resolution}) must be at least 8 pixels")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds (={list(self.seeds)}) must be different, not negative, and at least one")
        shares = self.latency_shares
        if not self.ratios or not all(0 < ratio < math.inf for ratio in self.ratios):
            raise ValueError(f"ratios (={list(self.ratios)}) must be positive, and at least one")
        if self.divisor < 1:
            raise ValueError(f"divisor (={self.divisor}) must be at least 1")
        different = len({f"{share:g}" for share in shares}) == len(shares)  # names of files have six digits of them
        if not shares or not different or not all(0 < share < math.inf for share in shares):
            said = "must be different in six digits, positive, and at least one"
            raise ValueError(f"latency_shares (={list(shares)}) {said}")
        if self.release.latency_share not in shares:
            raise ValueError(f"release.latency_share (={self.release.latency_share}) must be one of {list(shares)}")
        if len(set(self.methods)) != len(self.methods) or not {"optimal", "narrowed"} & set(self.methods):
            raise ValueError(f"methods (={list(self.methods)}) must be different, with optimal or narrowed among them")
        if "latency_s" in self.budgets:
            raise ValueError("budgets.latency_s: say latency_shares")
        if self.training.evaluate == "never":
            raise ValueError("training.evaluate must not be 'never': the release is chosen by that accuracy")
