"""What a product run knows of its networks: what was found, what it costs and what it scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accelzoo.arch import Arch
from accelzoo.hwmodel import Cost
from accelzoo.tasks.score import DenseScore

BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of the report.

    Args:
        name: `baseline`, or the name of the pick.
        title: What the search that found it may change; of the baseline empty.
        arch: The network, with the classes of the data.
        search: Name of the search; None for the baseline.
        signal: What the zero-cost signal says of it; the baseline has 0.
        trial: Its score after the short training.
    """

    name: str
    title: str
    arch: Arch
    search: str | None = None
    signal: float = 0.0
    trial: DenseScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Referee:
    """What another than our estimator says of a network's latency.

    Args:
        tool: Name and version: `vela-5.2.0`, `zigzag-…`.
        latency_s: Of one inference at batch 1.
        sram_bytes: Peak on-chip activation memory; None where it does not say.
    """

    tool: str
    latency_s: float
    sram_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A network's price on one target, by our estimator and by the referee.

    Args:
        target: The target's name.
        cost: The estimate.
        referee: None where no tool for the target is installed or it cannot run the network; `why_not` says which.
        why_not: Empty where there is one.
    """

    target: str
    cost: Cost
    referee: Referee | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRun:
    """One training of a network.

    Args:
        seed: Of weights, order and augmentation.
        validation: Score on the split that choices are made on.
        test: Score on the test split.
        int8: Score of the quantised network on the validation split.
        wall_s: Seconds of the training.
    """

    seed: int
    validation: DenseScore
    test: DenseScore
    int8: DenseScore
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with its prices and its trainings.

    Args:
        network: What it is.
        prices: Target's name → price; the recipe's target first.
        compiled: The referee's figures of the *trained*, quantised network of the best seed on the recipe's target.
        runs: One per seed.
        wall_s: Seconds of its pretraining, if there was one.
    """

    network: Network
    prices: Mapping[str, Priced]
    compiled: Referee | None
    runs: tuple[SeedRun, ...] = field(default_factory=tuple)
    wall_s: float = 0.0
