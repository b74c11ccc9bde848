"""What a product recipe says: a baseline for a task, the searches against it, the trainings, and what is compiled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from accelzoo.recipes.release_plan import ReleasePlan
from accelzoo.tasks.detection.augment import DetectionAugment
from accelzoo.tasks.segmentation.augment import SegmentationAugment
from accelzoo.training.config import TrainConfig

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CHANNELS = 3
_SMALLEST_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPlan:
    """How a detector's data are read and changed.

    Args:
        classes: The only classes to keep; null: all that the data have.
        augment: Random changes to training images.
    """

    classes: tuple[str, ...] | None = None
    augment: DetectionAugment = field(default_factory=DetectionAugment)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationPlan:
    """How a segmentation network's data are changed.

    Args:
        augment: Random changes to training images.
    """

    augment: SegmentationAugment = field(default_factory=SegmentationAugment)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSearch:
    """One search: where it looks, and how many networks it hands on.

    Args:
        title: What it may change, in a few words.
        space: A space's name or file.
        picks: Names of the networks it hands on, from the slowest to the fastest; one name stands for the fastest.
        below: The latency that networks must stay below, as a share of the baseline's.
    """

    title: str
    space: str
    picks: tuple[str, ...]
    below: float = 1.0

    def __post_init__(self) -> None:
        if not self.picks or len(set(self.picks)) != len(self.picks):
            raise ValueError(f"picks (={list(self.picks)}) must be different names, at least one")
        for name in self.picks:
            if not _NAME.fullmatch(name) or name == "baseline":
                raise ValueError(f"picks: {name!r} must be letters, digits and _, and not 'baseline'")
        if not 0 < self.below <= 1:
            raise ValueError(f"below (={self.below}) must lie in 0 … 1, 0 excluded")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalPlan:
    """What stands for accuracy while a space is searched: zero-cost scores, together in one figure.

    Each score's difference to the baseline's is divided by the score's standard deviation over networks of the space,
    and these are averaged: the baseline has 0, and 1 is a standard deviation more.

    Args:
        scores: Names of zero-cost scores.
        sample: Networks of the space that the standard deviations come from.
        least: The figure that a network must reach: 0 is the baseline's own.
    """

    scores: tuple[str, ...]
    sample: int = 64
    least: float = 0.0

    def __post_init__(self) -> None:
        if not self.scores or len(set(self.scores)) != len(self.scores):
            raise ValueError(f"scores (={list(self.scores)}) must be different, at least one")
        if self.sample < 2:
            raise ValueError(f"sample (={self.sample}) must be at least 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """Short trainings of the fastest that the search found, beside the baseline's: a second, dearer signal.

    Args:
        count: How many networks of each search's front are tried; at least as many as it has picks.
        training: The training that they and the baseline get.
        tolerance: By how much a network may stay below the baseline's short training, and still be picked: as a share
            of the baseline's score.
    """

    count: int = 4
    training: TrainConfig
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count (={self.count}) must be at least 1")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance (={self.tolerance}) must lie in 0 … 1, 1 excluded")
        if self.training.evaluate == "never":
            raise ValueError("training.evaluate must not be 'never': networks are picked by that score")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How the spaces are searched.

    Args:
        evaluations: Candidates whose signal is computed, in each search.
        algorithm: One of `accelzoo.search.algorithm_names()`.
        options: The algorithm's own parameters.
        seed: Seeds every search.
        signal: See `SignalPlan`.
        trials: See `TrialPlan`.
    """

    evaluations: int
    algorithm: str = "nsga2"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    signal: SignalPlan
    trials: TrialPlan

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise ValueError(f"evaluations (={self.evaluations}) must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed (={self.seed}) must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingPlan:
    """A classification training of each network's trunk before its own.

    Args:
        data: A classification data source.
        resolution: Square input size in pixels.
        training: How.
        seed: Of weights and training; every seed of the task's training begins from the same trunk.
    """

    data: str
    resolution: int
    training: TrainConfig
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resolution < 8:
            raise ValueError(f"resolution (={self.resolution}) must be at least 8 pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationPlan:
    """How networks become int8.

    Args:
        images: Training images that activations are calibrated on.
    """

    images: int = 64

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images (={self.images}) must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRecipe:
    """A detector or a segmentation network for a product: what searches of different freedom make of a baseline.

    Args:
        kind: Always `product`.
        recipe: The recipe's name.
        description: One sentence.
        target: A target's name or file: what the searches minimise the latency of.
        also_on: Further targets on which every network is priced, and compiled where a compiler is known.
        data: A source of detection or segmentation data.
        detection: Given for a detector; see `DetectionPlan`.
        segmentation: Given for a segmentation network; see `SegmentationPlan`.
        baseline: The network to beat: a model's name or file; its classes become those of the data.
        input_sizes: Input sizes as (channels, height, width), the baseline's first; a space in which the input size is
            open may choose from all of them. Empty: as baseline and spaces have them.
        searches: Name → search, in the order of the report.
        search: How each of them goes; see `SearchPlan`.
        pretraining: What every network is trained on first; null: nothing.
        training: The schedule of the baseline and of all picks alike.
        seeds: One training of each with every seed.
        quantization: See `QuantizationPlan`.
        release: See `ReleasePlan`; a network's name is added to its name.
    """

    kind: Literal["product"] = "product"
    recipe: str
    description: str = ""
    target: str
    also_on: tuple[str, ...] = ()
    data: str
    detection: DetectionPlan | None = None
    segmentation: SegmentationPlan | None = None
    baseline: str
    input_sizes: tuple[tuple[int, int, int], ...] = ()
    searches: dict[str, SpaceSearch]
    search: SearchPlan
    pretraining: PretrainingPlan | None = None
    training: TrainConfig
    seeds: tuple[int, ...] = (0, 1, 2)
    quantization: QuantizationPlan = field(default_factory=QuantizationPlan)
    release: ReleasePlan

    def __post_init__(self) -> None:
        if (self.detection is None) == (self.segmentation is None):
            raise ValueError("give either detection or segmentation: it says what the network is for")
        for size in self.input_sizes:
            if size[0] != _CHANNELS or min(size[1:]) < _SMALLEST_SIDE:
                raise ValueError(f"input_sizes: {list(size)} must be (3, height, width), sides of at least 8 pixels")
        if len(set(self.input_sizes)) != len(self.input_sizes):
            raise ValueError(f"input_sizes (={[list(size) for size in self.input_sizes]}) must be different")
        if not self.searches:
            raise ValueError("searches must name at least one search")
        picks = [name for search in self.searches.values() for name in search.picks]
        if len(set(picks)) != len(picks):
            raise ValueError(f"picks of all searches (={picks}) must be different")
        for name, search in self.searches.items():
            if len(search.picks) > self.search.trials.count:
                raise ValueError(f"search.trials.count (={self.search.trials.count}) is below the picks of {name!r}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds (={list(self.seeds)}) must be different, not negative, and at least one")

    @property
    def task(self) -> Literal["detection", "segmentation"]:
        """What the network is for."""
        return "detection" if self.detection is not None else "segmentation"
