"""Adaptive narrowing: as training goes on, widths are drawn ever more often from the networks that may be chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from accelzoo.errors import ConfigError, check_one_of
from accelzoo.search.width.costs import WidthCosts
from accelzoo.search.width.model import HOLDS, Hold, WidthModel, budgeted_model


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureSchedule:
    """Temperature over the progress of training, geometric between points.

    The default is the one in the authors' code of AOWS for 20 epochs (Berman et al. 2020): all networks equally likely
    for 5 epochs, then from 1 down to 0.01 in one epoch, 0.001 at epoch 10 and 0.0005 at the end, in units of the
    training loss.

    Attributes:
        points: Pairs of progress (0 … 1, ascending) and temperature; inf before the first, the last's behind the last.

    Raises:
        ConfigError: All faults.
    """

    points: tuple[tuple[float, float], ...] = ((0.25, 1.0), (0.3, 0.01), (0.5, 0.001), (1.0, 0.0005))

    def __post_init__(self) -> None:
        faults = [] if self.points else ["points: at least one pair of progress and temperature is needed"]
        for progress, temperature in self.points:
            if not 0 <= progress <= 1:
                faults.append(f"points: progress {progress!r} must lie in 0 … 1")
            if not 0 < temperature < math.inf:
                faults.append(f"points: temperature {temperature!r} must be positive and finite")
        if any(not one[0] < other[0] for one, other in pairwise(self.points)):
            faults.append(f"points: progress must ascend, got {[progress for progress, _ in self.points]}")
        if faults:
            raise ConfigError(faults)

    def at(self, progress: float) -> float:
        """Returns the temperature at a progress of 0 … 1; inf before the first point.

        Raises:
            ConfigError: If the progress is outside 0 … 1.
        """
        if not 0 <= progress <= 1:
            raise ConfigError([f"progress (={progress!r}) must lie in 0 … 1"])
        if progress < self.points[0][0]:
            return math.inf
        for (start, high), (end, low) in pairwise(self.points):
            if progress < end:
                share = (progress - start) / (end - start)
                return math.exp((1 - share) * math.log(high) + share * math.log(low))
        return self.points[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """Which widths to train when.

    Attributes:
        budgets: Column, or `peak_activation_bytes`, → the most the chosen network may reach.
        schedule: The temperature over the progress.
        joint: Whether the widths of a network are drawn together from the model, or each by its own marginal as in AOWS
            (Berman et al. 2020, adaptive refinement), so that widths may meet that are likely alone, not together.
        hold: As `budgeted_model`.
        objective: The column that is minimised.

    Raises:
        ValueError: If `hold` is unknown.
    """

    budgets: Mapping[str, float]
    schedule: TemperatureSchedule = field(default_factory=TemperatureSchedule)
    joint: bool = True
    hold: Hold = "optimum"
    objective: str = "error"

    def __post_init__(self) -> None:
        check_one_of("hold", self.hold, HOLDS)

    def model(self, costs: WidthCosts, progress: float) -> WidthModel:
        """Returns the model at a progress of 0 … 1, from what is known of the errors by then.

        Raises:
            BudgetError: If nothing meets the budgets.
            ConfigError: If a column is unknown or the progress is outside 0 … 1.
        """
        temperature = self.schedule.at(progress)
        return budgeted_model(costs, self.budgets, temperature, objective=self.objective, hold=self.hold)

    def draw(
        self, costs: WidthCosts, progress: float, count: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draws the networks to train next.

        Args:
            costs: Prices and the errors as they are known now.
            progress: How far training has come, 0 … 1.
            count: How many networks: images of a batch, or steps until errors are asked again.
            rng: Where the draws come from.

        Returns:
            Genomes, int64 `(count, groups)`; errors as for `model`.
        """
        model = self.model(costs, progress)
        return model.sample(count, rng) if self.joint else model.sample_apart(count, rng)
