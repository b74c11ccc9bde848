"""Number of parameters: a baseline that every score has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelzoo.arch import Arch
from accelzoo.parameters import count_parameters
from accelzoo.search.scores._score import CLOSED_FORM, CostClass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameters:
    name: str = "params"
    cost: CostClass = CLOSED_FORM

    def __call__(self, network: Any, batch: Any = None, *, seed: int = 0) -> float:
        """Counts an `Arch`'s or a module's parameters; running statistics are none."""
        if isinstance(network, Arch):
            return float(count_parameters(network))
        return float(sum(parameter.numel() for parameter in network.parameters()))


params = _Parameters()
"""Number of trainable numbers, those of normalisations included."""
