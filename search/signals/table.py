"""Accuracies that were measured before: a benchmark's table as a signal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accelzoo import config
from accelzoo.errors import ConfigError
from accelzoo.search.evaluator import CandidateError
from accelzoo.search.plan import identity
from accelzoo.search.signals.protocol import check_fidelity


def digest_of(arch: Any) -> str:
    """Returns an architecture's digest, the key of a table by default."""
    return str(arch.digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSignal:
    """Looks accuracies up.

    Attributes:
        accuracies: Key → accuracy, higher is better.
        key: Architecture → key; its digest by default.
        seconds: The cost to declare for one look-up: what the training behind it took, to compare searches by that.
        partial: Fidelity → accuracies that were measured with that share of the effort, if there are such.
    """

    accuracies: Mapping[Any, float]
    key: Callable[[Any], Hashable] = digest_of
    seconds: float | None = 0.0
    partial: Mapping[float, Mapping[Any, float]] = field(default_factory=dict)

    def __call__(self, arch: Any) -> float:
        """Returns the accuracy of an architecture.

        Raises:
            CandidateError: If it is not in the table.
        """
        key = self.key(arch)
        if key not in self.accuracies:
            raise CandidateError(f"{key!r} is none of the {len(self.accuracies):,} architectures in the table")
        return float(self.accuracies[key])

    def digest(self) -> str:
        """Names the signal by all of the table and by how keys are made."""
        rows = sorted([repr(key), float(value)] for key, value in self.accuracies.items())
        return config.digest({"key": identity(self.key), "table": rows})

    def at(self, fidelity: float) -> TableSignal:
        """Returns the table of a lower fidelity; its declared cost is that share of this one's.

        Raises:
            ConfigError: If none was measured.
        """
        check_fidelity(fidelity)
        if fidelity == 1:
            return self
        if fidelity not in self.partial:
            known = ", ".join(f"{share:g}" for share in [*sorted(self.partial), 1])
            raise ConfigError([f"fidelity (={fidelity:g}): the table has accuracies for {known}"])
        seconds = None if self.seconds is None else self.seconds * fidelity
        return TableSignal(accuracies=self.partial[fidelity], key=self.key, seconds=seconds)
