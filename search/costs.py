"""Architecture → cost on a target, as the search wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelzoo.hwmodel import Cost, Target, estimate


@dataclass(frozen=True, slots=True)
class TargetCosts:
    """Prices what can be lowered on one target; the target's digest goes into the trace.

    Attributes:
        target: The accelerator.
    """

    target: Target

    def __call__(self, arch: Any) -> Cost:
        """Returns the cost of one inference; operators the target cannot run are in its `unpriced`."""
        return estimate(arch.lower(), self.target)

    def digest(self) -> str:
        """Returns the target's digest."""
        return self.target.digest()
